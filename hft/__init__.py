"""hft: the same recipe, the same result, on every server."""

__version__ = "0.2.0"
