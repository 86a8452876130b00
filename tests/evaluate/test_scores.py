"""Columns of scores: what is kept of them byte for byte, the table, the headline, and scores of a prediction file."""

import json
from pathlib import Path

import pytest

from hft import files
from hft.data.rows import Sample
from hft.evaluate import scores
from hft.evaluate.metrics import Interval
from hft.evaluate.scores import Part

GOLDEN = Path(__file__).parent / "evaluation.golden.json"  # as hft writes it, byte for byte
PLAIN = [
    {"exact_match": 1.0, "f1": 1.0, "contains": 1.0, "by": "who"},
    {"exact_match": 0.0, "f1": 1 / 3, "contains": 0.0, "by": "when"},
    {"exact_match": 0.0, "f1": 0.0, "contains": 1.0, "by": "who"},
]


def thought(right, tokens):
    return {"right": right, "format": 1.0, "language": 0.0, "tokens": tokens}


REASONED = [
    {
        **record,
        "reward": reward,
        "rewards": {"format_exact": 3.0, "answer": reward - 3},
        "reasoning": thought(right, 13),
        "drawn": [{"answer": "x", **thought(1.0, 9)}, {"answer": "y", **thought(right, 8)}],
    }
    for record, right, reward in zip(PLAIN, (1.0, 0.0, 0.0), (8.0, 0.5, 0.5), strict=True)
]


def ask(run, evaluate=None):
    """A run that has asked both models three questions, a sample of those of `evaluate`."""
    if evaluate:
        files.write_json(run / "data.json", {"rows": {"evaluate": evaluate}})
    scores.keep(run, "adapter", REASONED)
    scores.keep(run, "base", PLAIN)


def test_evaluation_json_keeps_its_form_and_all_digits(tmp_path):
    ask(tmp_path, {"read": 9, "not sampled": -6, "kept": 3})
    assert (tmp_path / "evaluation.json").read_text() == GOLDEN.read_text()


def test_what_is_read_back_is_what_was_written(tmp_path):
    ask(tmp_path)
    read = {
        name: scores.of_json(facts) for name, facts in json.loads((tmp_path / "evaluation.json").read_text()).items()
    }
    assert read == scores.of_run(tmp_path)
    assert read["base"].of is None
    golden = {name: scores.of_json(facts) for name, facts in json.loads(GOLDEN.read_text()).items()}
    files.write_json(tmp_path / "again.json", {name: column.as_json() for name, column in golden.items()})
    assert (tmp_path / "again.json").read_text() == GOLDEN.read_text()


def near(interval):
    return tuple(round(value, 1) for value in (interval.mean, interval.low, interval.high))


def test_a_column_names_what_it_holds():
    column = scores.summary(REASONED)
    assert (column.questions, near(column.scores["contains"])) == (3, (66.7, 11.2, 98.8))
    assert (near(column.reward), near(column.rewards["answer"])) == ((3.0, 0.5, 8.0), (0.0, -2.5, 5.0))
    assert column.reasoning["tokens"] == Interval(13.0, 13.0, 13.0)
    assert (column.answers, near(column.drawn["any_right"])) == (2, (100.0, 32.7, 100.0))
    assert column.by == {"when": Part(1, 0.0), "who": Part(2, 50.0)}
    what, headline = scores.headline(column)
    assert (what, near(headline)) == ("answer right", (33.3, 1.2, 88.8))
    assert scores.headline(scores.summary(PLAIN))[0] == "exact match"


@pytest.mark.parametrize(
    ("counts", "of"),
    [
        ({"read": 5774, "not sampled": -5271, "kept": 3}, 5274),
        ({"held out": 3, "kept": 3}, None),
        ({"read": 9, "empty": -6, "kept": 3}, None),
    ],
    ids=["a sample", "all that are held out", "all that say something"],
)
def test_a_sample_says_what_it_is_a_sample_of(tmp_path, counts, of):
    ask(tmp_path, counts)
    assert [column.of for column in scores.of_run(tmp_path).values()] == [of, of]


def answered(run, column, hits):
    records = [
        {"id": str(number), "exact_match": float(right), "f1": float(right), "contains": float(right)}
        for number, right in enumerate(hits)
    ]
    scores.keep(run, column, records)


def test_the_gain_is_over_the_better_base_and_an_exports_over_the_trained_model(tmp_path):
    answered(tmp_path, "base", [0] * 100)
    answered(tmp_path, "base-chat", [1] * 59 + [0] * 41)
    answered(tmp_path, "adapter", [1] * 50 + [0] * 9 + [1] * 18 + [0] * 23)
    answered(tmp_path, "one-q8_0.gguf", [1] * 50 + [0] * 9 + [1] * 17 + [0] * 24)
    columns = scores.of_run(tmp_path)
    assert {name: column.gain and column.gain.over for name, column in columns.items()} == {
        "base": None,
        "base-chat": None,
        "adapter": "base-chat",
        "one-q8_0.gguf": "adapter",
    }
    gain = columns["adapter"].gain.points
    assert (gain.mean, round(gain.low, 1), round(gain.high, 1)) == (9.0, -1.2, 19.0)
    assert columns["one-q8_0.gguf"].gain.points.mean == -1.0
    kept = json.loads((tmp_path / "evaluation.json").read_text())["adapter"]["gain"]
    assert (kept["over"], kept["mean"], kept["low"]) == ("base-chat", 9.0, gain.low)


