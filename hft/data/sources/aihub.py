"""`source: aihub`: a folder of AI Hub 126 workbooks (Korean-English parallel texts) as {ko, en} rows.

Each delivery has another layout: the columns 원문 and 번역문 stand anywhere, beside identifiers and dates; a workbook may come in a zip.
"""

import io
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hft.data import files as data_files
from hft.errors import HftError

COLUMNS = {"원문": "ko", "번역문": "en"}


def rows(source, beside: Path) -> Iterator[dict]:
    """Yield `{ko, en}` for every row of every workbook, in the order of the files' names; an empty cell gives an empty text.

    One row is in memory at a time, beside the strings of its workbook. Raises HftError for a workbook without the two columns.
    """
    for path in workbooks(source, beside):
        try:
            yield from pairs(path)
        except (zipfile.BadZipFile, KeyError, OSError, ValueError) as problem:
            raise HftError(
                f"{path} is not a workbook: {problem}", "fetch it again, or move it out of the folder"
            ) from None


def workbooks(source, beside: Path) -> list[Path]:
    """The workbooks and zips of the folder in name order, Korean names composed; Excel's lock files and all else are left out."""
    folder = next(
        (place / source.folder for place in (beside, data_files.folder()) if (place / source.folder).is_dir()), None
    )
    if folder is None:
        raise HftError(
            f"no data folder {source.folder} in {beside} or {data_files.folder()}",
            f"put the workbooks into {data_files.folder() / source.folder}, or name what it is in: DATA=/path (hft: HFT_DATA=/path)",
        )
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (".xlsx", ".zip") and not path.name.startswith(("~$", "."))
    ]
    if not found:
        raise HftError(f"{folder} holds no .xlsx and no .zip", "put AI Hub's workbooks there")
    return sorted(found, key=lambda path: unicodedata.normalize("NFC", path.name))


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


def sheets(file, name: str) -> Iterator[dict]:
    """The pairs of every sheet that has the two columns; at least one must."""
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True, data_only=True)
    try:
        seen, found = [], False
        for sheet in book:
            sheet.reset_dimensions()  # some deliveries declare a smaller range than they fill
            lines = sheet.iter_rows(values_only=True)
            header = [text(cell).replace(" ", "") for cell in next(lines, ())]
            if not COLUMNS.keys() <= set(header):
                seen.append(f"{sheet.title}: {', '.join(filter(None, header)) or 'nothing'}")
                continue
            found = True
            places = {key: header.index(column) for column, key in COLUMNS.items()}
            for line in lines:
                yield {key: text(line[place]) if place < len(line) else "" for key, place in places.items()}
        if not found:
            raise HftError(
                f"{name} has no sheet with the columns {' and '.join(COLUMNS)}; it has: {'; '.join(seen)}",
                "rename its header cells, or move the workbook out of the folder",
            )
    finally:
        book.close()


def text(cell) -> str:
    """A cell as text without outer white space; nothing for an empty one."""
    return "" if cell is None else unicodedata.normalize("NFC", str(cell)).strip()
