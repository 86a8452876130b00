"""`source: hub`: a dataset on the Hugging Face Hub at a fixed revision; from the local cache when offline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from hft.errors import HftError
from hft.recipe.section import Rows

LICENCE = None  # the Hub is asked for it
CHEAP = False  # it may have to be fetched


class Spec(Rows):
    """A dataset on the Hub."""

    source: Literal["hub"]
    name: str = Field(description="dataset on the Hugging Face Hub")
    revision: str = Field(description="commit hash, tag or branch")
    subset: str | None = Field(None, description="the dataset's configuration")
    split: str = Field("train", description="the dataset's split")


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield one dict a row, in the dataset's order. Raises HftError when it cannot be had."""
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(source.name, source.subset, split=source.split, revision=source.revision)
    except Exception as problem:  # the library raises a dozen kinds: all mean that these rows are not to be had
        raise HftError(
            f"dataset {source.name}@{source.revision} ({source.split}): {str(problem).splitlines()[0]}",
            "check name, revision and split; a private one needs HF_TOKEN; offline it must be in the cache",
        ) from problem
    yield from loaded


def locate(source: Spec) -> str:
    """The dataset's name and revision."""
    return f"{source.name}@{source.revision}"


def facts(source: Spec, beside: Path) -> dict:
    """The dataset's name and revision."""
    return {"dataset": locate(source)}
