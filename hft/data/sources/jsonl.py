"""`source: jsonl`: rows from a .jsonl, .json (a list of objects), .csv (with a header line) or .parquet file."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from hft.data import files as data_files
from hft.errors import HftError
from hft.recipe.section import Rows

LICENCE = None  # the user's own file
CHEAP = True


class Spec(Rows):
    """A file of rows."""

    source: Literal["jsonl"]
    file: str = Field(description="a .jsonl, .json, .csv or .parquet file beside the recipe or in the data folder")


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield one dict a row, in file order. Raises HftError with file and row for what is not an object."""
    path = data_files.find(source.file, beside)
    read = {".jsonl": read_jsonl, ".json": read_json, ".csv": read_csv, ".parquet": read_parquet}.get(path.suffix)
    if read is None:
        raise HftError(f"{path} is neither .jsonl, .json, .csv nor .parquet", "convert it, or rename it to what it is")
    yield from decoded(read, path)


def locate(source: Spec) -> str:
    """The file's name."""
    return source.file


def facts(source: Spec, beside: Path) -> dict:
    """The file's name and SHA-256."""
    return data_files.facts(source.file, beside)


def lines(path: Path) -> Iterator[dict]:
    """The objects of a file with one on each line, whatever its name. Raises HftError as `rows` does."""
    return decoded(read_jsonl, path)


def decoded(read: Callable[[Path], Iterator[dict]], path: Path) -> Iterator[dict]:
    """What a reader yields; HftError, with the byte, for a file in another encoding."""
    try:
        yield from read(path)
    except UnicodeDecodeError:
        try:
            path.read_bytes().decode()  # the reader counts from the start of its own block; this counts from the file's
        except UnicodeDecodeError as problem:
            raise HftError(
                f"{path}: byte {problem.start} is not UTF-8", f"convert it: iconv -f CP949 -t UTF-8 {path.name}"
            ) from None
        raise


def read_jsonl(path: Path) -> Iterator[dict]:
    """One object a line; blank lines are skipped."""
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield an_object(path, number, line)


def an_object(path: Path, number: int, line: str) -> dict:
    """The object of one line. Raises HftError with file and line for anything else."""
    try:
        row = json.loads(line.rstrip("\n"))
    except json.JSONDecodeError as problem:
        raise HftError(
            f"{path} line {number}: not JSON: {problem.msg} at column {problem.colno}", "each line is one JSON object"
        ) from None
    except (ValueError, RecursionError) as problem:  # numbers of thousands of digits, thousands of brackets
        raise HftError(f"{path} line {number}: {problem}", "each line is one JSON object") from None
    if not isinstance(row, dict):
        raise HftError(
            f"{path} line {number}: a {type(row).__name__}, not an object",
            'each line looks like {"question": ..., "answer": ...}',
        )
    return row


def read_json(path: Path) -> Iterator[dict]:
    """The objects of a list."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as problem:
        raise HftError(
            f"{path} line {problem.lineno}: not JSON: {problem.msg}",
            "mend the file; for one object a line name it .jsonl",
        ) from None
    if not isinstance(rows, list):
        raise HftError(
            f"{path}: holds a {type(rows).__name__}, not a list of objects",
            "for KorQuAD or SQuAD files write source: korquad",
        )
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise HftError(
                f"{path} item {number}: a {type(row).__name__}, not an object", "the file is a list of objects"
            )
        yield row


def read_csv(path: Path) -> Iterator[dict]:
    """One dict a row, with the header's names; all values are texts."""
    csv.field_size_limit(sys.maxsize)  # passages may be longer than csv's 131,072 characters
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if None in row or None in row.values():
                raise HftError(
                    f"{path} row {reader.line_num}: {'more' if None in row else 'fewer'} cells than the header has",
                    "quote cells that hold commas",
                )
            yield row


def read_parquet(path: Path) -> Iterator[dict]:
    """One dict a row, a thousand in memory at a time."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        for batch in ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as problem:
        raise HftError(
            f"{path}: {str(problem).splitlines()[0]}", "the file is damaged or no Parquet: fetch it again"
        ) from None
