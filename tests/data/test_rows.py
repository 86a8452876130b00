"""Rows of a recipe: nothing is dropped without being counted, groups stay on one side, and a leak is refused."""

import pytest
from asked import LONG, MIXED, ROWS, ask, prepare, refusal
from characters import Characters
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hft.data import prepare as rows
from hft.data import rows as rows_

QUICK = settings(
    deadline=None, database=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HALF, TITLES = "data.held_out=0.5", "data.train.group=title"


@pytest.mark.parametrize(
    ("given_rows", "counts"),
    [
        (
            (
                [*MIXED, ask(20)],
                None,
                "data.train.first=16",
                "data.train.sample=8",
                "data.held_out=0.25",
                "evaluate.rows=1",
            ),
            {
                "train": {
                    "read": 16,
                    "duplicate": -2,
                    "empty": -2,
                    "not sampled": -4,
                    "held out": -2,
                    "too long": -1,
                    "kept": 5,
                },
                "evaluate": {"held out": 2, "not sampled": -1, "kept": 1},
            },
        ),
        (
            (ROWS[:4], [*MIXED[5:15], ask(20)], "data.evaluate.sample=5", "evaluate.rows=3"),
            {
                "train": {"read": 4, "kept": 4},
                "evaluate": {"read": 11, "empty": -2, "not sampled": -6, "kept": 3},
            },
        ),
    ],
)
def test_every_filter_is_counted_in_its_order(load, given_rows, counts):
    once = rows_.read(loaded := load(*given_rows))
    assert [rows.prepare(loaded, once, Characters()).counts for _ in range(2)] == [counts, counts]


@QUICK
@given(
    st.lists(st.sampled_from(MIXED), max_size=20),
    st.none() | st.integers(5, 20),
    st.none() | st.integers(2, 9),
    st.floats(0.1, 0.5),
)
def test_read_and_all_that_was_dropped_is_what_is_kept(load, more, first, sample, share):
    limits = (f"data.train.first={first or 'null'}", f"data.train.sample={sample or 'null'}", f"data.held_out={share}")
    prepared = prepare(load(ROWS + more, None, *limits, "data.memorise=true"), Characters())
    for counts, samples in zip(prepared.counts.values(), prepared[:2], strict=True):
        assert sum(counts.values()) - counts["kept"] == counts["kept"] == len(samples) > 0
    assert prepared.counts["train"]["read"] == min(10 + len(more), first or 99)


def test_no_row_that_is_asked_is_dropped(load):
    twice = {**ROWS[4], "id": "again"}
    loaded = load(ROWS[5:], [ROWS[4], twice, LONG], "model.max_tokens=90", "evaluate.max_new_tokens=10")
    prepared = prepare(loaded, Characters())
    assert [one.id for one in prepared.evaluate] == ["q4", "again", "q10"]
    assert prepared.counts["evaluate"] == {"read": 3, "kept": 3}
    assert [one.cut for one in prepared.evaluate] == [False, False, True]


@pytest.mark.parametrize(("limit", "kept"), [(30, 1), (31, 2)])
def test_the_limit_counts_the_prompt_the_answer_and_their_ends(load, limit, kept):
    loaded = load([ask(1), ask(2, context="")], None, f"model.max_tokens={limit}")  # q1: 1 + 25 + 4 + 1 tokens
    assert [len(prepare(loaded, tokenizer).train) for tokenizer in (Characters(), None)] == [kept, 2]


def test_a_sample_keeps_its_row_adds_the_mapped_columns_and_puts_the_trained_answer_first(load):
    row = {"Q": "가?", "A": "나", "context": "글", "answers": ["너", "나"]}
    assert prepare(load([row], None, "data.train.columns={question: Q, answer: A}")).train == [
        (
            "1",
            {**row, "question": "가?", "answer": "나"},
            "글\n\nQuestion: 가?\nAnswer:",
            ["나", "너"],
            None,
            None,
            None,
            False,
        )
    ]


@pytest.mark.parametrize(
    ("train", "changes", "message"),
    [
        (
            [ask(1), {"Q": "가?", "A": "나"}],
            ["data.train.columns={question: question}"],
            "train.jsonl, row 2: no column 'question'; it has: Q, A\n  Fix: mend data.train.columns in the recipe",
        ),
        (
            [ask(1), {"Q": "가?", "context": "나"}],
            [],
            "train.jsonl, row 2: the format 'question' wants 'question'; the row has: Q, context\n"
            "  Fix: map the column in the recipe: data.train.columns: {question: YOUR_COLUMN}; "
            "or choose another format",
        ),
        (
            [ask(1, answer="")],
            [],
            "no train row is left: read 1, empty -1, kept 0\n"
            "  Fix: look at the filters (model.max_tokens = 60, first, sample): hft prepare mine",
        ),
        (
            ROWS,
            [HALF, TITLES],
            "row q0 has no column 'title' to split by; it has: id, context, question, answer\n"
            "  Fix: mend data.train.group",
        ),
        (
            [ask(i, title="한강") for i in range(3)],
            [HALF, TITLES],
            "1 group(s) of 'title' cannot be split: nothing would be left to train on\n"
            "  Fix: choose another data.train.group",
        ),
    ],
)
def test_what_cannot_be_prepared_is_named(load, train, changes, message):
    assert refusal(load(train, None, *changes)) == message


def test_a_leak_is_refused_with_its_counts_unless_it_is_meant(load):
    passage = {"context": "글" * 40}
    held = [ROWS[0], {**ROWS[1], **passage, "question": "새로?"}, ask(50)]
    train = [*ROWS[:9], {**ROWS[9], **passage}]
    assert refusal(load(train, held)) == (
        "mine: held-out rows are also trained on: of 3 held-out rows 1 are training rows, 1 have a trained context, "
        "1 have 80% or more of their 24-character pieces in training rows (mean 33%); 1 repeat a question's wording\n"
        "  held-out row q0 has 100.0% of its pieces in training row q0:\n"
        "    글 0 0?\n"
        "    글 0 0?\n"
        "  held-out row q1 has 100.0% of its pieces in training row q9:\n"
        f"    {'글' * 40} 새로?\n"
        f"    {'글' * 40} 9?\n"
        "  Fix: choose other rows, split by a column (data.held_out, data.train.group), or say you mean it: "
        "data.memorise: true"
    )
    assert prepare(load(train, held, "data.memorise=true")).overlap[:4] == (3, 1, 1, 1)


@QUICK
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=30),
    st.floats(0.01, 0.99),
    st.sampled_from(["title", None]),
    st.integers(0, 9),
)
def test_no_group_is_on_both_sides_and_no_row_is_lost(groups, share, group, seed):
    samples = [rows_.Sample(str(i), {"title": title}, "", [], None) for i, title in enumerate(groups)]
    largest = max(groups.count(one) for one in groups) if group else 1
    assume(share * len(samples) + largest <= len(samples))  # else there may be nothing left to train on
    train, held = rows.split(samples, share, group, seed)
    assert (train, held) == rows.split(samples, share, group, seed)
    assert (train, held) == ([one for one in samples if one not in held], [one for one in samples if one not in train])
    assert not group or not {one.row["title"] for one in train} & {one.row["title"] for one in held}
    assert share * len(samples) <= len(held) < share * len(samples) + largest


