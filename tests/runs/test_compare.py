"""Do two runs match? Each way in which they can differ, its place in the order, and the verdict."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passports import changed

from hft import files
from hft.runs import answers, compare
from hft.runs.answers import Made

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
    "artefacts": {"adapter/adapter_model.safetensors": "w", "answers/adapter.jsonl": "y", "metrics.jsonl": "x"},
}
OTHER_WEIGHTS = {"artefacts>adapter/adapter_model.safetensors": "v"}
NAN = float("nan")
CLOSE = {"training>losses": [3.0, 2.501, 2.003, 1.799], **OTHER_WEIGHTS}
APART = {"training>losses": [3.0, 2.4, 1.9, 1.7], **OTHER_WEIGHTS}


def change(changes, run=RUN):
    """The run with other values at the keys that `>` leads to."""
    return changed(run, changes)


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
    result = compare.compare(Made("A", RUN), Made("B", change(changes)))
    assert (result.verdict, (result.differences or [None])[0]) == (verdict, first)


def elsewhere(**files):
    """The run with a model that its recipe found in a folder."""
    values = {
        "description": "a",
        "model": {"name": "models/m", "revision": "local"},
        "train": RUN["recipe"]["values"]["train"],
    }
    return change({"recipe>values": values, "model": {"name": "models/m", "commit": None, "files": files}})


def from_the_hub(**files):
    """The run with a model that its recipe had from the Hub."""
    values = {**elsewhere()["recipe"]["values"], "model": {"name": "lab/m", "revision": "main"}}
    return change({"recipe>values": values, "model": {"name": "lab/m", "commit": "c", "files": files}})


@pytest.mark.parametrize(
    ("one", "other", "verdict", "first"),
    [
        (from_the_hub(weights="m"), elsewhere(weights="m"), "identical", None),
        (from_the_hub(weights="m"), elsewhere(weights="n"), "differ", ("base model", "weights: m / n")),
        (
            from_the_hub(),  # content that is not known cannot be the same
            elsewhere(weights="m"),
            "differ",
            ("recipe", "model.name: lab/m / models/m; model.revision: main / local"),
        ),
    ],
)
def test_a_model_in_another_folder_is_the_same_model(one, other, verdict, first):
    result = compare.compare(Made("A", one), Made("B", other))
    assert (result.verdict, (result.differences or [None])[0]) == (verdict, first)


def test_exports_come_after_a_run_and_make_it_no_other():
    one, other = (change({"recipe>values>export": {"formats": formats, "max_drop": 5.0}}) for formats in ([], ["q8_0"]))
    assert compare.compare(Made("A", one), Made("B", other)).verdict == "identical"
    assert compare.compare(Made("A", RUN), Made("B", other)).verdict == "identical"  # an older version without the key


def test_a_difference_stands_on_one_line():
    one, other = (change({"recipe>values>prompt": {"prefill": prefill}}) for prefill in ("", "<think>\n"))
    result = compare.compare(Made("A", one), Made("B", other))
    assert result.differences == [("recipe", "prompt.prefill: '' / <think>\\n")]


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
            [1.0, NAN],
            [1.0, 1.0],
            "2 steps, losses at most inf and on average inf apart; A has NaN at step 2; "
            "they part at step 2: nan / 1.0000",
            False,
        ),
        (
            [1.0, 1.0, NAN, NAN],
            [1.0, 1.5, NAN, NAN],
            "4 steps, losses at most inf and on average inf apart; both have NaN at step 3; "
            "they part at step 2: 1.0000 / 1.5000",
            False,
        ),
        (
            [math.inf],
            [math.inf],
            "1 steps, losses at most inf and on average inf apart; both have inf at step 1; "
            "they part at step 1: inf / inf",
            False,
        ),
        (
            [1.0, NAN],
            [1.0, -math.inf],
            "2 steps, losses at most inf and on average inf apart; both have NaN and -inf at step 2; "
            "they part at step 2: nan / -inf",
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


def column(right, of=500, **more):
    """A passport's column; its intervals are left to whoever reads it."""
    share = {"mean": 100 * right / of, "low": 0.0, "high": 100.0}
    return {"questions": of, "exact_match": share, "f1": share, "contains": share, **more}


