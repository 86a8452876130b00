"""Data sources: `source: korquad` in a recipe is korquad.py here; each has `rows(source, beside) -> Iterator[dict]`."""

import importlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from hft import catalogue, files
from hft.errors import HftError


def rows(source, beside: Path) -> Iterator[dict]:
    """The rows of a source, by its module; only the `first` ones where it says so."""
    return itertools.islice(importlib.import_module(f"hft.data.{source.source}").rows(source, beside), source.first)


def folder() -> Path:
    """The data folder: HFT_DATA, else ./data."""
    return Path(os.environ.get("HFT_DATA") or "data")


def present(file: str, beside: Path) -> Path | None:
    """The file beside the recipe, else in the data folder, else beside other recipes, else fetched into the cache, else None."""
    places = (beside, folder(), *catalogue.folders(), files.cache() / "data")
    return next((place / file for place in places if (place / file).is_file()), None)


def fetched() -> Path:
    """Where fetched files go: the data folder, or the cache where that folder is read-only, as in a container."""
    there = folder() if folder().exists() else folder().absolute().parent
    return folder() if os.access(there, os.W_OK) else files.cache() / "data"


def find(file: str, beside: Path) -> Path:
    """The file beside the recipe, else in the data folder. Raises HftError that says where it looked."""
    if found := present(file, beside):
        return found
    raise HftError(f"no data file {file} in {beside} or {folder()}",
                   f"put it into {folder()}, or name its folder: DATA=/path (hft: HFT_DATA=/path)")


def locate(source) -> str:
    """What messages call this source: its file, folder, dataset@revision, or parts."""
    match source.source:
        case "hub":
            return f"{source.name}@{source.revision}"
        case "mixture":
            return " + ".join(map(locate, source.parts))
        case "aihub":
            return source.folder
    return source.file


def facts(source, beside: Path) -> dict:
    """What the passport keeps of a source: the SHA-256 of its file or of each file of its folder; dataset and revision."""
    match source.source:
        case "hub":
            return {"dataset": locate(source)}
        case "mixture":
            return {"parts": [facts(part, beside) for part in source.parts]}
        case "aihub":
            from hft.data import aihub

            return {"folder": source.folder, "sha256": {path.name: files.sha256(path) for path in aihub.workbooks(source, beside)}}
    return {"file": source.file, "sha256": files.sha256(find(source.file, beside))}
