"""`source: hub`: a dataset on the Hugging Face Hub at a fixed revision; from the local cache when offline."""

from collections.abc import Iterator
from pathlib import Path

from hft.errors import HftError


def rows(source, beside: Path) -> Iterator[dict]:
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
