"""Rows of a recipe: nothing is dropped without being counted, groups stay on one side, and a leak is refused."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_prompts import Characters

from hft import recipe_file, rows
from hft.errors import HftError

QUICK = settings(deadline=None, database=None, max_examples=60)
ONE_FOLDER = settings(QUICK, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
RECIPE = {"method": "sft", "model": {"name": "m", "revision": "r", "max_tokens": 60}, "prompt": {"format": "question"},
          "train": {"batch_size": 1, "steps": 1, "learning_rate": 1.0e-3, "seed": 7}}


def ask(number, **more):
    return {"id": f"q{number}", "context": f"글 {number}", "question": f"{number}?", "answer": f"답 {number}", **more}


ROWS = [ask(number) for number in range(10)]
MIXED = [*ROWS, ROWS[3], ask(11, answer=" \n"), ask(12, answer=""), {**ROWS[4], "id": "again"}, ask(10, context="글" * 60), ask(4, answer="다른 답")]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """load(training rows, held-out rows) writes mine.yaml and its files, and loads it; the rest are keys for its sections."""
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))

    def call(train, held=None, *, source=(), held_source=(), data=(), **sections):
        wanted = {"train": {"source": "jsonl", "file": "train.jsonl", **dict(source)}, **dict(data)}
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in train))
        if held is not None:
            wanted["evaluate"] = {"source": "jsonl", "file": "held.jsonl", **dict(held_source)}
            (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
        (tmp_path / "mine.yaml").write_text(json.dumps({**RECIPE, "data": wanted, **sections}))  # JSON is YAML
        return recipe_file.load("mine")

    return call


def prepare(loaded, tokenizer=None):
    return rows.prepare(loaded, rows.read(loaded), tokenizer)


def refusal(loaded, tokenizer=None):
    with pytest.raises(HftError) as error:
        prepare(loaded, tokenizer)
    return error.value.message.replace(str(loaded.path.parent), "HERE")


def ids(samples):
    return [one.id for one in samples]


def test_every_filter_is_counted_in_its_order(load):
    loaded = load(MIXED, source={"first": 15, "sample": 8}, data={"held_out": 0.25}, evaluate={"rows": 1})
    once = rows.read(loaded)
    prepared = rows.prepare(loaded, once, Characters())
    assert prepared.counts == {
        "train": {"read": 15, "duplicate": -2, "empty": -2, "too long": -1, "not sampled": -2, "held out": -2, "kept": 6},
        "evaluate": {"held out": 2, "not sampled": -1, "kept": 1}}
    assert once.counts == {"train": {"read": 15, "duplicate": -2, "empty": -2}}, "what is read once serves many tokenizers"
    assert [len(side) for side in prepared[:2]] == [6, 1]


def test_held_out_rows_of_their_own_are_counted_alike(load):
    prepared = prepare(load(ROWS[:4], MIXED[5:], held_source={"sample": 5}, evaluate={"rows": 3}), Characters())
    assert prepared.counts == {"train": {"read": 4, "kept": 4},
                               "evaluate": {"read": 11, "empty": -2, "too long": -1, "not sampled": -5, "kept": 3}}


@ONE_FOLDER
@given(st.lists(st.sampled_from(MIXED), max_size=20), st.none() | st.integers(1, 12), st.none() | st.integers(1, 12),
       st.sampled_from([0.1, 0.3, 0.5]))
def test_read_and_all_that_was_dropped_is_what_is_kept(load, some, first, sample, share):
    loaded = load(ROWS + some, source={"first": first and first + 5, "sample": sample and sample + 1}, data={"held_out": share, "memorise": True})
    prepared = prepare(loaded, Characters())
    for side, samples in (("train", prepared.train), ("evaluate", prepared.evaluate)):
        counts = prepared.counts[side]
        assert sum(counts.values()) - counts["kept"] == counts["kept"] == len(samples) > 0
    assert prepared.counts["train"]["read"] == min(10 + len(some), first + 5 if first else 99)


def test_without_a_tokenizer_the_length_filter_is_left_out(load):
    assert prepare(load(MIXED)).counts == {"train": {"read": 16, "duplicate": -2, "empty": -2, "kept": 12}}
    assert all(one.tokens is None for one in prepare(load(MIXED)).train)


@pytest.mark.parametrize(("limit", "kept"), [(29, False), (30, True)])
def test_the_limit_counts_the_prompt_the_answer_and_their_ends(load, limit, kept):
    loaded = load([ask(1), ask(2, context="")], model={**RECIPE["model"], "max_tokens": limit})  # 1 + 24 + 4 + 1 tokens, and 5 fewer
    assert ids(prepare(loaded, Characters()).train) == ["q1", "q2"][not kept:]


def test_a_sample_is_what_the_source_gave_with_its_answers_the_trained_one_first(load):
    given_row = ask(1, answers=["다른", "답 1"], extra=[1])
    one, = prepare(load([given_row])).train
    assert one == ("q1", given_row, "글 1\n\nQuestion: 1?\nAnswer:", ["답 1", "다른"], None)
    assert ids(prepare(load([{**row, "id": 5} if i else {k: row[k] for k in row if k != "id"} for i, row in enumerate(ROWS[:2])])).train) == ["1", "5"]


def test_mapped_columns_are_added_and_the_rows_own_stay(load):
    one, = prepare(load([{"Q": "가?", "A": "나", "context": ""}], source={"columns": {"question": "Q", "answer": "A"}})).train
    assert (one.prompt, one.answers, one.row) == ("Question: 가?\nAnswer:", ["나"], {"Q": "가?", "A": "나", "context": "", "question": "가?", "answer": "나"})


@pytest.mark.parametrize(("train", "options", "message"), [
    ([ask(1), {"Q": "가?", "A": "나"}], {"source": {"columns": {"question": "question"}}},
     "train.jsonl, row 2: no column 'question'; it has: Q, A\n  Fix: mend data.train.columns in the recipe"),
    ([ask(1), {"Q": "가?", "context": "나"}], {},
     "train.jsonl, row 2: the format 'question' wants 'question'; the row has: Q, context\n"
     "  Fix: map the column in the recipe: data.train.columns: {answer: YOUR_COLUMN}"),
    ([ask(1, answer="")], {}, "no train row is left: read 1, empty -1, kept 0\n"
     "  Fix: look at the filters (model.max_tokens = 60, first, sample): hft prepare mine"),
    ([], {}, "no train row is left: read 0, kept 0\n  Fix: look at the filters (model.max_tokens = 60, first, sample): hft prepare mine"),
    (ROWS, {"data": {"held_out": 0.5}, "source": {"group": "title"}},
     "row q0 has no column 'title' to split by; it has: id, context, question, answer\n  Fix: mend data.train.group"),
    ([ask(i, title="한강") for i in range(3)], {"data": {"held_out": 0.5}, "source": {"group": "title"}},
     "1 group(s) of 'title' cannot be split: nothing would be left to train on\n  Fix: choose another data.train.group"),
], ids=["mapped", "format", "empty", "none", "no group", "one group"])
def test_what_cannot_be_prepared_is_named(load, train, options, message):
    assert refusal(load(train, **options)) == message


def test_a_leak_is_refused_with_its_counts_unless_it_is_meant(load):
    held = [ROWS[0], {**ROWS[1], "question": "새로?"}, ask(50)]
    assert refusal(load(ROWS, held)) == (
        "mine: held-out rows are also trained on: of 3 held-out rows 1 are training rows, 2 have a trained context, 0 have 50% or more of "
        "their 8-grams in training rows (mean 0%); 1 repeat a question's wording\n  Fix: choose other rows, split by a column "
        "(data.held_out, data.train.group), or say you mean it: data.memorise: true")
    meant = prepare(load(ROWS, held, data={"memorise": True}))
    assert (len(meant.evaluate), meant.overlap.same_row, meant.overlap.same_context) == (3, 1, 2)


def some(groups):
    return [rows.Sample(str(i), {"title": group}, "", [], None) for i, group in enumerate(groups)]


@QUICK
@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.floats(0.01, 0.99), st.sampled_from(["title", None]), st.integers(0, 9))
def test_no_group_is_on_both_sides_and_no_row_is_lost(groups, share, group, seed):
    samples = some(groups)
    try:
        train, held = rows.split(samples, share, group, seed)
    except HftError as error:
        assert "nothing would be left to train on" in error.message
        return
    assert (train, held) == rows.split(samples, share, group, seed)
    assert sorted(train + held, key=lambda one: int(one.id)) == samples
    assert ids(train) == sorted(ids(train), key=int) and ids(held) == sorted(ids(held), key=int)
    if group:
        assert not {one.row["title"] for one in train} & {one.row["title"] for one in held}
    largest = max(groups.count(one) for one in groups) if group else 1
    assert train and share * len(samples) <= len(held) < share * len(samples) + largest


@QUICK
@given(st.integers(0, 30), st.none() | st.integers(1, 40), st.integers(0, 99))
def test_a_sample_is_seeded_and_in_the_rows_own_order(size, wanted, seed):
    count = {"not sampled": -1}
    chosen = rows.sample(list(range(size)), wanted, seed, count)
    assert chosen == sorted(set(chosen)) == rows.sample(list(range(size)), wanted, seed, None or {})
    assert len(chosen) == min(size, wanted or size)
    assert count == {"not sampled": -1 + len(chosen) - size}


def test_another_seed_chooses_others():
    assert rows.sample(list(range(100)), 5, 1, {}) != rows.sample(list(range(100)), 5, 2, {})
    assert ids(rows.split(some(range(100)), 0.1, None, 1)[1]) != ids(rows.split(some(range(100)), 0.1, None, 2)[1])
