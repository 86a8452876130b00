"""How a recipe trains: `method: sft` is sft.py here; each has `train`."""

import importlib
from types import ModuleType

from hft.recipe.schema import Recipe


def of(recipe: Recipe) -> ModuleType:
    """The module of a recipe's method."""
    return importlib.import_module(f"hft.train.methods.{recipe.method}")
