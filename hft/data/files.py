"""Where data files are: beside the recipe, in the data folder, fetched into the cache."""

import os
from pathlib import Path

from hft import files
from hft.errors import HftError
from hft.recipe import catalogue


def folder() -> Path:
    """The data folder: HFT_DATA, else ./data."""
    return Path(os.environ.get("HFT_DATA") or "data")


def present(file: str, beside: Path) -> Path | None:
    """The file where it lies: beside the recipe, in the data folder, beside other recipes, in the cache; else None."""
    places = (beside, folder(), *catalogue.folders(), files.cache() / "data")
    return next((place / file for place in places if (place / file).is_file()), None)


def fetched() -> Path:
    """Where fetched files go: the data folder, or the cache where that folder is read-only, as in a container."""
    there = folder() if folder().exists() else folder().absolute().parent
    return folder() if os.access(there, os.W_OK) else files.cache() / "data"


def find(file: str, beside: Path) -> Path:
    """The file beside the recipe, else in the data folder. Raises HftError that says where it looked."""
    if path := present(file, beside):
        return path
    raise HftError(
        f"no data file {file} in {beside} or {folder()}",
        f"put it into {folder()}, or name its folder: DATA=/path (hft: HFT_DATA=/path)",
    )


def facts(file: str, beside: Path) -> dict:
    """What the passport keeps of a source that is one file: its name and SHA-256."""
    return {"file": file, "sha256": files.sha256(find(file, beside))}
