"""Questions too long for a model are asked with less of their passage; none is left out."""

import pytest
from asked import ROWS, ask, prepare
from characters import Characters
from hypothesis import given
from hypothesis import strategies as st

from hft.data import fitting

ROOM = ("model.max_tokens=90", "evaluate.max_new_tokens=10")  # 80 characters for a prompt


def asked(load, row, *settings):
    [sample] = prepare(load(ROWS, [row], *(settings or ROOM)), Characters()).evaluate
    return sample


def test_a_passage_loses_its_end_and_the_question_stays(load):
    sample = asked(load, ask(10, context="가" * 200))
    assert sample.tokens.prompt == f"{'가' * 56}\n\nQuestion: 10?\nAnswer:"
    assert (len(sample.tokens.prompt_ids), sample.prompt, sample.cut) == (80, sample.tokens.prompt, True)
    assert sample.row["context"] == "가" * 200, "the row stays whole"


def test_the_longest_question_that_fits_is_asked_whole(load):
    assert not asked(load, ask(10, context="가" * 56)).cut
    assert asked(load, ask(10, context="가" * 57)).cut


def test_without_a_passage_the_prompt_is_asked_as_it_is_while_the_model_holds_it(load):
    sample = asked(load, ask(10, context="", question="가" * 60))
    assert (sample.cut, len(sample.tokens.prompt_ids)) == (False, 79)
    sample = asked(load, ask(10, context="", question="가" * 70))
    assert (sample.cut, len(sample.tokens.prompt_ids)) == (False, 89)


def test_a_prompt_that_fills_the_model_loses_its_beginning(load):
    sample = asked(load, ask(10, context="", question="가" * 100))
    assert (sample.cut, len(sample.tokens.prompt_ids)) == (True, 80)
    assert bytes(sample.tokens.prompt_ids[-7:]) == b"Answer:"


def test_what_was_cut_is_counted_and_named(load):
    rows = [ask(number, context="가" * 200) for number in range(20, 25)]
    samples = prepare(load(ROWS, [ask(30), *rows], *ROOM), Characters()).evaluate
    assert fitting.describe(samples, 90) == (
        "Cut: 5 of 6 held-out questions are too long for 90 tokens and are asked with less of their passage: "
        "q20, q21, q22 and 2 more"
    )
    assert fitting.describe(samples[:1], 90) is None


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_most_that_fits_is_found(size, room):
    assert fitting.longest(size, lambda length: length <= room) == max(0, min(size - 1, room))


@pytest.mark.parametrize("form", ["instruction", "chat"])
def test_every_format_with_a_passage_is_cut(load, form):
    class Chats(Characters):
        chat_template = "x"

        def apply_chat_template(self, turns, tokenize, add_generation_prompt=False, **_):
            return "".join(turn["content"] for turn in turns)

    loaded = load(ROWS, [ask(10, context="가" * 900)], "model.max_tokens=500", f"prompt.format={form}")
    [sample] = prepare(loaded, Chats()).evaluate
    assert (sample.cut, len(sample.tokens.prompt_ids)) == (True, 500 - loaded.recipe.evaluate.max_new_tokens)
