"""How a recipe trains: `method: sft` is sft.py here; each has `train`."""

import importlib


def of(recipe):
    """The module of a recipe's method."""
    return importlib.import_module(f"hft.train.methods.{recipe.method}")
