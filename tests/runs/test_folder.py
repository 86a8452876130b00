"""Run folders: which one is found, which one is resumed, and what is said when there is none."""

import json

import pytest

from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.runs import folder as runs


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_RUNS", str(tmp_path / "runs"))
    return recipe_file.load("quickstart")


def finish(run):
    (run / "passport.json").write_text(json.dumps({"finished": True}))
    return run


def test_a_new_run_holds_its_recipe(loaded):
    run = runs.start(loaded)
    assert run.name.endswith(f"-{loaded.digest[:12]}")
    assert sorted(path.name for path in run.iterdir()) == ["recipe.json", "recipe.yaml"]
    assert (run / "recipe.yaml").read_text(encoding="utf-8") == loaded.text


def test_two_runs_in_one_second_get_two_folders(loaded):
    assert runs.start(loaded) != runs.start(loaded)


def test_the_unfinished_run_of_the_same_recipe_is_resumed(loaded):
    assert runs.to_resume(loaded) is None
    run = runs.start(loaded)
    assert runs.to_resume(loaded) == run
    finish(run)
    assert runs.to_resume(loaded) is None


def test_a_recipe_that_changed_is_not_resumed_in_silence(loaded):
    (runs.start(loaded) / "checkpoints").mkdir()
    with pytest.raises(HftError, match="was made with another version of the recipe"):
        runs.to_resume(recipe_file.load("quickstart", ("train.seed=1",)))


def test_latest_wins_over_newer_partial_runs(loaded):
    whole = finish(runs.start(loaded))
    runs.point_latest(whole)
    partial = finish(runs.start(loaded))
    assert runs.find("quickstart") == whole.resolve()
    assert runs.find(str(partial)) == partial


def test_an_unfinished_run_says_how_to_finish_it(loaded):
    run = runs.start(loaded)
    with pytest.raises(HftError, match="is not finished\n  Fix: hft train quickstart --resume"):
        runs.find(str(run))


def test_a_run_in_use_is_left_alone(loaded):
    run = runs.start(loaded)
    with runs.lock(run), pytest.raises(HftError, match="is in use by another hft process"), runs.lock(run):
        pass
    with runs.lock(run):
        pass


def test_a_folder_that_cannot_be_written_is_named(loaded, monkeypatch):
    monkeypatch.setenv("HFT_RUNS", "/proc/no")
    with pytest.raises(HftError, match="cannot make /proc/no/quickstart/"):
        runs.start(loaded)


@pytest.mark.parametrize(
    ("trained", "wanted", "found"),
    [(80, None, True), (80, 5, True), (5, 5, True), (5, 3, True), (5, None, False), (5, 9, False)],
)
def test_a_smoke_test_is_no_finished_training(loaded, trained, wanted, found):
    run = runs.start(loaded)
    (run / "passport.json").write_text(json.dumps({"training": {"steps": trained, "of_steps": 80}}))
    assert runs.finished(loaded, wanted) == (run if found else None)


def test_a_folder_that_a_kill_left_aside_is_put_back_when_the_run_is_held(loaded):
    """On a file system that cannot exchange folders, between the two renames of files.new_folder."""
    run = runs.start(loaded)
    (run / ".adapter.before").mkdir()
    (run / ".adapter.before" / "weights").touch()
    with runs.lock(run):
        assert (run / "adapter" / "weights").exists()
    assert not (run / ".adapter.before").exists()
