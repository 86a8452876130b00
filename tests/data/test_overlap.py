"""Overlap of held-out and training rows: exact counts on rows small enough to count by hand."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data import prepare, rows
from hft.data.overlap import GRAM, PASSAGE, Overlap, grams, measure, plain, texts
from hft.recipe import file as recipe_file

QUICK = settings(deadline=None, database=None, max_examples=60)
RIVER = "한강은 태백에서 시작하여 여러 도시를 지나고 서울의 한가운데를 거쳐 서해로 흘러 들어가는 긴 강이다."
OTHER = "낙동강은 태백산맥에서 나와 대구와 부산을 지나 남해로 흘러 들어가며 길이는 오백 킬로미터를 조금 넘는다."


def letters(first, last):
    """Different characters, one a place, so that GRAM following ones are one gram; with spaces that do not count."""
    return " ".join(chr(0xAC00 + place) for place in range(first, last + 1))


def row(context, question, answer="답"):
    return {"context": context, "question": question, "answer": answer}


def talk(*said):
    return {"messages": [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(said)]}


COUNTS = [  # what, training rows, held-out rows, counts
    ("nothing in common", [row(RIVER, "어디?")], [row(OTHER, "어느 강?")], (1, 0, 0, 0, 0, 0)),
    ("the same row", [row(RIVER, "어디?")], [row(RIVER, "어디?")], (1, 1, 1, 1, 1, 1)),
    ("the same row, another answer", [row(RIVER, "어디?", "가")], [row(RIVER, "어디?", "나")], (1, 1, 1, 1, 1, 1)),
    (
        "other white space",
        [row(RIVER, "어디 를?")],
        [row(f" {RIVER} ".replace(" ", "\n"), "어디를?")],
        (1, 1, 1, 1, 1, 1),
    ),
    (
        "characters of no width, letters in two parts, wide and large letters",
        [row(RIVER, "ＡＢＣ 어디?")],
        [row(unicodedata.normalize("NFD", RIVER).replace(" ", "\u200b"), "abc\u00ad\ufeff어디？")],
        (1, 1, 1, 1, 1, 1),
    ),
    ("a trained context, a new question", [row(RIVER, "어디?")], [row(RIVER, "무엇이?")], (1, 0, 1, 0, 1, 1)),
    ("a repeated wording over a new context", [row(RIVER, "어디?")], [row(OTHER, "어디?")], (1, 0, 0, 1, 0, 0)),
    (
        "context and question from two rows",
        [row(RIVER, "가?"), row(OTHER, "나?")],
        [row(RIVER, "나?")],
        (1, 0, 1, 1, 1, 1),
    ),
    ("a placeholder in place of a context", [row("<noinput>", "가?")], [row("<noinput>", "나?")], (1, 0, 0, 0, 0, 0)),
    ("a short input", [row("서울과 부산", "어디?")], [row("서울과 부산", "몇 명?")], (1, 0, 0, 0, 0, 0)),
    ("the same short row", [row("<noinput>", "가?")], [row("<NOINPUT>", "가?")], (1, 1, 0, 1, 0, 0)),
    (
        "39 characters are no passage",
        [row(letters(1, 39), "가?")],
        [row(letters(1, 39), "나?")],
        (1, 0, 0, 0, 1, 16 / 18),
    ),
    ("40 characters are one", [row(letters(1, 40), "가?")], [row(letters(1, 40), "나?")], (1, 0, 1, 0, 1, 1)),
    (
        "a short input of an instruction that many rows share does not stand for the instruction",
        [row("개", letters(1, 60))],
        [row("고양이", letters(1, 60))],
        (1, 0, 0, 1, 0, 0),
    ),
    (
        "a question of its own counts beside a short input",
        [row("-", letters(1, 60))],
        [row("-", letters(1, 58))],
        (1, 0, 0, 0, 1, 1),
    ),
    ("23 characters have no gram", [row("", letters(1, 23))], [row("", letters(1, 23) + "다")], (1, 0, 0, 0, 0, 0)),
    ("24 are one", [row("", letters(1, 25))], [row("", letters(1, 24))], (1, 0, 0, 0, 1, 1)),
    ("7 of 10 are no copy", [row("", letters(1, 30))], [row("", letters(1, 33))], (1, 0, 0, 0, 0, 0.7)),
    ("8 of 10 are one", [row("", letters(1, 31))], [row("", letters(1, 33))], (1, 0, 0, 0, 1, 0.8)),
    (
        "the grams of two rows add up",
        [row("", letters(1, 24)), row("", letters(2, 25))],
        [row("", letters(1, 25))],
        (1, 0, 0, 0, 1, 1),
    ),
    (
        "the mean is over all held-out rows",
        [row(RIVER, "가?")],
        [row(RIVER, "나?"), row(OTHER, "나?"), row("", "다?")],
        (3, 0, 1, 0, 1, 1 / 3),
    ),
    ("no context at all, or null", [{"question": "가?"}], [{"question": "가?", "context": None}], (1, 1, 0, 1, 0, 0)),
    (
        "with a passage, a question's grams do not count",
        [row(RIVER, letters(1, 30))],
        [row(OTHER, letters(1, 30))],
        (1, 0, 0, 1, 0, 0),
    ),
    (
        "Alpaca's names",
        [{"instruction": "가?", "input": RIVER}],
        [{"instruction": "가?", "input": RIVER}, {"instruction": "나?", "input": ""}],
        (2, 1, 1, 1, 1, 0.5),
    ),
    (
        "a conversation is what comes before its answer",
        [talk("가?", "하나")],
        [talk("가?", "둘"), talk("나?", "하나")],
        (2, 1, 0, 1, 0, 0),
    ),
    ("a conversation in other white space", [talk("가  나?\n", "하나")], [talk("가 나?", "하나")], (1, 1, 0, 1, 0, 0)),
    (
        "a conversation in parts",
        [{"messages": [{"role": "user", "content": [{"type": "text", "text": "가?"}]}, {"role": "assistant"}]}],
        [talk("가?", "나")],
        (1, 1, 0, 1, 0, 0),
    ),
    ("no held-out rows", [row(RIVER, "가?")], [], (0, 0, 0, 0, 0, 0)),
    ("no training rows", [], [row(RIVER, "가?")], (1, 0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("what", "train", "evaluate", "counts"), COUNTS, ids=[what for what, *_ in COUNTS])
def test_the_counts_are_as_counted_by_hand(what, train, evaluate, counts):
    assert measure(train, evaluate)[:6] == pytest.approx(counts)


RIVERS = f"{OTHER} {OTHER[:30]} {RIVER} {OTHER[30:]} {RIVER[:20]} {OTHER}"
CHINESE = "长江是亚洲最长的河流发源于青藏高原流经十一个省市最后注入东海全长六千三百多公里是中国的母亲河之一"


@pytest.mark.parametrize(
    ("trained", "held"),
    [
        (RIVERS, RIVERS.replace("긴 강이다", "강이다")),
        (RIVERS, RIVERS.replace(" ", "")[:-3] + " 못 미친다."),
        (CHINESE, CHINESE[:-1] + "二"),
    ],
    ids=["one word less", "compounds written together", "no spaces at all"],
)
def test_a_near_copy_is_one_in_every_script_and_named_beside_its_original(trained, held):
    counts = measure([row(OTHER, "가?"), {**row(trained, "나?"), "id": "t7"}], [row("", "다?"), row(held, "라?")])
    assert (counts.same_context, counts.suspect, counts.leaks) == (0, 1, True)
    [pair] = counts.worst
    assert (pair.held_out, pair.train) == ("2", "t7")
    assert 0.8 <= pair.share < 1


def test_rows_of_one_pattern_are_no_near_copies():
    made = "A patient comes to the clinic with {} since yesterday. Which ward should see them first?".format
    counts = measure([row("", made("nausea"))], [row("", made("blurred vision"))])
    assert (counts.suspect, counts.leaks, counts.worst) == (0, False, [])
    assert counts.ngrams == pytest.approx(25 / 61)


def test_three_hundred_rows_with_the_same_placeholder_condemn_nothing():
    train = [{"instruction": f"Name {i} rivers.", "input": "<noinput>", "output": "x"} for i in range(300)]
    held = [{"instruction": f"Name {i} towns.", "input": "<noinput>", "output": "x"} for i in range(300)]
    counts = measure(train, held)
    assert counts[:5] == (300, 0, 0, 0, 0)
    assert not counts.leaks


@pytest.mark.parametrize(
    ("counts", "leaks"),
    [
        (Overlap(20, 0, 0, 0, 0, 0), False),
        (Overlap(20, 0, 0, 20, 0, 0.4), False),  # wordings may be repeated
        (Overlap(20, 1, 0, 0, 0, 0), True),
        (Overlap(20, 0, 1, 0, 0, 0), True),
        (Overlap(20, 0, 0, 0, 1, 0.1), False),  # 5 in a hundred are borne
        (Overlap(20, 0, 0, 0, 2, 0.2), True),
        (Overlap(0, 0, 0, 0, 0, 0), False),
    ],
)
def test_one_known_row_or_passage_is_a_leak_and_so_are_more_than_a_few_near_copies(counts, leaks):
    assert counts.leaks is leaks


def test_the_description_names_every_count_and_the_three_worst_pairs():
    long = [letters(100 * i, 100 * i + 80) for i in range(5)]
    train = [{"id": f"t{i}", **row("", text)} for i, text in enumerate(long)]
    held = [
        {"id": "h0", **row("", long[0][:-6] + "가 나")},
        {"id": "h1", **row("", "무엇?")},
        {"id": "h2", **row("", long[2])},
        {"id": "h3", **row("", long[3][:-20])},
        {"id": "h4", **row("", long[4][:-2] + "가")},
    ]
    counts = measure(train, held)
    assert [(pair.held_out, pair.train, round(pair.share, 3)) for pair in counts.worst] == [
        ("h2", "t2", 1.0),
        ("h3", "t3", 1.0),
        ("h4", "t4", 0.983),
    ]
    first, *lines = counts.describe().splitlines()
    assert first == (
        "of 5 held-out rows 1 are training rows, 0 have a trained context, 4 have 80% or more of their 24-character "
        f"pieces in training rows (mean {counts.ngrams:.0%}); 1 repeat a question's wording"
    )
    assert lines[6:] == [
        "  held-out row h4 has 98.3% of its pieces in training row t4:",
        f"    {(long[4][:-2] + '가')[:60]}...",
        f"    {long[4][:60]}...",
    ]
    assert json.loads(json.dumps(counts._asdict()))["worst"][0][:2] == ["h2", "t2"]
    assert counts.facts()["worst"][2] == {"held_out": "h4", "train": "t4", "share": pytest.approx(57 / 58)}


def test_rows_are_named_by_their_place_where_they_have_no_id():
    assert measure([row("", "가?"), row("", "나?")], [row("", "나?")]).worst[0][:3] == ("1", "2", 1.0)


@pytest.mark.parametrize("text", ["", letters(1, GRAM - 1), letters(1, GRAM), letters(1, GRAM + 2), "가" * 60])
def test_a_text_has_as_many_grams_as_it_has_different_places(text):
    whole = plain(text)
    assert len(grams(whole)) == (1 if text == "가" * 60 else max(0, len(whole) - GRAM + 1))


CONTEXTS = st.text("가나 ", max_size=4) | st.integers(0, 30).map(lambda i: letters(i, i + PASSAGE))
ROWS = st.lists(st.builds(row, CONTEXTS, st.text("가나?", min_size=1, max_size=3)), min_size=1, max_size=8)


@QUICK
@given(ROWS, ROWS)
def test_counts_never_exceed_the_rows_and_do_not_depend_on_the_order(train, evaluate):
    counts = measure(train, evaluate)
    assert counts.rows == len(evaluate)
    assert all(0 <= count <= counts.rows for count in counts[1:5])
    assert 0 <= counts.ngrams <= 1
    assert len(counts.worst) <= 3
    assert all(0 < pair.share <= 1 for pair in counts.worst)
    assert measure(train[::-1], evaluate[::-1])[:6] == pytest.approx(counts[:6])
    assert measure(train + train, evaluate)[:6] == counts[:6]


@QUICK
@given(ROWS)
def test_training_on_the_held_out_rows_is_seen_in_full(same):
    counts = measure(same, same)
    assert counts.same_row == counts.same_question == len(same)
    assert counts.same_context == sum(len(texts(one)[0]) >= PASSAGE for one in same)
    assert counts.worst[0].share == 1


@QUICK
@given(st.text(max_size=40), st.text(" \t\n\u200b\u00a0\ufeff", max_size=3), st.integers(0, 40))
def test_what_no_reader_sees_does_not_count(text, unseen, place):
    assert plain(text[:place] + unseen + text[place:]) in (plain(text), plain(text[:place]) + plain(text[place:]))


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
