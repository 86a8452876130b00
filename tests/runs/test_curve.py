"""Reference curves: kept beside the recipe, taken along by a run of that very recipe, and left with a word."""

import json
import shutil

import pytest
from conftest import ROOT

from hft import files
from hft.recipe import file as recipe_file
from hft.runs import curve
from hft.runs import folder as runs


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder with the quickstart, and a finished run of it."""
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.setenv("HFT_RUNS", str(tmp_path / "runs"))
    loaded = recipe_file.load("quickstart")
    run = tmp_path / "runs" / "quickstart" / f"20261122T000000-{loaded.digest[:12]}"
    run.mkdir(parents=True)
    files.write_json(
        run / runs.PASSPORT,
        {
            "run": run.name,
            "recipe": {"digest": loaded.digest, "overrides": []},
            "libraries": {},
            "plan": {},
            "training": {"losses": [3.0, 2.0], "steps": 2, "of_steps": 2},
        },
    )
    return run


def bless(invoke, lab):
    return invoke("bless", "quickstart", HFT_RECIPES=str(lab.parents[2] / "recipes"), HFT_RUNS=str(lab.parents[1]))


def test_a_blessed_curve_goes_along_with_later_runs_of_that_very_recipe(lab, invoke, tmp_path):
    result = bless(invoke, lab)
    assert result.exit_code == 0, result.output
    path = tmp_path / "recipes" / "quickstart.curve.json"
    assert result.output == f"{path} is the reference curve now\n"
    assert json.loads(path.read_text())["losses"] == [3.0, 2.0]
    for settings, expected in (((), [3.0, 2.0]), (("train.seed=1",), [])):
        run = tmp_path / f"run{len(settings)}"
        run.mkdir()
        curve.take_along(recipe_file.load("quickstart", settings), run)
        assert curve.of_run(run) == expected
    assert "quickstart.curve" not in invoke("list", HFT_RECIPES=str(tmp_path / "recipes")).output


def test_a_run_that_was_cut_short_is_not_blessed(lab, invoke):
    facts = runs.passport(lab)
    files.write_json(lab / runs.PASSPORT, {**facts, "training": {**facts["training"], "steps": 1}})
    result = bless(invoke, lab)
    assert (result.exit_code, "ended after step 1 of 2\n  Fix: bless a whole run" in result.output) == (1, True)


def test_a_run_that_lost_its_numbers_is_not_blessed(lab, invoke):
    facts = runs.passport(lab)
    files.write_json(lab / runs.PASSPORT, {**facts, "training": {**facts["training"], "losses": [3.0, float("nan")]}})
    result = bless(invoke, lab)
    said = "is nan at step 2\n  Fix: bless a whole run whose losses are numbers\n"
    assert (result.exit_code, said in result.output) == (1, True), result.output


def test_a_run_of_another_recipe_is_not_blessed(lab, invoke, tmp_path):
    path = tmp_path / "recipes" / "quickstart.yaml"
    path.write_text(path.read_text().replace("seed: 3407", "seed: 3408"))
    result = bless(invoke, lab)
    assert (result.exit_code, "the recipe quickstart is not what" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("step", "loss", "leaves"),
    [(1, 3.0, False), (1, 3.019, False), (2, 2.5, True), (2, float("nan"), True), (3, 9.9, False)],
)
def test_a_loss_leaves_the_band(step, loss, leaves):
    assert bool(curve.left([3.0, 2.0], step, loss)) == leaves


@pytest.mark.parametrize("loss", [2.0, float("nan"), float("inf")])
def test_no_loss_follows_a_reference_that_is_no_number(loss):
    assert "leaves the recipe's reference curve (nan, within 0.02)" in curve.left([3.0, float("nan")], 2, loss)


@pytest.mark.slow
def test_the_watcher_says_it_once(tmp_path, capsys):
    from types import SimpleNamespace

    from hft.train import watcher

    files.write_json(tmp_path / curve.KEPT, {"losses": [3.0, 2.0, 1.0]})
    with watcher.watcher(tmp_path, [1, 1, 1], None) as seen:
        for step, loss in enumerate([3.0, 2.5, 1.5], 1):
            seen.seconds.append(1.0)
            seen.on_log(None, SimpleNamespace(global_step=step), None, logs={"loss": loss})
    assert (
        capsys.readouterr().out.count(
            "Warning, step 2: the loss 2.5000 leaves the recipe's reference curve (2.0000, within 0.02)"
        )
        == 1
    )
    assert (seen.summary()["reference_left_at"], seen.summary()["losses"]) == (2, [3.0, 2.5, 1.5])
