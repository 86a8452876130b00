"""AI Hub's workbooks: any layout, in name order, row by row."""

import re
import unicodedata
import zipfile
from datetime import datetime

import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from hft.data.sources import aihub
from hft.errors import HftError

KOR_ENG = SHARED / "aihub" / "kor_eng"


def book(path, *sheets):
    """Write a workbook; each sheet is a list of rows."""
    made = Workbook()
    made.remove(made.active)
    for number, lines in enumerate(sheets):
        sheet = made.create_sheet(f"s{number}")
        for line in lines:
            sheet.append(line)
    made.save(path)
    return path


def read(folder):
    return [(row["ko"], row["en"]) for row in aihub.rows(aihub.Spec(source="aihub", folder=folder.name), folder.parent)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kor_eng").mkdir()
    return tmp_path / "kor_eng"


def test_columns_stand_anywhere_and_headers_may_hold_spaces(folder):
    book(folder / "1.xlsx", [["ID", " 원문 ", "날짜", "번 역문"], [1, "가", None, "a"], [2, " 나 ", "x", "b "]])
    book(folder / "2.xlsx", [["번역문", "원문"], ["c", "다"]], [["memo"], ["nothing here"]])
    assert read(folder) == [("가", "a"), ("나", "b"), ("다", "c")]


def test_empty_cells_numbers_and_short_rows(folder):
    book(folder / "1.xlsx", [["원문", "번역문"], [None, "a"], ["가"], [3, 4.5], []])
    assert read(folder) == [("", "a"), ("가", ""), ("3", "4.5")]


def test_a_zip_and_what_lies_about(folder):
    inside = book(folder.parent / "in.xlsx", [["원문", "번역문"], ["나", "b"]])
    with zipfile.ZipFile(folder / "2_책.zip", "w") as archive:
        archive.write(inside, "delivery/in.xlsx")
        archive.writestr("delivery/~$in.xlsx", "lock")
        archive.writestr("readme.txt", "text")
    book(folder / "1_책.xlsx", [["원문", "번역문"], ["가", "a"]])
    for name in ("~$1_책.xlsx", ".DS_Store", "readme.txt"):
        (folder / name).write_text("not a workbook")
    assert read(folder) == [("가", "a"), ("나", "b")]


def test_decomposed_names_come_in_the_order_of_composed_ones(folder):
    for name in ("나", "가", "다"):
        book(
            folder / (unicodedata.normalize("NFD" if name == "나" else "NFC", name) + ".xlsx"),
            [["원문", "번역문"], [name, name]],
        )
    book(
        folder / "라.xlsx",
        [[unicodedata.normalize("NFD", "원문"), "번역문"], [unicodedata.normalize("NFD", "라"), "라"]],
    )
    assert [ko for ko, _ in read(folder)] == ["가", "나", "다", "라"]


def test_a_workbook_without_the_columns_is_named_with_what_it_has(folder):
    book(folder / "1.xlsx", [["ID", "한국어", "영어"], [1, "가", "a"]], [["memo"]])
    with pytest.raises(
        HftError, match=r"1.xlsx has no sheet with the columns 원문 and 번역문; it has: s0: ID, 한국어, 영어; s1: memo"
    ):
        read(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("1.xlsx", b"no zip", r"1.xlsx is not a workbook: "),
        ("1.zip", None, r"1.zip holds no .xlsx but: a.txt"),
        ("a.txt", b"", r"kor_eng holds no .xlsx and no .zip$"),
        ("a.csv", b"", r"kor_eng holds no .xlsx and no .zip but: a.csv$"),
    ],
)
def test_what_is_no_workbook_is_named(folder, name, content, said):
    if content is None:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("a.txt", "text")
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(HftError) as error:
        read(folder)
    assert re.search(said, error.value.problem)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(HftError, match=r"no data folder nowhere in .* or data"):
        read(tmp_path / "nowhere")


def test_dates_and_numbers_keep_the_workbook_s_form(folder):
    made = Workbook()
    lines = [
        (datetime(2021, 3, 1), "yyyy-mm-dd", "2021-03-01"),
        (datetime(2021, 3, 1), "yyyy. m. d.", "2021. 3. 1."),
        (datetime(2021, 3, 1), "mm-dd-yy", "2021-03-01"),
        (1234, "#,##0", "1,234"),
        (3.0, "General", "3"),
        (0.5, "0%", "50%"),
    ]
    made.active.append(["원문", "번역문"])
    for number, (value, form, _) in enumerate(lines, 2):
        made.active.append([value, "x"])
        made.active.cell(number, 1).number_format = form
    made.save(folder / "1.xlsx")
    assert [ko for ko, _ in read(folder)] == [text for *_, text in lines]