@QUICK
@given(st.integers(0, 30), st.none() | st.integers(1, 40), st.integers(0, 99))
def test_a_sample_is_seeded_and_in_the_rows_own_order(size, wanted, seed):
    count = {"not sampled": -1}
    samples = [rows_.Sample(str(i), {}, "", [], None) for i in range(size)]
    chosen = [int(one.id) for one in rows_.sample(samples, wanted, seed, count)]
    assert chosen == sorted(set(chosen)) == [int(one.id) for one in rows_.sample(samples, wanted, seed, {})]
    assert (len(chosen), count) == (min(size, wanted or size), {"not sampled": -1 + len(chosen) - size})


@pytest.mark.parametrize("what", [HALF, "data.train.sample=5"])
def test_another_seed_chooses_other_rows(load, what):
    assert len({str(prepare(load(ROWS, None, what, f"train.seed={seed}")).train) for seed in range(5)}) == 5


def test_too_few_rows_to_split_are_named_as_that(load):
    assert all("'None'" not in refusal(load([row], None, HALF), Characters()) for row in (ask(1), LONG))


@pytest.mark.parametrize(
    ("train", "changes"),
    [
        ([ask(i, id=None) for i in range(4)], [HALF]),
        ([ask(i, title="가나나나나나나나나나"[i]) for i in range(10)], [HALF, TITLES]),
    ],
    ids=["ids are null", "one small and one large group"],
)
def test_rows_that_can_be_split_are_split(load, train, changes):
    assert all(prepare(load(train, None, *changes))[:2])


def test_columns_that_differ_by_case_do_not_collide(load):
    row = {"question": "small", "Question": "Large?", "context": "글", "Answer": "답", "answer": "small"}
    [one] = prepare(load([row], None, "data.train.columns={question: Question, answer: Answer}")).train
    assert (one.prompt, one.answers) == ("글\n\nQuestion: Large?\nAnswer:", ["답"])
