"""Data sources: `source: korquad` in a recipe is korquad.py here. Each module has all that hft knows of its source.

Spec       its section of the recipe
LICENCE    what a model card says of its rows; None where it has to be asked for, or is not known
CHEAP      whether its rows can be counted without fetching and without running anything
rows(source, beside)     its rows, one dict each; `beside` is the recipe's folder
locate(source)           what messages call it
facts(source, beside)    what a passport keeps of it
"""

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def module(source: Any) -> ModuleType:
    """The module of a recipe's source."""
    return importlib.import_module(f"hft.data.sources.{source.source}")


def rows(source: Any, beside: Path) -> Iterator[dict]:
    """The rows of a source, by its module; only the `first` ones where it says so."""
    return itertools.islice(module(source).rows(source, beside), source.first)


def locate(source: Any) -> str:
    """What messages call this source: its file, folder, dataset@revision, or parts."""
    return module(source).locate(source)


def facts(source: Any, beside: Path) -> dict:
    """What the passport keeps of a source: its name or folder with the SHA-256 of each file; dataset and revision."""
    return module(source).facts(source, beside)
