"""`source: aihub`: a folder of AI Hub 126 workbooks (Korean-English parallel texts) as {ko, en} rows.

Each delivery has another layout: the columns 원문 and 번역문 stand anywhere, beside identifiers and dates; a workbook
may come in a zip.
"""

import io
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import Field

from hft import files
from hft.data import files as data_files
from hft.errors import HftError
from hft.recipe.section import Rows

LICENCE = "AI Hub's terms of use: the texts may not be passed on"
CHEAP = True

COLUMNS = {"원문": "ko", "번역문": "en"}


class Spec(Rows):
    """A folder of workbooks."""

    source: Literal["aihub"]
    folder: str = Field(
        description="a folder of AI Hub translation workbooks (.xlsx, or .zip with one) in the data folder"
    )


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield `{ko, en}` for every row of every workbook, in the order of the files' names.

    An empty cell gives an empty text. One row is in memory at a time, beside the strings of its workbook. Raises
    HftError for a workbook without the two columns.
    """
    for path in workbooks(source, beside):
        try:
            yield from pairs(path)
        except (zipfile.BadZipFile, KeyError, OSError, ValueError) as problem:
            raise HftError(
                f"{path} is not a workbook: {problem}", "fetch it again, or move it out of the folder"
            ) from None


def locate(source: Spec) -> str:
    """The folder's name."""
    return source.folder


def facts(source: Spec, beside: Path) -> dict:
    """The folder's name, and the SHA-256 of each of its files by name."""
    return {
        "folder": source.folder,
        "sha256": {path.name: files.sha256(path) for path in workbooks(source, beside)},
    }


def workbooks(source: Spec, beside: Path) -> list[Path]:
    """The workbooks and zips of the folder in name order, Korean names composed.

    Excel's lock files and all else are left out. Raises HftError where there is no such folder, or nothing in it.
    """
    folder = next(
        (place / source.folder for place in (beside, data_files.folder()) if (place / source.folder).is_dir()), None
    )
    if folder is None:
        raise HftError(
            f"no data folder {source.folder} in {beside} or {data_files.folder()}",
            f"put the workbooks into {data_files.folder() / source.folder}, "
            "or name what it is in: DATA=/path (hft: HFT_DATA=/path)",
        )
    books = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (".xlsx", ".zip") and not path.name.startswith(("~$", "."))
    ]
    if not books:
        raise HftError(f"{folder} holds no .xlsx and no .zip", "put AI Hub's workbooks there")
    return sorted(books, key=lambda path: unicodedata.normalize("NFC", path.name))


def pairs(path: Path) -> Iterator[dict]:
    """The pairs of one workbook, or of each workbook in a zip."""
    if path.suffix.lower() == ".xlsx":
        yield from sheets(path, path.name)
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".xlsx")]
        inside = sorted(name for name in names if not Path(name).name.startswith(("~$", ".")))
        if not inside:
            raise HftError(
                f"{path} holds no .xlsx but: {', '.join(archive.namelist()[:5]) or 'nothing'}",
                "move it out of the folder",
            )
        for name in inside:
            yield from sheets(io.BytesIO(archive.read(name)), f"{path.name}/{name}")


def sheets(file: Path | BinaryIO, name: str) -> Iterator[dict]:
    """The pairs of every sheet that has the two columns; at least one must."""
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True, data_only=True)
    try:
        read, headers = False, []
        for sheet in book:
            sheet.reset_dimensions()  # some deliveries declare a smaller range than they fill
            lines = sheet.iter_rows(values_only=True)
            header = [text(cell).replace(" ", "") for cell in next(lines, ())]
            if not COLUMNS.keys() <= set(header):
                headers.append(f"{sheet.title}: {', '.join(filter(None, header)) or 'nothing'}")
                continue
            read = True
            places = {key: header.index(column) for column, key in COLUMNS.items()}
            for line in lines:
                yield {key: text(line[place]) if place < len(line) else "" for key, place in places.items()}
        if not read:
            raise HftError(
                f"{name} has no sheet with the columns {' and '.join(COLUMNS)}; it has: {'; '.join(headers)}",
                "rename its header cells, or move the workbook out of the folder",
            )
    finally:
        book.close()


def text(cell: Any) -> str:
    """A cell as text without outer white space; nothing for an empty one."""
    return "" if cell is None else unicodedata.normalize("NFC", str(cell)).strip()
