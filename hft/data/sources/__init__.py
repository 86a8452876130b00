"""Data sources: `source: korquad` in a recipe is korquad.py here; each has `rows(source, beside) -> Iterator[dict]`."""

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from hft import files
from hft.data import files as data_files


def rows(source, beside: Path) -> Iterator[dict]:
    """The rows of a source, by its module; only the `first` ones where it says so."""
    return itertools.islice(
        importlib.import_module(f"hft.data.sources.{source.source}").rows(source, beside), source.first
    )


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
            from hft.data.sources import aihub

            return {
                "folder": source.folder,
                "sha256": {path.name: files.sha256(path) for path in aihub.workbooks(source, beside)},
            }
    return {"file": source.file, "sha256": files.sha256(data_files.find(source.file, beside))}
