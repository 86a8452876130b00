"""hft: the same recipe, the same result, on every server."""

__version__ = "0.1.0"