def folder(path, hits, changes=None, rewards=None):
    """A run folder whose answers are right or wrong as `hits` says."""
    path.mkdir()
    (path / "answers").mkdir()
    records = [{"id": str(n), "answer": str(hit), "exact_match": hit} for n, hit in enumerate(hits)]
    if rewards:
        records = [{**record, "reward": reward} for record, reward in zip(records, rewards, strict=True)]
    files.write_jsonl(path / "answers" / "adapter.jsonl", records)
    more = {"reward": {"mean": sum(rewards) / len(rewards), "low": 0.0, "high": 9.0}} if rewards else {}
    asked = column(sum(hits), len(hits), **more)
    evaluation = {"base": asked, "adapter": asked}
    files.write_json(path / "passport.json", change({"evaluation": evaluation, **(changes or {})}))
    return path


def answered(*counts):
    """`answered(3, 2)`: three right, then two wrong, and so on."""
    return [1.0 - place % 2 for place, count in enumerate(counts) for _ in range(count)]


def lines(invoke, one, other, *options):
    """The exit code, and what the command says, by the word before it."""
    result = invoke("compare", str(one), str(other), *options)
    said = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    return result.exit_code, said


def test_scores_are_compared_on_the_same_questions(invoke, tmp_path):
    """8 of 500 won and none lost is no chance, though each score lies deep in the other's interval."""
    before = folder(tmp_path / "a", answered(341, 159))
    after = folder(tmp_path / "b", answered(349, 151), CLOSE)
    code, said = lines(invoke, before, after)
    assert (code, said["verdict"]) == (1, "differ")
    assert said["scores"] == "exact match 68.2 / 69.8, difference +1.6 [+0.4, +2.8] on the same 500 questions"
    assert said["answers"] == "8 of 500 differ"
    assert said["curves"].startswith("4 steps, losses at most 0.003")


def test_a_difference_that_chance_explains_is_a_match(invoke, tmp_path):
    """Four of 72 lost, from 72 of 72: neither score lies in the other's old interval, and McNemar's p is 0.125."""
    before = folder(tmp_path / "a", answered(72))
    after = folder(tmp_path / "b", answered(68, 4), CLOSE)
    code, said = lines(invoke, before, after / "passport.json")
    assert (code, said["verdict"]) == (0, "match")
    assert said["scores"] == "exact match 100.0 / 94.4, difference -5.6 [-13.4, +0.8] on the same 72 questions"


@pytest.mark.parametrize(
    ("right", "verdict", "said"),
    [
        ((72, 68), "match", "exact match 100.0 / 94.4, difference -5.6 [-13.4, +0.8]"),
        ((72, 60), "differ", "exact match 100.0 / 83.3, difference -16.7 [-26.9, -7.8]"),
    ],
)
def test_passports_alone_are_judged_by_the_difference_of_their_shares(invoke, tmp_path, right, verdict, said):
    """Whatever interval an older version wrote: all of 72 is [95, 100] and not [100, 100]."""
    old = {"mean": 100.0, "low": 100.0, "high": 100.0}
    asked = [column(hits, 72) for hits in right]
    asked[0]["exact_match"] = old
    for name, one, more in zip("ab", asked, ({}, CLOSE), strict=True):
        files.write_json(tmp_path / f"{name}.json", change({"evaluation": {"adapter": one}, **more}))
    _, found = lines(invoke, tmp_path / "a.json", tmp_path / "b.json")
    assert (found["verdict"], found["scores"]) == (verdict, f"{said} {answers.FROM_PASSPORTS}")


