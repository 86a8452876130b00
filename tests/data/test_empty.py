"""Rows that ask nothing are dropped and counted, whatever the template around their empty cells."""

import csv
import json

import pytest
from openpyxl import Workbook

from hft.data import formats, rows
from hft.data.sources import aihub
from hft.recipe import file as recipe_file

RECIPE = """method: sft
model: {{name: m, revision: r, max_tokens: 9}}
prompt: {{format: "{form}", instruction: Be brief.}}
train: {{batch_size: 1, steps: 1, learning_rate: 1.0e-4}}
data: {{train: {{{source}}}}}
"""
OWN = """
def solve(row, told):
    return f"Solve this: {row['Problem']}", row["Solution"]

def joke(row, told):
    return "Tell a joke.", row["joke"]

def hinted(row, told):
    return f"Solve {row['Problem']} ({row['hint']})", row["Solution"]

def number(row, told):
    return f"{int(row['Problem']) + 1} {row['hint']}", row["Solution"]
"""


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))
    (tmp_path / "mine.py").write_text(OWN)

    def read(form, lines, source="source: jsonl, file: rows.jsonl"):
        (tmp_path / "mine.yaml").write_text(RECIPE.format(form=form, source=source))
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        given = rows.read(recipe_file.load("mine"))
        return [one.answers[0] for one in given.train], given.counts["train"].get("empty", 0)

    return read


BLANK = [
    ("question", {"context": "가", "question": " ", "answer": "a"}, {"context": "", "question": "가?", "answer": "b"}),
    (
        "instruction",
        {"instruction": "\n", "input": "가", "output": "a"},
        {"instruction": "가", "input": "", "output": "b"},
    ),
    (
        "reasoning",
        {"question": "", "reasoning": "r", "answer": "a"},
        {"question": "가?", "reasoning": "r", "answer": "b"},
    ),
    ("ko_en", {"ko": "", "en": "a"}, {"ko": "가", "en": "b"}),
    ("en_ko", {"ko": "a", "en": " \t"}, {"ko": "b", "en": "dog"}),
    (
        "codeio",
        {"kind": "output", "name": "f", "code": "def f(x): ...", "input_json": "", "answer": "a"},
        {"kind": "output", "name": "f", "code": "def f(x): ...", "input_json": "[1]", "answer": "b"},
    ),
    (
        "codeio",
        {"kind": "output", "name": "f", "code": " ", "input_json": "[1]", "answer": "a"},
        {"kind": "output", "name": "f", "code": "def f(x): ...", "input_json": "[1]", "answer": "b"},
    ),
    ("chat", {"context": "가", "question": "", "answer": "a"}, {"context": "", "question": "가?", "answer": "b"}),
    ("mine.py:solve", {"Problem": " ", "Solution": "a"}, {"Problem": "1 + 1", "Solution": "b"}),
    ("mine.py:hinted", {"Problem": "", "hint": "", "Solution": "a"}, {"Problem": "1", "hint": "", "Solution": "b"}),
]


@pytest.mark.parametrize(("form", "blank", "full"), BLANK, ids=[f"{i}-{one[0]}" for i, one in enumerate(BLANK)])
def test_a_row_whose_prompt_columns_are_empty_is_counted_and_never_trained(kept, form, blank, full):
    answers, dropped = kept(form, [blank, full])
    assert dropped == -1
    assert len(answers) == 1
    assert answers[0].endswith("b")


def test_every_format_but_none_is_in_the_table():
    assert {form for form, *_ in BLANK if ":" not in form} == set(formats.FORMATS)


REPLY = {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    "turns",
    [
        [],
        None,
        [REPLY],
        [{"role": "system", "content": "가"}, REPLY],
        [{"role": "user", "content": " "}, REPLY],
        [{"role": "user", "content": None}, REPLY],
        [{"role": "user", "content": []}, REPLY],
        [{"role": "user", "content": [{"type": "text", "text": ""}]}, REPLY],
        [{"role": "user", "content": "가"}, REPLY, {"role": "user", "content": ""}, REPLY],
        [{"role": "user", "content": "가"}, {"role": "assistant", "content": None}],
    ],
    ids=str,
)
def test_a_conversation_without_a_question_or_an_answer_is_empty(kept, turns):
    assert kept("chat", [{"messages": turns}, {"messages": [{"role": "user", "content": "가"}, REPLY]}]) == (["a"], -1)


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("mine.py:joke", {"joke": "a", "topic": ""}),  # its prompt never holds a row's text
        ("mine.py:hinted", {"Problem": 5, "hint": "", "Solution": "a"}),
        ("mine.py:number", {"Problem": "5", "hint": "", "Solution": "a"}),  # a function that fails on other texts
        ("question", {"context": " ", "question": "가?", "answer": "a"}),
    ],
)
def test_a_blank_column_that_the_question_does_not_need_drops_nothing(kept, form, row):
    assert kept(form, [row]) == (["a"], 0)


def test_an_empty_question_of_a_csv_file_is_dropped(kept, tmp_path):
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["context", "question", "answer"], ["가", "", "a"], ["", "나?", "b"]])
    assert kept("question", [], "source: jsonl, file: rows.csv") == (["b"], -1)


def test_an_empty_cell_and_a_formula_that_was_never_computed_are_dropped_and_named(kept, tmp_path, capsys):
    aihub.say.cache_clear()
    book = Workbook()
    for line in (["원문", "번역문"], ["가", "a"], [None, "b"], ["=A2", "c"], ["다", "d"], ["#REF!", "e"], ["바", None]):
        book.active.append(line)
    (tmp_path / "pairs").mkdir()
    book.save(tmp_path / "pairs" / "1.xlsx")
    assert kept("ko_en", [], "source: aihub, folder: pairs") == (["a", "d"], -4)
    assert capsys.readouterr().out == (
        "1.xlsx: 2 cell(s) of the sheet 'Sheet' hold a formula or an error without a value, first A4: their rows are "
        "dropped; open the workbook in a spreadsheet program and save it\n"
    )
