"""Do two runs match? Each way in which they can differ, its place in the order, and the verdict."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.runs import compare

GOOD = {"mean": 80.0, "low": 73.0, "high": 86.0}
SCORE = {"questions": 160, "exact_match": GOOD, "f1": GOOD, "contains": GOOD}
WORSE = {**SCORE, "exact_match": {"mean": 50.0, "low": 42.0, "high": 58.0}}
RUN = {
    "run": "20261122T000000-0123456789ab",
    "recipe": {"name": "mine", "values": {"description": "a", "train": {"seed": 1, "batch_size": 8}}, "python": {}},
    "data": {"sources": {"train": {"file": "a.jsonl", "sha256": "a"}}, "tokens_in_order": "t"},
    "parent": None,
    "model": {"name": "m", "commit": None, "files": {"model.safetensors": "m"}},
    "libraries": {"torch": "2.13.0", "trl": "1.15.0"},
    "machine": {
        "gpus": [],
        "cpu": "x",
        "system": "Linux-6.1-x86_64-with-glibc2.36",
        "image": {"lock": "l", "packages": ["a==1"]},
    },
    "plan": {
        "device": "cpu",
        "rows_per_device": 8,
        "accumulation": 1,
        "precision": "fp32",
        "why": {"device": "no GPU"},
    },
    "training": {"losses": [3.0, 2.5, 2.0, 1.8]},
    "evaluation": {"base": SCORE, "adapter": SCORE},
    "artefacts": {"adapter/adapter_model.safetensors": "w", "metrics.jsonl": "x"},
}
OTHER_WEIGHTS = {"artefacts>adapter/adapter_model.safetensors": "v"}
CLOSE = {"training>losses": [3.0, 2.501, 2.003, 1.799], **OTHER_WEIGHTS}
APART = {"training>losses": [3.0, 2.4, 1.9, 1.7], **OTHER_WEIGHTS}


def change(changes):
    """The run with other values at the keys that `>` leads to."""
    made = copy.deepcopy(RUN)
    for key, value in changes.items():
        *way, last = key.split(">")
        place = made
        for part in way:
            place = place[part]
        place[last] = value
    return made


@pytest.mark.parametrize(
    ("changes", "verdict", "first"),
    [
        ({}, "identical", None),
        ({"run": "another", "recipe>values>description": "b", "plan>why": {}}, "identical", None),  # words, not results
        (CLOSE, "match", None),
        ({"recipe>values>train>seed": 2, **APART}, "differ", ("recipe", "train.seed: 1 / 2")),
        (
            {"recipe>values>train>seed": 2},
            "differ",
            ("recipe", "train.seed: 1 / 2"),
        ),  # even with equal weights: it was asked for another run
        ({"recipe>python": {"mine.py": "x"}}, "differ", ("recipe", "the Python beside it")),
        (
            {"data>sources": {"train": {"file": "a.jsonl", "sha256": "b"}}, "data>tokens_in_order": "u", **APART},
            "differ",
            ("data", "train.sha256: a / b"),
        ),
        ({"data>tokens_in_order": "u"}, "differ", ("data", "other rows, or in another order")),
        ({"model>files": {"model.safetensors": "n"}}, "differ", ("base model", "model.safetensors: m / n")),
        (
            {"parent": {"recipe": "p", "digest": "d", "weights": "w"}},
            "differ",
            ("parent", "recipe: None / p; digest: None / d; and 1 more"),
        ),
        (
            {"libraries": {"torch": "2.13.1", "trl": "1.15.0"}, **CLOSE},
            "match",
            ("libraries", "torch: 2.13.0 / 2.13.1"),
        ),
        ({"libraries": {"torch": "2.13.1", "trl": "1.15.0"}}, "identical", ("libraries", "torch: 2.13.0 / 2.13.1")),
        (
            {"libraries": {"torch": "2.13.1", "trl": "1.15.0"}, **APART},
            "differ",
            ("libraries", "torch: 2.13.0 / 2.13.1"),
        ),
        ({"machine>image": {"lock": "k", "packages": ["a==2"]}, **CLOSE}, "match", ("image", "lock: l / k")),
        ({"machine>image": None, **CLOSE}, "match", ("image", "lock: l / None")),
        (
            {"plan>rows_per_device": 4, "plan>accumulation": 2, **CLOSE},
            "match",
            ("plan", "rows_per_device: 8 / 4; accumulation: 1 / 2"),
        ),
        (
            {"machine>system": "Linux-6.1-x86_64-with-glibc2.41", **CLOSE},
            "match",
            ("machine", "libc: glibc2.36 / glibc2.41"),
        ),
        (
            {"machine>gpus": [{"name": "H200"}], "plan>device": "cuda", "plan>precision": "bf16", **CLOSE},
            "match",
            ("machine", "gpus: [] / ['H200']"),
        ),
        ({"training>losses": [3.0, 2.5], **OTHER_WEIGHTS}, "differ", None),
        ({"training>losses": [], **OTHER_WEIGHTS}, "differ", None),
        (
            {"evaluation": {"base": SCORE, "adapter": WORSE}, **CLOSE},
            "differ",
            None,
        ),
        ({"evaluation": None, **CLOSE}, "differ", None),
    ],
)
def test_each_difference_has_its_verdict_and_is_named_first(changes, verdict, first):
    result = compare.compare(RUN, change(changes))
    assert (result.verdict, (result.differences or [None])[0]) == (verdict, first)


@pytest.mark.parametrize(
    ("one", "other", "said", "together"),
    [
        ([1.0, 2.0], [1.0, 2.0], "2 steps, losses at most 0 and on average 0 apart", True),
        (
            [1.0, 2.0],
            [1.0, 2.5],
            "2 steps, losses at most 0.5 and on average 0.25 apart; they part at step 2: 2.0000 / 2.5000",
            False,
        ),
        ([1.0, 2.0], [1.01, 2.01], "2 steps, losses at most 0.01 and on average 0.01 apart, more than 0.004", False),
        ([1.0, 2.0], [1.0], "1 steps, losses at most 0 and on average 0 apart; one ends after step 1 of 2", False),
        (
            [1.0, float("nan")],
            [1.0, 1.0],
            "2 steps, losses at most inf and on average inf apart; they part at step 2: nan / 1.0000",
            False,
        ),
        ([], [1.0], "no losses to compare", False),
    ],
)
def test_curves_part_at_a_step(one, other, said, together):
    assert compare.curves(one, other, 0.02, 0.004) == (said, together)


@settings(deadline=None, database=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_curves_compare_alike_from_both_sides(one, other):
    assert compare.curves(one, other, 0.02, 0.004)[1] == compare.curves(other, one, 0.02, 0.004)[1]
    assert compare.curves(one, one, 0.02, 0.004)[1]


@pytest.fixture
def files(tmp_path):
    for name, changes in {"a": {}, "same": {}, "far": APART, "other": {"recipe>values>train>seed": 2}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(change(changes)))
    (tmp_path / "broken.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "options", "code", "said"),
    [
        ("same", [], 0, "verdict      identical"),
        ("far", [], 1, "they part at step 2: 2.5000 / 2.4000"),
        ("far", ["--tolerance", "1"], 1, "more than 0.008"),
        ("other", [], 1, "first difference  recipe: train.seed: 1 / 2"),
        (
            "broken",
            [],
            1,
            "broken.json is not a passport: KeyError: 'recipe'\n  Fix: name a run folder or its passport.json",
        ),
        ("absent", [], 1, "is neither a run folder nor a recipe"),
    ],
)
def test_the_command_says_it_with_its_exit_code(invoke, files, name, options, code, said):
    result = invoke("compare", str(files / "a.json"), str(files / f"{name}.json"), *options)
    assert (result.exit_code, said in result.output) == (code, True), result.output