@pytest.mark.parametrize(
    ("changes", "said", "verdict"),
    [
        ({}, "the same by their hashes", "identical"),
        ({**CLOSE, "artefacts>answers/adapter.jsonl": "z"}, "they differ by their hashes: not kept in {}", "match"),
    ],
)
def test_a_published_reference_holds_no_answers(invoke, tmp_path, changes, said, verdict):
    """references/NAME has passport, evaluation and metrics, and scores are then those of the passports."""
    mine = folder(tmp_path / "mine", answered(68, 4), changes)
    reference = folder(tmp_path / "reference", answered(68, 4))
    (reference / "answers" / "adapter.jsonl").unlink()
    (reference / "answers").rmdir()
    for sides, side in (((mine, reference), "B"), ((reference, mine), "A")):
        code, found = lines(invoke, *sides)
        assert (code, found["answers"], found["verdict"]) == (0, said.format(side), verdict)
        assert found["scores"] == f"exact match 94.4 / 94.4, difference +0.0 [-8.8, +8.8] {answers.FROM_PASSPORTS}"


def test_other_questions_are_not_paired(invoke, tmp_path):
    before = folder(tmp_path / "a", answered(40, 60))
    after = folder(tmp_path / "b", answered(41, 60), CLOSE)
    _, said = lines(invoke, before, after)
    assert said["scores"] == f"exact match 40.0 / 40.6, difference +0.6 [-12.8, +13.9] {answers.FROM_PASSPORTS}"
    assert said["answers"] == "to other questions"


def test_equal_weights_that_answer_otherwise_are_not_identical(invoke, tmp_path):
    before = folder(tmp_path / "a", answered(40, 60))
    same = folder(tmp_path / "b", answered(40, 60))
    other = folder(tmp_path / "c", answered(39, 1, 1, 59))
    code, said = lines(invoke, before, same)
    assert (code, said["answers"], said["verdict"]) == (0, "all 100 are the same", "identical")
    code, said = lines(invoke, before, other)
    assert (code, said["answers"], said["verdict"]) == (0, "2 of 100 differ", "match")


@pytest.mark.parametrize(
    ("changes", "said", "verdict"),
    [
        ({}, "the same by their hashes", "identical"),
        (
            {"artefacts>answers/adapter.jsonl": "z"},
            "they differ by their hashes: name the run folders to see how many",
            "match",
        ),
        (
            {"artefacts": {"adapter/adapter_model.safetensors": "w"}},
            "unknown: neither a run folder nor a hash in the passport",
            "match",
        ),
        ({"evaluation": None}, "only A was evaluated", "differ"),
    ],
)
def test_passports_tell_answers_by_their_hashes(changes, said, verdict):
    for turned in (False, True):
        sides = (Made("A", RUN), Made("B", change(changes)))
        result = compare.compare(*(reversed(sides) if turned else sides))
        expected = said.replace("only A", "only B") if turned else said
        assert (result.answers, result.verdict) == (expected, verdict)
        if changes == {"evaluation": None}:
            assert result.scores == expected


def test_runs_that_were_never_evaluated_are_compared_by_their_weights_and_curves():
    unasked = change({"evaluation": None})
    result = compare.compare(Made("A", unasked), Made("B", unasked))
    assert (result.verdict, result.answers, result.scores) == ("identical", "not evaluated", "not evaluated")
    result = compare.compare(Made("A", unasked), Made("B", change(CLOSE, unasked)))
    assert result.verdict == "match"


@pytest.mark.parametrize("weights", [{}, OTHER_WEIGHTS])
def test_nan_in_both_is_named_and_is_no_agreement(invoke, tmp_path, weights):
    lost = {"training>losses": [3.0, 2.5, NAN, NAN]}
    files.write_json(tmp_path / "a.json", change(lost))
    files.write_json(tmp_path / "b.json", change({**lost, **weights}))
    code, said = lines(invoke, tmp_path / "a.json", tmp_path / "b.json")
    assert "both have NaN at step 3" in said["curves"]
    assert (code, said["verdict"]) == ((1, "differ") if weights else (0, "identical"))