def test_what_is_passed_over_is_named_once(folder, capsys):
    book(folder / "1.xlsx", [["원문", "번역문"], ["가", "a"]])
    (folder / "more").mkdir()
    book(folder / "more" / "2.xlsx", [["원문", "번역문"], ["나", "b"]])
    for name in ("pairs.csv", "old.XLS", "more/notes.txt", "more/~$2.xlsx", "readme.txt", ".DS_Store"):
        (folder / name).write_text("원문,번역문")
    assert read(folder) == read(folder) == [("가", "a")]
    assert capsys.readouterr().out == (
        "kor_eng: passed over: more/2.xlsx, old.XLS, pairs.csv; only .xlsx and .zip directly in it are read\n"
    )


def test_many_files_are_named_by_the_first_five(folder, capsys):
    book(folder / "1.xlsx", [["원문", "번역문"], ["가", "a"]])
    for number in range(7):
        (folder / f"{number}.csv").write_text("x")
    read(folder)
    assert "passed over: 0.csv, 1.csv, 2.csv, 3.csv, 4.csv and 2 more; only" in capsys.readouterr().out


def test_a_table_in_a_zip_is_named(folder, capsys):
    inside = book(folder.parent / "in.xlsx", [["원문", "번역문"], ["나", "b"]])
    with zipfile.ZipFile(folder / "2.zip", "w") as archive:
        archive.write(inside, "delivery/in.xlsx")
        archive.writestr("delivery/extra.csv", "x")
    assert read(folder) == [("나", "b")]
    assert capsys.readouterr().out == "2.zip: passed over: delivery/extra.csv; the .xlsx in it are read\n"


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_passed_over_and_named(folder, capsys, state):
    made = Workbook()
    made.active.title = "pairs"
    old = made.create_sheet("old")
    old.sheet_state = state
    for sheet, ko in ((made.active, "가"), (old, "나")):
        sheet.append(["원문", "번역문"])
        sheet.append([ko, "a"])
    made.save(folder / f"{state}.xlsx")
    assert read(folder) == [("가", "a")]
    assert capsys.readouterr().out == f"{state}.xlsx: the hidden sheet 'old' is passed over\n"


@pytest.mark.parametrize("kind", ["xlsx", "zip"])
def test_formulas_without_a_value_and_errors_are_empty_and_named_by_cell(folder, capsys, kind):
    path = book(
        folder.parent / "formulas.xlsx",
        [["ID", "원문", "번역문"], ["=1+1", "가", "a"], [2, "=B2", "b"], [3, None, "#N/A"], [4, "나", "=#REF!"]],
    )
    if kind == "xlsx":
        path.rename(folder / f"{kind}.xlsx")
    else:
        with zipfile.ZipFile(folder / "f.zip", "w") as archive:
            archive.write(path, f"{kind}.xlsx")
    assert read(folder) == [("가", "a"), ("", "b"), ("", ""), ("나", "")]
    assert capsys.readouterr().out == (
        f"{'f.zip/' if kind == 'zip' else ''}{kind}.xlsx: 3 cell(s) of the sheet 's0' hold a formula or an error "
        "without a value, first B3: their rows are dropped; open the workbook in a spreadsheet program and save it\n"
    )


@pytest.fixture(autouse=True)
def anew():
    """Each test hears what is said once a run."""
    aihub.say.cache_clear()


CELL = (
    st.none()
    | st.integers(-9, 9)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="=#"), max_size=5)
)


@settings(deadline=None, database=None, max_examples=15)
@given(lines=st.lists(st.tuples(CELL, CELL, CELL), max_size=5), order=st.permutations(["원문", "번역문", "ID"]))
def test_every_row_comes_once_in_order(tmp_path_factory, lines, order):
    folder = tmp_path_factory.mktemp("kor_eng")
    book(folder / "1.xlsx", [order, *([line[order.index(name)] for name in order] for line in lines)])
    places = order.index("원문"), order.index("번역문")
    # A row without any value is no row to a workbook when nothing follows it.
    given_ = [
        tuple("" if line[p] is None else unicodedata.normalize("NFC", str(line[p])).strip() for p in places)
        for line in lines
    ]
    found = read(folder)
    assert found == given_[: len(found)]
    assert not any(any(pair) for pair in given_[len(found) :])


def test_the_ten_workbooks_give_the_labs_csv(invoke, tmp_path):
    if not KOR_ENG.exists():
        pytest.skip("the workbooks are not there")
    (tmp_path / "mine.yaml").write_text(
        "method: sft\nmodel: {name: m, revision: r, max_tokens: 9}\nprompt: {format: ko_en}\n"
        "data: {train: {source: aihub, folder: kor_eng}}\n"
        "train: {batch_size: 1, steps: 1, learning_rate: 1.0e-4}\n",
        encoding="utf-8",
    )
    result = invoke(
        "prepare", "mine", "--out", str(tmp_path / "pairs.csv"), HFT_RECIPES=str(tmp_path), HFT_DATA=str(KOR_ENG.parent)
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "pairs.csv").read_bytes() == (SHARED / "aihub" / "kor_eng.expected.csv").read_bytes()
    assert "pairs.csv: 50 rows" in result.output
