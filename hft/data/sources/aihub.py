"""`source: aihub`: a folder of AI Hub 126 workbooks (Korean-English parallel texts) as {ko, en} rows.

Each delivery has another layout: the columns 원문 and 번역문 stand anywhere, beside identifiers and dates; a workbook
may come in a zip. What is passed over (subfolders, other kinds of files, hidden sheets, formulas that were never
computed) is named once.
"""

import functools
import io
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import Field

from hft import files, terminal
from hft.data import cells
from hft.data import files as data_files
from hft.errors import HftError
from hft.recipe.section import Rows

LICENCE = "AI Hub's terms of use: the texts may not be passed on"
CHEAP = True

COLUMNS = {"원문": "ko", "번역문": "en"}
BOOKS = (".xlsx", ".zip")
TABLES = (".csv", ".tsv", ".xls", ".xlsm", ".xlsb", ".ods", ".json", ".jsonl")  # may hold pairs, and are not read


class Spec(Rows):
    """A folder of workbooks."""

    source: Literal["aihub"]
    folder: str = Field(
        description="a folder of AI Hub translation workbooks (.xlsx, or .zip with one) in the data folder"
    )


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield `{ko, en}` for every row of every workbook, in the order of the files' names.

    A cell is the text that the workbook shows; an empty one, and a formula or an error without a value, gives an empty
    text. One row is in memory at a time, beside the strings of its workbook. Raises HftError for a workbook without the
    two columns.
    """
    if others := passed_over(place(source, beside)):
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        listed = f"{', '.join(others[:5])}{more}"
        say(f"{source.folder}: passed over: {listed}; only .xlsx and .zip directly in it are read")
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


def place(source: Spec, beside: Path) -> Path:
    """The folder, beside the recipe or in the data folder. Raises HftError where there is none."""
    for folder in (beside / source.folder, data_files.folder() / source.folder):
        if folder.is_dir():
            return folder
    raise HftError(
        f"no data folder {source.folder} in {beside} or {data_files.folder()}",
        f"put the workbooks into {data_files.folder() / source.folder}, "
        "or name what it is in: DATA=/path (hft: HFT_DATA=/path)",
    )


def workbooks(source: Spec, beside: Path) -> list[Path]:
    """The workbooks and zips of the folder in name order, Korean names composed.

    Excel's lock files and all else are left out. Raises HftError where there is no such folder, or nothing in it.
    """
    folder = place(source, beside)
    books = [path for path in folder.iterdir() if path.suffix.lower() in BOOKS and not aside(path.name)]
    if not books:
        others = passed_over(folder)
        raise HftError(
            f"{folder} holds no .xlsx and no .zip" + (f" but: {', '.join(others[:5])}" if others else ""),
            "put AI Hub's workbooks there",
        )
    return sorted(books, key=lambda path: unicodedata.normalize("NFC", path.name))


def passed_over(folder: Path) -> list[str]:
    """Files of the folder that may hold pairs and are not read: other kinds of tables, workbooks in subfolders."""
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and not aside(path.name))
    return [
        str(path)
        for path in inside
        if path.suffix.lower() in TABLES or (path.suffix.lower() in BOOKS and len(path.parts) > 1)
    ]


def aside(name: str) -> bool:
    """Whether a file is Excel's lock or a system's own."""
    return Path(name).name.startswith(("~$", "."))


@functools.cache
def say(line: str) -> None:
    """Say it once, however often the folder is read."""
    terminal.say(line)


def pairs(path: Path) -> Iterator[dict]:
    """The pairs of one workbook, or of each workbook in a zip."""
    if path.suffix.lower() == ".xlsx":
        yield from sheets(path, path.name)
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not aside(name)]
        inside = sorted(name for name in names if name.lower().endswith(".xlsx"))
        if others := sorted(name for name in names if name.lower().endswith(TABLES)):
            say(f"{path.name}: passed over: {', '.join(others[:5])}; the .xlsx in it are read")
        if not inside:
            raise HftError(
                f"{path} holds no .xlsx but: {', '.join(archive.namelist()[:5]) or 'nothing'}",
                "move it out of the folder",
            )
        for name in inside:
            yield from sheets(io.BytesIO(archive.read(name)), f"{path.name}/{name}")


def sheets(file: Path | BinaryIO, name: str) -> Iterator[dict]:
    """The pairs of every visible sheet that has the two columns; at least one must."""
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True, data_only=True)
    try:
        read, headers = False, []
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                say(f"{name}: the hidden sheet '{sheet.title}' is passed over")
                continue
            sheet.reset_dimensions()  # some deliveries declare a smaller range than they fill
            lines = sheet.iter_rows()
            header = [text(cell).replace(" ", "") for cell in next(lines, ())]
            if not COLUMNS.keys() <= set(header):
                headers.append(f"{sheet.title}: {', '.join(filter(None, header)) or 'nothing'}")
                continue
            read = True
            places = {key: header.index(column) for column, key in COLUMNS.items()}
            blank: set[tuple[int, int]] = set()
            for number, line in enumerate(lines, 2):
                pair = {key: text(line[place]) if place < len(line) else "" for key, place in places.items()}
                blank |= {(number, places[key]) for key, value in pair.items() if not value}
                yield pair
            if blank:
                uncomputed(file, name, sheet.title, blank)
        if not read:
            raise HftError(
                f"{name} has no sheet with the columns {' and '.join(COLUMNS)}; it has: {'; '.join(headers)}",
                "rename its header cells, or move the workbook out of the folder",
            )
    finally:
        book.close()


def uncomputed(file: Path | BinaryIO, name: str, title: str, blank: set[tuple[int, int]]) -> None:
    """Name the formulas and errors among a sheet's empty cells (row from 1, column from 0): their rows are dropped."""
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True)
    try:
        sheet = book[title]
        sheet.reset_dimensions()
        found = [
            cell.coordinate
            for number, line in enumerate(sheet.iter_rows(), 1)
            for column, cell in enumerate(line)
            if (number, column) in blank and cell.data_type in "fe" and cell.value is not None
        ]
    finally:
        book.close()
    if found:
        say(
            f"{name}: {len(found)} cell(s) of the sheet '{title}' hold a formula or an error without a value, first "
            f"{found[0]}: their rows are dropped; open the workbook in a spreadsheet program and save it"
        )


def text(cell: Any) -> str:
    """What a cell shows, without outer white space; nothing for an empty one and for an error such as #REF!."""
    value = None if cell.data_type == "e" else cell.value
    if value is None:
        return ""
    shown = value if isinstance(value, str) else cells.shown(value, cell.number_format)
    return unicodedata.normalize("NFC", shown).strip()