def thinks(run, column, right, kept):
    records = [
        {**PLAIN[0], "id": str(number), "reasoning": {"right": hit, "format": form, "tokens": 9}}
        for number, (hit, form) in enumerate(zip(right, kept, strict=True))
    ]
    scores.keep(run, column, records)


def test_of_anothers_questions_right_answers_and_their_form_are_compared_with_the_base_alone(tmp_path):
    answered(tmp_path, "base", [0] * 40)
    answered(tmp_path, "base-chat", [1] * 40)
    answered(tmp_path, "adapter", [1] * 40)
    answered(tmp_path, "one-q8_0.gguf", [1] * 40)
    thinks(tmp_path, "base@two", [1] * 20 + [0] * 20, [1] * 40)
    thinks(tmp_path, "adapter@two", [1] * 15 + [0] * 25, [1] * 10 + [0] * 30)
    columns = scores.of_run(tmp_path)
    assert list(columns) == ["base", "base-chat", "adapter", "one-q8_0.gguf", "base@two", "adapter@two"]
    gain = columns["adapter@two"].gain
    assert (columns["base@two"].gain, gain.over, gain.points.mean) == (None, "base@two", -12.5)
    assert {what: points.mean for what, points in gain.form.items()} == {"format": -75.0}
    assert columns["adapter"].gain.form == {}
    kept = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(kept["adapter@two"]["gain"]) == ["format", "high", "low", "mean", "over"]
    assert scores.of_json(kept["adapter@two"]) == columns["adapter@two"]


def test_a_sample_of_anothers_questions_says_of_how_many(tmp_path):
    rows = {"evaluate": {"read": 3, "kept": 3}, "also two": {"read": 9, "not sampled": -6, "kept": 3}}
    files.write_json(tmp_path / "data.json", {"rows": rows})
    for column in ("base", "base@two"):
        answered(tmp_path, column, [1, 0, 1])
    assert [column.of for column in scores.of_run(tmp_path).values()] == [None, 9]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("base", ("base", "")),
        ("adapter@one", ("adapter", "one")),
        ("model@a@b", ("model", "a@b")),
        ("a@b-q8_0.gguf", ("a@b-q8_0.gguf", "")),
    ],
)
def test_a_columns_name_says_whose_questions_it_was_asked(name, parts):
    assert scores.apart(name) == parts
    assert not parts[1] or scores.of_others(*parts) == name


def test_questions_whose_words_have_changed_are_no_gain(tmp_path):
    for column, asked in (("base", "one?"), ("adapter", "two?")):
        scores.keep(tmp_path, column, [{**PLAIN[0], "id": "1", "question": asked}])
    assert scores.of_run(tmp_path)["adapter"].gain is None


def test_other_questions_are_no_gain(tmp_path):
    answered(tmp_path, "base", [0, 1, 0])
    answered(tmp_path, "adapter", [0, 1])
    assert scores.of_run(tmp_path)["adapter"].gain is None


SAMPLES = [
    Sample(name, {"question": f"{name}?", "level": level}, f"{name}?", ["yes"], None)
    for name, level in (("a", 1), ("b", None))
]


def test_a_record_holds_the_question_its_part_and_its_scores():
    records = scores.scored(SAMPLES, ["Yes!", None], "level", [(2.0, {"answer": 2.0}), (0.0, {"answer": 0.0})])
    right = {"exact_match": 1.0, "f1": 1.0, "contains": 0.0, "reward": 2.0, "rewards": {"answer": 2.0}}
    wrong = {"exact_match": 0.0, "f1": 0.0, "contains": 0.0, "reward": 0.0, "rewards": {"answer": 0.0}}
    assert records == [
        {"id": "a", "question": "a?", "truths": ["yes"], "answer": "Yes!", "by": "1", **right},
        {"id": "b", "question": "b?", "truths": ["yes"], "answer": None, "by": "None", **wrong},
    ]


@pytest.mark.parametrize(
    ("row", "shown"),
    [({"question": "a"}, "a"), ({"instruction": "b", "question": ""}, "b"), ({}, "the prompt")],
)
def test_the_question_is_the_rows_own_where_it_has_one(row, shown):
    assert scores.question(Sample("1", row, "the prompt", [""], None)) == shown
