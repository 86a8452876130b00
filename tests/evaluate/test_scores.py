"""Columns of scores: what is kept of them byte for byte, the table, the headline, and scores of a prediction file."""

import json
from pathlib import Path

import pytest

from hft import files
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import scores
from hft.evaluate.metrics import Interval
from hft.evaluate.scores import Column, Part

GOLDEN = Path(__file__).parent / "evaluation.golden.json"  # as hft 0.1 wrote it
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


def test_evaluation_json_is_what_it_always_was(tmp_path):
    scores.keep(tmp_path, "adapter", REASONED)
    scores.keep(tmp_path, "base", PLAIN)
    assert (tmp_path / "evaluation.json").read_bytes() == GOLDEN.read_bytes()


def test_what_is_read_back_is_what_was_written(tmp_path):
    read = {name: scores.of_json(facts) for name, facts in json.loads(GOLDEN.read_text()).items()}
    assert read == {"base": scores.summary(PLAIN), "adapter": scores.summary(REASONED)}
    files.write_json(tmp_path / "again.json", {name: column.as_json() for name, column in read.items()})
    assert (tmp_path / "again.json").read_bytes() == GOLDEN.read_bytes()


def test_a_column_names_what_it_holds():
    column = scores.summary(REASONED)
    assert (column.questions, column.scores["contains"]) == (3, Interval(66.67, 0.0, 100.0))
    assert (column.reward, column.rewards["answer"]) == (Interval(3.0, 0.5, 8.0), Interval(0.0, -2.5, 5.0))
    assert column.reasoning["tokens"] == Interval(13.0, 13.0, 13.0)
    assert (column.answers, column.drawn["any_right"]) == (2, Interval(100.0, 100.0, 100.0))
    assert column.by == {"when": Part(1, 0.0), "who": Part(2, 50.0)}
    assert scores.headline(column) == ("answer right", Interval(33.33, 0.0, 100.0))
    assert scores.headline(scores.summary(PLAIN)) == ("exact match", Interval(33.33, 0.0, 100.0))


def test_the_table_of_a_plain_recipe():
    other = scores.summary([{**record, "by": "who", "exact_match": 1.0} for record in PLAIN])
    assert scores.table({"base": scores.summary(PLAIN), "adapter": other}) == (
        "3 held-out questions, scores x 100 [95 % interval]\n"
        "                     base               adapter\n"
        "exact match          33.3 [0.0, 100.0]  100.0 [100.0, 100.0]\n"
        "character F1         44.4 [0.0, 100.0]  44.4 [0.0, 100.0]\n"
        "contains             66.7 [0.0, 100.0]  66.7 [0.0, 100.0]\n"
        "exact match by part\n"
        "  when (1)           0.0                -\n"
        "  who (2)            50.0               100.0"
    )


def test_the_table_of_a_reasoning_recipe():
    silent = [{**record, "drawn": None} for record in REASONED]
    for record in silent:
        del record["drawn"]
    assert scores.table({"base": scores.summary(REASONED), "adapter": scores.summary(silent)}) == (
        "3 held-out questions, scores x 100 [95 % interval]\n"
        "                                    base                  adapter\n"
        "answer right                        33.3 [0.0, 100.0]     33.3 [0.0, 100.0]\n"
        "format kept                         100.0 [100.0, 100.0]  100.0 [100.0, 100.0]\n"
        "reasoning in its language           0.0 [0.0, 0.0]        0.0 [0.0, 0.0]\n"
        "answer right, 2 drawn               66.7 [50.0, 100.0]    -\n"
        "format kept, 2 drawn                100.0 [100.0, 100.0]  -\n"
        "reasoning in its language, 2 drawn  0.0 [0.0, 0.0]        -\n"
        "any right, 2 drawn                  100.0 [100.0, 100.0]  -\n"
        "tokens, not x 100                   13.0 [13.0, 13.0]     13.0 [13.0, 13.0]\n"
        "mean reward, not x 100              3.00 [0.50, 8.00]     3.00 [0.50, 8.00]\n"
        "  format_exact                      3.00 [3.00, 3.00]     3.00 [3.00, 3.00]\n"
        "  answer                            0.00 [-2.50, 5.00]    0.00 [-2.50, 5.00]\n"
        "answer right by part\n"
        "  when (1)                          0.0                   0.0\n"
        "  who (2)                           50.0                  50.0"
    )


def test_a_column_without_rewards_keeps_them_out_of_the_table():
    plain = Column(3, scores.summary(PLAIN).scores)
    rewarded = Column(3, plain.scores, Interval(1, 1, 1), {"answer": Interval(1, 1, 1)})
    assert "reward" not in scores.table({"base": plain, "adapter": rewarded})


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


def test_predictions_come_in_the_samples_order(tmp_path):
    (tmp_path / "said.json").write_text('\ufeff{"b": 7, "a": null, "c": "x"}', encoding="utf-8")
    assert scores.predictions(tmp_path / "said.json", SAMPLES) == [None, "7"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", " holds a list, not an object\n  Fix: a prediction file is {"),
        ('{"x": "1"}', ": none of its 1 ids is a question of this recipe (such as a)\n  Fix: is it the right recipe?"),
    ],
)
def test_another_file_is_refused(tmp_path, text, problem):
    (tmp_path / "said.json").write_text(text)
    with pytest.raises(HftError) as error:
        scores.predictions(tmp_path / "said.json", SAMPLES)
    assert problem in error.value.message


def test_a_prediction_file_is_scored_on_a_recipe(invoke, tmp_path):
    from hft.data import prepare, rows
    from hft.recipe import file as recipe_file

    loaded = recipe_file.load("quickstart", ("evaluate.rows=4",))
    samples = prepare.prepare(loaded, rows.read(loaded)).evaluate
    given = {sample.id: sample.answers[0] for sample in samples[:3]}
    (tmp_path / "said.json").write_text(json.dumps(given))
    done = invoke("evaluate", "quickstart", "--set", "evaluate.rows=4", "--predictions", "said.json")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "4 held-out questions, scores x 100 [95 % interval]"
    assert lines[2].split() == ["exact", "match", "75.0", "[25.0,", "100.0]"]
    assert lines[-1] == "1 answers are missing and count 0"
    done = invoke("evaluate", "quickstart", "--set", "data.evaluate=null", "--predictions", "said.json")
    assert (done.exit_code, "has no held-out rows\n  Fix: add data.evaluate" in done.output) == (1, True)
