"""Rows to ask in tests, and what becomes of them on the way to training."""

import pytest

from hft.data import prepare as way
from hft.data import rows
from hft.errors import HftError


def ask(number, **more):
    return {"id": f"q{number}", "context": f"글 {number}", "question": f"{number}?", "answer": f"답 {number}", **more}


ROWS, LONG = [ask(number) for number in range(10)], ask(10, context="글" * 60)
MIXED = [
    *ROWS,
    ROWS[3],
    ask(11, answer=" \n"),
    ask(12, answer=""),
    {**ROWS[4], "id": "again"},
    LONG,
    ask(4, id="other", answer="다른 답"),
]


def prepare(loaded, tokenizer=None):
    return way.prepare(loaded, rows.read(loaded), tokenizer)


def refusal(loaded, tokenizer=None):
    with pytest.raises(HftError) as error:
        prepare(loaded, tokenizer)
    return error.value.message
