"""AI Hub's workbooks: any layout, in name order, row by row."""

import unicodedata
import zipfile

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
        ("a.txt", b"", r"kor_eng holds no .xlsx and no .zip"),
    ],
)
def test_what_is_no_workbook_is_named(folder, name, content, said):
    if content is None:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("a.txt", "text")
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(HftError, match=said):
        read(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(HftError, match=r"no data folder nowhere in .* or data"):
        read(tmp_path / "nowhere")


CELL = (
    st.none() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=5)
)


@settings(deadline=None, database=None, max_examples=15)
@given(lines=st.lists(st.tuples(CELL, CELL, CELL), max_size=5), order=st.permutations(["원문", "번역문", "ID"]))
def test_every_row_comes_once_in_order(tmp_path_factory, lines, order):
    folder = tmp_path_factory.mktemp("kor_eng")
    book(folder / "1.xlsx", [order, *([line[order.index(name)] for name in order] for line in lines)])
    places = order.index("원문"), order.index("번역문")
    # A row without any value is no row to a workbook when nothing follows it.
    given_ = [
        tuple(aihub.text(line[place]) for place in map(lambda p: order.index(order[p]), places)) for line in lines
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
