"""Rows from .jsonl, .json and .csv files: what is read, and how each damaged file is named."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data.sources import jsonl
from hft.errors import HftError

QUICK = settings(deadline=None, database=None, max_examples=50)
KOREAN = {"question": "수도는?", "answer": "서울"}
BOM = b"\xef\xbb\xbf"
GOOD = [
    (
        "one object a line",
        "a.jsonl",
        '{"question": "수도는?", "answer": "서울"}\n{"question": "b", "answer": "c"}\n',
        [KOREAN, {"question": "b", "answer": "c"}],
    ),
    ("no newline at the end", "a.jsonl", '{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
    ("blank lines and Windows line ends", "a.jsonl", '\n{"a": 1}\r\n \t\r\n{"a": 2}\r\n\n', [{"a": 1}, {"a": 2}]),
    ("a byte order mark", "a.jsonl", BOM + '{"a": "가"}\n'.encode(), [{"a": "가"}]),
    ("a line separator inside a value", "a.jsonl", '{"a": "가\u2028나\u0085다"}\n', [{"a": "가\u2028나\u0085다"}]),
    ("an empty file", "a.jsonl", "", []),
    ("a list of objects", "a.json", '[{"a": "가"},\n {"a": ["나"]}]\n', [{"a": "가"}, {"a": ["나"]}]),
    ("a list after a byte order mark", "a.json", BOM + b'[{"a": 1}]', [{"a": 1}]),
    ("an empty list", "a.json", "[]", []),
    ("a table", "a.csv", "question,answer\n수도는?,서울\n", [KOREAN]),
    ("a table that Excel saved", "a.csv", BOM + "question,answer\r\n수도는?,서울\r\n".encode(), [KOREAN]),
    (
        "quoted commas, quotes and newlines",
        "a.csv",
        'a,b\n"가, 나","그는 ""다""\n라"\n',
        [{"a": "가, 나", "b": '그는 "다"\n라'}],
    ),
    ("Windows line ends inside a cell", "a.csv", 'a,b\r\n"가\r\n나",1\r\n', [{"a": "가\r\n나", "b": "1"}]),
    ("blank lines in a table", "a.csv", "a,b\n\n1,2\n\n3,\n", [{"a": "1", "b": "2"}, {"a": "3", "b": ""}]),
    ("a table of nothing but its header", "a.csv", "a,b\n", []),
]
LINES = "each line is one JSON object"
LIKE = 'each line looks like {"question": ..., "answer": ...}'
MEND = "mend the file; for one object a line name it .jsonl"
CELLS = "quote cells that hold commas"
BAD = [  # name, content, message, fix
    ("a.jsonl", '{"a": 1}\n\n{"a":', "HERE/a.jsonl line 3: not JSON: Expecting value at column 6", LINES),
    ("a.jsonl", '{"a": 1}\n{"a": "한국"', "HERE/a.jsonl line 2: not JSON: Expecting ',' delimiter at column 11", LINES),
    (
        "a.jsonl",
        "{'a': 1}\n",
        "HERE/a.jsonl line 1: not JSON: Expecting property name enclosed in double quotes at column 2",
        LINES,
    ),
    ("a.jsonl", '{"a": 1}\n{"a": 2} {"a": 3}\n', "HERE/a.jsonl line 2: not JSON: Extra data at column 10", LINES),
    ("a.jsonl", '{"a": 1}\n[1]\n', "HERE/a.jsonl line 2: a list, not an object", LIKE),
    ("a.jsonl", '"수도"\n', "HERE/a.jsonl line 1: a str, not an object", LIKE),
    ("a.jsonl", "null\n", "HERE/a.jsonl line 1: a NoneType, not an object", LIKE),
    ("a.json", '[{"a": 1},\n{"a": }]', "HERE/a.json line 2: not JSON: Expecting value", MEND),
    ("a.json", '{"a": 1}\n{"a": 2}\n', "HERE/a.json line 2: not JSON: Extra data", MEND),
    (
        "a.json",
        '{"data": []}',
        "HERE/a.json: holds a dict, not a list of objects",
        "for KorQuAD or SQuAD files write source: korquad",
    ),
    ("a.json", '[{"a": 1}, "b"]', "HERE/a.json item 2: a str, not an object", "the file is a list of objects"),
    ("a.csv", "a,b\n1,2\n수도, 서울,3\n", "HERE/a.csv row 3: more cells than the header has", CELLS),
    ("a.csv", "a,b\n1\n", "HERE/a.csv row 2: fewer cells than the header has", CELLS),
    ("a.txt", "", "HERE/a.txt is neither .jsonl, .json, .csv nor .parquet", "convert it, or rename it to what it is"),
    (
        "a.jsonl",
        '{"a": "한국"}\n'.encode("cp949"),
        "HERE/a.jsonl: byte 7 is not UTF-8",
        "convert it: iconv -f CP949 -t UTF-8 a.jsonl",
    ),
    (
        "a.json",
        '[{"a": "한국"}]'.encode("cp949"),
        "HERE/a.json: byte 8 is not UTF-8",
        "convert it: iconv -f CP949 -t UTF-8 a.json",
    ),
    (
        "a.csv",
        "a\n한국\n".encode("cp949"),
        "HERE/a.csv: byte 2 is not UTF-8",
        "convert it: iconv -f CP949 -t UTF-8 a.csv",
    ),
]


def read(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(jsonl.rows(jsonl.Spec(source="jsonl", file=name), folder))


def refusal(folder, name, content):
    with pytest.raises(HftError) as error:
        read(folder, name, content)
    return error.value.message.replace(str(folder), "HERE")


@pytest.mark.parametrize(("what", "name", "content", "rows"), GOOD, ids=[what for what, *_ in GOOD])
def test_a_file_is_read_in_its_order(tmp_path, what, name, content, rows):
    assert read(tmp_path, name, content) == rows


@pytest.mark.parametrize(("name", "content", "problem", "fix"), BAD, ids=[f"{i}-{bad[0]}" for i, bad in enumerate(BAD)])
def test_a_damaged_file_is_named_with_its_row(tmp_path, name, content, problem, fix):
    assert refusal(tmp_path, name, content) == f"{problem}\n  Fix: {fix}"


def test_rows_before_the_damage_are_given_first(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\nnonsense\n')
    rows = jsonl.rows(jsonl.Spec(source="jsonl", file="a.jsonl"), tmp_path)
    assert next(rows) == {"a": 1}
    with pytest.raises(HftError, match="line 2: not JSON"):
        next(rows)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_DATA", "elsewhere")
    with pytest.raises(HftError) as error:
        list(jsonl.rows(jsonl.Spec(source="jsonl", file="a.jsonl"), tmp_path))
    assert error.value.message == (
        f"no data file a.jsonl in {tmp_path} or elsewhere\n"
        "  Fix: put it into elsewhere, or name its folder: DATA=/path (hft: HFT_DATA=/path)"
    )


def test_the_file_beside_the_recipe_hides_the_one_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    assert read(tmp_path / "data", "a.jsonl", '{"a": "data"}') == [{"a": "data"}]
    assert list(jsonl.rows(jsonl.Spec(source="jsonl", file="a.jsonl"), tmp_path)) == [{"a": "data"}]
    assert read(tmp_path, "a.jsonl", '{"a": "beside"}') == [{"a": "beside"}]


@QUICK
@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=10) | st.integers() | st.none(), max_size=3), max_size=5
    )
)
def test_what_json_writes_comes_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows", numbered=True)
    assert read(folder, "a.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)) == rows
    assert read(folder, "a.json", json.dumps(rows, ensure_ascii=False)) == rows


def test_a_line_that_breaks_off_is_named_with_the_column_where_it_does(tmp_path):
    assert refusal(tmp_path, "a.jsonl", '{"a":\n{"a": 2}\n').startswith(
        "HERE/a.jsonl line 1: not JSON: Expecting value at column 6"
    )


def test_a_wrong_byte_far_into_a_file_is_named_where_it_is(tmp_path):
    ahead = b'{"a": "x"}\n' * 2000
    assert "byte 22007 is not UTF-8" in refusal(tmp_path, "a.jsonl", ahead + '{"a": "한국"}\n'.encode("cp949"))


def test_blank_lines_do_not_move_the_row_that_is_named(tmp_path):
    assert refusal(tmp_path, "a.csv", "a,b\n\n\n1,2,3\n").startswith("HERE/a.csv row 4: more cells")


def test_a_long_passage_in_a_cell_is_read(tmp_path):
    assert read(tmp_path, "a.csv", "context\n" + "가" * 140_000 + "\n") == [{"context": "가" * 140_000}]


@pytest.mark.parametrize(
    "line", ['{"a": ' + "1" * 5000 + "}", "[" * 100_000], ids=["a number of 5000 digits", "100,000 brackets"]
)
def test_json_that_python_cannot_hold_is_refused_with_its_line(tmp_path, line):
    assert refusal(tmp_path, "a.jsonl", '{"a": 1}\n' + line).startswith("HERE/a.jsonl line 2: ")


def test_parquet_rows_come_in_order_with_nested_values(tmp_path):
    import pyarrow
    from pyarrow import parquet

    written = [
        {"prompt": [{"role": "user", "content": str(n)}], "reward_model": {"ground_truth": str(n)}} for n in range(2500)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(written), tmp_path / "a.parquet")
    assert list(jsonl.rows(jsonl.Spec(source="jsonl", file="a.parquet"), tmp_path)) == written


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not for long")
    with pytest.raises(HftError, match=r"a\.parquet: .*Parquet"):
        list(jsonl.rows(jsonl.Spec(source="jsonl", file="a.parquet"), tmp_path))
