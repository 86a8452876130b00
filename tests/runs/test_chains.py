"""Chains of pretended trainings: what is damaged or gone is named, what has changed is said."""

import hashlib
import json

import pytest
from fakes import TRAINED, Lab

from hft import files
from hft.errors import HftError
from hft.runs import answers, curve, stages
from hft.runs import folder as runs


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    made = Lab(tmp_path, monkeypatch)
    made.write()
    made.write("two", "one", trained="Hugo")
    return made


def test_weights_of_several_files_are_named_by_their_list(lab):
    run = lab.train()
    (run / "model").mkdir()
    (run / "model" / "second.safetensors").write_text("more")
    facts = runs.passport(run)
    second = files.sha256(run / "model" / "second.safetensors")
    facts["artefacts"]["model/second.safetensors"] = second
    first = facts["artefacts"][f"adapter/{TRAINED}"]
    listed = json.dumps({f"adapter/{TRAINED}": first, "model/second.safetensors": second}, sort_keys=True)
    assert stages.weights(run, facts) == hashlib.sha256(listed.encode()).hexdigest()


def test_what_changed_since_the_parents_run_is_said(lab, capsys):
    before = lab.train()
    lab.write(trained="Ada", train={"batch_size": 2, "steps": 3, "learning_rate": 1.0e-3})
    run = lab.train("two")
    assert (
        f"Starts from one: {before.name} (merged weights, {runs.passport(run)['parent']['weights'][:12]})\n"
        "Note: since that run the recipe and the data of one changed. "
        "To start from what they give now: make train RECIPE=one first\n"
    ) in capsys.readouterr().out
    assert runs.passport(run)["parent"]["changed"] == ["recipe", "data"]


def test_rows_that_are_gone_count_as_unchanged(lab):
    run = lab.train()
    for side in ("train", "evaluate"):
        (lab.recipes / f"one.{side}.jsonl").unlink()
    assert stages.changes(run, runs.passport(run)) == []


def test_a_parents_run_that_is_gone_is_named(lab):
    before, run = lab.train(), lab.train("two")
    (before / runs.PASSPORT).unlink()
    for look in (stages.of_recipe, stages.first):
        with pytest.raises(HftError, match=r"the run that this stage started from is gone: .*\n  Fix: put it back"):
            look(run)


def test_the_first_recipe_of_a_chain_is_found_from_its_end(lab):
    lab.write("three", "two", trained="Ada")
    before = [lab.train(name) for name in ("one", "two", "three")]
    assert [stages.first(run).name for run in before] == ["one", "one", "one"]
    assert [stage.recipe for stage in stages.lineage(before[-1])] == ["one", "two", "three"]


def test_a_curve_that_cannot_be_written_is_explained(lab):
    run = lab.train()
    (lab.recipes / "one.curve.json").mkdir()
    with pytest.raises(HftError) as error:
        curve.bless(run)
    assert error.value.message == (
        "cannot write recipes/one.curve.json: Is a directory\n  Fix: bless it where the recipes may be written"
    )


@pytest.mark.parametrize("asked", [(0, 1), (1, 0)])
def test_a_run_that_was_asked_does_not_match_one_that_was_not(lab, asked):
    facts = runs.passport(lab.train())
    given = [facts, {**facts, "evaluation": None}]
    one, other = (answers.Made(name, given[place]) for name, place in zip("AB", asked, strict=True))
    assert answers.evaluations(one, other) == (f"only {'AB'[asked.index(0)]} was evaluated", False)
    assert answers.evaluations(answers.Made("A", given[1]), answers.Made("B", given[1])) == ("not evaluated", True)


def test_runs_in_another_folder_for_a_while(lab, monkeypatch):
    monkeypatch.setenv("HFT_RUNS", "mine")
    with runs.in_folder("others"):
        assert str(runs.root()) == "others"
    assert str(runs.root()) == "mine"
    monkeypatch.delenv("HFT_RUNS")
    with pytest.raises(ValueError, match="inside"), runs.in_folder("others"):
        raise ValueError("inside")
    assert str(runs.root()) == "runs"
