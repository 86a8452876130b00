"""Overlap of held-out and training rows: exact counts on rows small enough to count by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data import prepare, rows
from hft.data.overlap import Overlap, grams, measure, texts
from hft.recipe import file as recipe_file

QUICK = settings(deadline=None, database=None, max_examples=60)
SHORT = "한강은 서울을 지난다."
OTHER = "낙동강은 부산을 지난다."


def words(first, last):
    """낱1 낱2 ...: each number is one word, so eight following numbers are one 8-gram."""
    return " ".join(f"낱{i}" for i in range(first, last + 1))


def row(context, question, answer="답"):
    return {"context": context, "question": question, "answer": answer}


def talk(*said):
    return {"messages": [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(said)]}


COUNTS = [  # what, training rows, held-out rows, counts
    ("nothing in common", [row(SHORT, "어디?")], [row(OTHER, "어느 강?")], Overlap(1, 0, 0, 0, 0, 0)),
    ("the same row", [row(SHORT, "어디?")], [row(SHORT, "어디?")], Overlap(1, 1, 1, 1, 0, 0)),
    (
        "the same row with another answer",
        [row(SHORT, "어디?", "가")],
        [row(SHORT, "어디?", "나")],
        Overlap(1, 1, 1, 1, 0, 0),
    ),
    (
        "the same row in other white space",
        [row(SHORT, "어디 를?")],
        [row(f" {SHORT}\n".replace(" ", "  "), "어디\t를?")],
        Overlap(1, 1, 1, 1, 0, 0),
    ),
    (
        "a trained context with a new question",
        [row(SHORT, "어디?")],
        [row(SHORT, "무엇이?")],
        Overlap(1, 0, 1, 0, 0, 0),
    ),
    ("a repeated wording over a new context", [row(SHORT, "어디?")], [row(OTHER, "어디?")], Overlap(1, 0, 0, 1, 0, 0)),
    (
        "context and question from two rows",
        [row(SHORT, "가?"), row(OTHER, "나?")],
        [row(SHORT, "나?")],
        Overlap(1, 0, 1, 1, 0, 0),
    ),
    (
        "seven words have no 8-gram",
        [row(words(1, 7), "가?")],
        [row(words(1, 7) + ".", "나?")],
        Overlap(1, 0, 0, 0, 0, 0),
    ),
    ("eight words are one", [row(words(1, 9), "가?")], [row(words(1, 8), "나?")], Overlap(1, 0, 0, 0, 1, 1)),
    ("4 of 9 are not yet half", [row(words(1, 11), "가?")], [row(words(1, 16), "나?")], Overlap(1, 0, 0, 0, 0, 4 / 9)),
    ("5 of 9 are more", [row(words(1, 12), "가?")], [row(words(1, 16), "나?")], Overlap(1, 0, 0, 0, 1, 5 / 9)),
    ("5 of 10 are exactly half", [row(words(1, 12), "가?")], [row(words(1, 17), "나?")], Overlap(1, 0, 0, 0, 1, 1 / 2)),
    (
        "the 8-grams of two rows add up",
        [row(words(1, 8), "가?"), row(words(2, 9), "가?")],
        [row(words(1, 9), "나?")],
        Overlap(1, 0, 0, 0, 1, 1),
    ),
    (
        "large and small letters are one",
        [row("A b C d E f G h", "a?")],
        [row("a B c D e F g H", "b?")],
        Overlap(1, 0, 0, 0, 1, 1),
    ),
    (
        "the mean is over all held-out rows",
        [row(words(1, 8), "가?")],
        [row(words(1, 8), "나?"), row(SHORT, "나?"), row(OTHER, "나?")],
        Overlap(3, 0, 1, 0, 1, 1 / 3),
    ),
    (
        "questions without a context",
        [row("", "가?"), row("", words(1, 8))],
        [row("", "가?"), row("", words(1, 9)), row("", "나?")],
        Overlap(3, 1, 0, 1, 1, 1 / 6),
    ),
    (
        "no context at all, or null",
        [{"question": "가?"}],
        [{"question": "가?", "context": None}],
        Overlap(1, 1, 0, 1, 0, 0),
    ),
    (
        "with a context, a question's 8-grams do not count",
        [row(SHORT, words(1, 8))],
        [row(OTHER, words(1, 8))],
        Overlap(1, 0, 0, 1, 0, 0),
    ),
    (
        "Alpaca's names",
        [{"instruction": "가?", "input": SHORT}],
        [{"instruction": "가?", "input": SHORT}, {"instruction": "나?", "input": ""}],
        Overlap(2, 1, 1, 1, 0, 0),
    ),
    (
        "a conversation is what comes before its answer",
        [talk("가?", "하나")],
        [talk("가?", "둘"), talk("나?", "하나")],
        Overlap(2, 1, 0, 1, 0, 0),
    ),
    (
        "a longer conversation",
        [talk("가", "나", "다", "라")],
        [talk("가", "나", "다", "마"), talk("가", "나")],
        Overlap(2, 1, 0, 1, 0, 0),
    ),
    ("no held-out rows", [row(SHORT, "가?")], [], Overlap(0, 0, 0, 0, 0, 0)),
    ("no training rows", [], [row(SHORT, "가?")], Overlap(1, 0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("what", "train", "evaluate", "counts"), COUNTS, ids=[what for what, *_ in COUNTS])
def test_the_counts_are_as_counted_by_hand(what, train, evaluate, counts):
    assert measure(train, evaluate) == pytest.approx(counts)


@pytest.mark.parametrize(
    ("counts", "leaks"),
    [
        (Overlap(9, 0, 0, 0, 0, 0), False),
        (Overlap(9, 0, 0, 9, 0, 0.4), False),  # wordings may be repeated
        (Overlap(9, 1, 0, 0, 0, 0), True),
        (Overlap(9, 0, 1, 0, 0, 0), True),
        (Overlap(9, 0, 0, 0, 4, 0.1), False),
        (Overlap(9, 0, 0, 0, 5, 0.5), True),
    ],
)
def test_one_known_row_or_context_is_a_leak_and_so_are_many_suspects(counts, leaks):
    assert counts.leaks is leaks


def test_the_description_names_every_count():
    assert Overlap(100, 1, 2, 30, 4, 0.05).describe() == (
        "of 100 held-out rows 1 are training rows, 2 have a trained context, 4 have 50% or more of their 8-grams in "
        "training rows (mean 5%); 30 repeat a question's wording"
    )


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), (words(1, 7), 0), (words(1, 8), 1), (words(1, 10), 3), ("가 " * 20, 1)]
)
def test_a_text_has_as_many_8_grams_as_it_has_different_places(text, count):
    assert len(grams(text)) == count


CONTEXTS = st.text("가나 ", max_size=4) | st.integers(0, 30).map(lambda i: words(i, i + 9))
ROWS = st.lists(st.builds(row, CONTEXTS, st.text("가나?", min_size=1, max_size=3)), min_size=1, max_size=8)


@QUICK
@given(ROWS, ROWS)
def test_counts_never_exceed_the_rows_and_do_not_depend_on_the_order(train, evaluate):
    counts = measure(train, evaluate)
    assert counts.rows == len(evaluate)
    assert all(0 <= count <= counts.rows for count in counts[1:5])
    assert 0 <= counts.ngrams <= 1
    assert measure(train[::-1], evaluate[::-1]) == pytest.approx(counts)
    assert measure(train + train, evaluate) == counts


@QUICK
@given(ROWS)
def test_training_on_the_held_out_rows_is_seen_in_full(same):
    counts = measure(same, same)
    assert counts.same_row == len(same)
    assert counts.same_context == sum(bool(texts(one)[0]) for one in same)
    assert counts.same_question == sum(bool(texts(one)[1]) for one in same)
    assert counts.suspect == sum(bool(grams(texts(one)[0] or texts(one)[1])) for one in same)


RECIPE = """{"method": "sft", "model": {"name": "m", "revision": "r", "max_tokens": 9},
"prompt": {"format": "mine.py:form"}, "train": {"batch_size": 1, "steps": 1, "learning_rate": 0.1},
"data": {"memorise": true, "train": {"source": "jsonl", "file": "a.jsonl"},
"evaluate": {"source": "jsonl", "file": "b.jsonl"}}}"""


@pytest.mark.parametrize(("held", "leaks"), [("1 + 1", True), ("2 + 2", False)], ids=["same", "other"])
def test_rows_with_columns_of_their_own_leak_where_they_are_the_same(tmp_path, monkeypatch, held, leaks):
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))
    (tmp_path / "mine.yaml").write_text(RECIPE)
    (tmp_path / "mine.py").write_text("def form(row, told):\n    return row['Problem'], row['Solution']\n")
    (tmp_path / "a.jsonl").write_text('{"Problem": "1 + 1", "Solution": "2"}')
    (tmp_path / "b.jsonl").write_text(f'{{"Problem": "{held}", "Solution": "2"}}')
    loaded = recipe_file.load("mine")
    assert prepare.prepare(loaded, rows.read(loaded)).overlap.leaks is leaks


def test_the_same_conversation_in_other_white_space_is_the_same():
    assert measure([talk("가  나?\n", "하나")], [talk("가 나?", "하나")]).same_row == 1
