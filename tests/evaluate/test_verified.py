"""Answers to CodeI/O's questions: what running the code confirms is right."""

import shutil

import pytest

from hft.evaluate import verified
from hft.evaluate.reasoning import Tags

ROW = {
    "code": "def f(n):\n    return n * n",
    "name": "f",
    "input_json": '{"n": 3}',
    "output_json": "9",
    "answer": "unused",
}
OUTPUT, INPUT = {**ROW, "kind": "output"}, {**ROW, "kind": "input"}


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_an_answer_is_right_when_the_code_says_so():
    asked = [
        ('First {"output": 6}, no: {"output": 9}', OUTPUT, (1, 1)),
        ('{"output": 9}, no: {"output": 6}', OUTPUT, (0, 1)),
        ('<think>{"output": 9}</think> so 9', OUTPUT, (0, 0)),
        ("It is 9.", OUTPUT, (0, 0)),
        ('{"input": {"n": 3}}', INPUT, (1, 1)),
        ('{"input": {"n": -3}}', INPUT, (1, 1)),  # another input than the one that was drawn
        ('{"input": {"n": 4}}', INPUT, (0, 1)),
        ('{"input": {"m": 3}}', INPUT, (0, 1)),
    ]
    answers, rows, wanted = zip(*asked, strict=True)
    assert verified.measured(list(answers), list(rows), Tags()) == [
        {"right": right, "format": readable} for right, readable in wanted
    ]


def test_rows_of_other_sources_are_measured_elsewhere():
    assert verified.measured(["9"], [{"question": "3 times 3?", "answer": "9"}], Tags()) == [None]