GRPO = {"recipe>values>method": "grpo", "training>losses": [0.0] * 30}
RISES = [0.1 * min(step, 12) + 0.05 * (step % 3) for step in range(30)]


def learned(*rewards):
    """Two grpo runs with equal losses, other weights and these rewards of their steps."""
    weights = ({}, OTHER_WEIGHTS)
    return [
        Made(name, change({**GRPO, "training>rewards": list(steps), **more}))
        for name, steps, more in zip("AB", rewards, weights, strict=True)
    ]


@pytest.mark.parametrize(
    ("other", "verdict", "said"),
    [
        (RISES, "match", "30 steps, the same mean reward at each"),
        (
            [0.05 * (step % 3) for step in range(30)],
            "differ",
            "30 steps, mean reward over the last 10 1.255 / 0.055, difference -1.200 [-1.235, -1.165]; "
            "other rewards from step 2",
        ),
        (
            [*RISES[:5], *(reward + 0.03 * (-1) ** step for step, reward in enumerate(RISES[5:]))],
            "match",
            "30 steps, mean reward over the last 10 1.255 / 1.255, difference +0.000 [-0.038, +0.038]; "
            "other rewards from step 6",
        ),
        ([*RISES[:20], *(reward + 0.06 for reward in RISES[20:])], "match", None),  # within 5 % of the range
        ([*RISES[:20], *(reward + 0.09 for reward in RISES[20:])], "differ", None),
        ([*RISES[:28], NAN, 1.0], "differ", "30 steps, rewards: B has NaN at step 29"),
        (RISES[:28], "differ", "rewards: one ends after step 28 of 30"),
    ],
)
def test_grpo_is_compared_by_its_rewards(other, verdict, said):
    """Losses of grpo are near 0 by construction: one run that learned and one that did not would agree."""
    result = compare.compare(*learned(RISES, other))
    assert (result.verdict, result.curve) == (verdict, said or result.curve)


def test_grpo_with_nan_rewards_in_both_does_not_agree():
    lost = [*RISES[:28], NAN, NAN]
    result = compare.compare(*learned(lost, lost))
    assert (result.verdict, result.curve) == ("differ", "30 steps, rewards: both have NaN at step 29")


def test_grpo_without_the_rewards_of_its_steps_says_so():
    old = Made("A", change(GRPO))
    result = compare.compare(old, learned(RISES, RISES)[1])
    assert result.verdict == "match"
    assert result.curve == (
        "30 steps, losses at most 0 and on average 0 apart; "
        "grpo's losses say little, and the passport of A has no rewards of the steps"
    )


def test_the_rewards_of_the_answers_are_compared_too(invoke, tmp_path):
    """Right answers alike, but every one worth a little less."""
    rewards = [1.0 + n % 5 for n in range(100)]
    before = folder(tmp_path / "a", answered(40, 60), rewards=rewards)
    after = folder(tmp_path / "b", answered(40, 60), CLOSE, rewards=[reward - 0.25 for reward in rewards])
    code, said = lines(invoke, before, after)
    assert (code, said["verdict"]) == (1, "differ")
    assert said["scores"].endswith(
        "; mean reward 3.00 / 2.75, difference -0.25 [-0.25, -0.25] on the same 100 questions"
    )
    for run in (before, after):
        (run / "answers" / "adapter.jsonl").unlink()
    code, said = lines(invoke, before, after)
    assert "mean reward 3.00 / 2.75, difference -0.25 [-6.85, +6.68]" in said["scores"]
    assert said["scores"].endswith(answers.FROM_PASSPORTS)


@pytest.fixture
def passports(tmp_path):
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
def test_the_command_says_it_with_its_exit_code(invoke, passports, name, options, code, said):
    result = invoke("compare", str(passports / "a.json"), str(passports / f"{name}.json"), *options)
    assert (result.exit_code, said in result.output) == (code, True), result.output
