"""`source: hub`: a dataset on the Hugging Face Hub at a fixed revision; from the local cache when offline."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hft.errors import HftError
from hft.recipe.section import Rows

LICENCE = None  # the Hub is asked for it
CHEAP = False  # it may have to be fetched
COMMIT = re.compile("[0-9a-f]{40}")


class Spec(Rows):
    """A dataset on the Hub."""

    source: Literal["hub"]
    name: str = Field(description="dataset on the Hugging Face Hub")
    revision: str = Field(description="commit hash, tag or branch")
    subset: str | None = Field(None, description="the dataset's configuration")
    split: str = Field("train", description="the dataset's split")


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield one dict a row, in the dataset's order. Raises HftError when it cannot be had."""
    yield from read(source)


def read(source: Spec) -> Any:
    """The dataset, from the Hub or the cache. Raises HftError when it cannot be had, or at another commit only."""
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(source.name, source.subset, split=source.split, revision=source.revision)
    except Exception as problem:  # the library raises a dozen kinds: all mean that these rows are not to be had
        raise HftError(
            f"dataset {source.name}@{source.revision} ({source.split}): {str(problem).splitlines()[0]}",
            "check name, revision and split; a private one needs HF_TOKEN; offline it must be in the cache",
        ) from problem
    there = commit(loaded)
    if there and COMMIT.fullmatch(source.revision) and there != source.revision:
        # Where the Hub does not answer, the library takes the newest commit that it has kept, whatever is asked for.
        raise HftError(
            f"dataset {source.name}@{source.revision}: the Hub does not answer, and the cache has it at {there}",
            "fetch it once with the Hub in reach, or pin what is there: --set ...revision=",
        )
    return loaded


def commit(loaded: Any) -> str | None:
    """The commit that a dataset is of, by which its folder in the cache is named; None for a folder of one's own."""
    folders = (Path(kept["filename"]).parent.name for kept in loaded.cache_files)
    return next((name for name in folders if COMMIT.fullmatch(name)), None)


def locate(source: Spec) -> str:
    """The dataset's name and revision."""
    return f"{source.name}@{source.revision}"


def facts(source: Spec, beside: Path) -> dict:
    """The dataset's name and revision, and the commit that this stood for."""
    there = commit(read(source))
    return {"dataset": locate(source), **({"commit": there} if there else {})}
