"""Earlier runs correct the estimate: only whole ones, of the same model, on the same kind of card."""

import json
from dataclasses import asdict

import pytest
from planning import make

from hft import machine
from hft.machine import Gpu, Machine
from hft.plan import earlier_runs
from hft.plan.micro_batches import Setting
from hft.recipe import file as recipe_file
from hft.runs import folder as runs

H100 = Gpu("NVIDIA H100", 79.6, "580", "9.0")


def corrections(recipe, setting=Setting()):  # noqa: B008  frozen
    return earlier_runs.corrections(runs.passports(), recipe, H100, setting)


@pytest.fixture
def recipe(monkeypatch, tmp_path):
    monkeypatch.setenv("HFT_RUNS", str(tmp_path))
    monkeypatch.setattr(machine, "look", lambda: Machine([H100], 2, 24.0, "a CPU"))
    return recipe_file.load("korquad_qlora").recipe


def ran(recipe, folder, peak, expected=20.0, correction=1.0, card="NVIDIA H100", steps=10, tried=(), **plan):
    """A finished run of the recipe's model with this measured peak."""
    usual = {**asdict(Setting()), "checkpointing": "none", "expected_gib": expected, "correction": correction}
    facts = {
        "plan": {**usual, **plan},
        "recipe": {"values": recipe.model_dump()},
        "machine": {"gpus": [{"name": card}]},
        "training": {"peak_gib": peak, "steps": steps, "of_steps": 10, "out_of_memory": tried},
    }
    run = folder / "korquad_qlora" / f"2026-{len(list(folder.glob('*/*')))}"
    run.mkdir(parents=True)
    (run / "passport.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([], {}),
        ([{"peak": 22}], {"none": 1.1}),
        ([{"peak": 22}, {"peak": 21}], {"none": 1.1}),
        ([{"peak": 22, "expected": 22, "correction": 1.1}], {"none": 1.1}),  # the correction was right: it stays
        ([{"peak": 22}, {"peak": 19, "checkpointing": "offloaded"}], {"none": 1.1, "offloaded": 0.95}),
        ([{"peak": 2}], {"none": 0.8}),
        ([{"peak": 200}], {"none": 1.5}),
        ([{"peak": 22, "steps": 3}], {}),
        ([{"peak": 22, "card": "NVIDIA H200"}], {}),
        ([{"peak": 22, "backend": "plain"}], {}),
        (
            [
                {
                    "peak": 60,
                    "expected": None,
                    "checkpointing": "offloaded",
                    "steps": 3,
                    "tried": [{"checkpointing": "none", "expected_gib": 70, "correction": 1}],
                }
            ],
            {"none": 1.137},
        ),  # 79.6 GiB were too few
        (
            [
                {
                    "peak": 60,
                    "expected": None,
                    "steps": 3,
                    "memory": 15.6,
                    "tried": [{"checkpointing": "none", "expected_gib": 12, "correction": 1}],
                }
            ],
            {},
        ),  # others used the card
        ([{"peak": 22, "memory": 40.0}], {"none": 1.1}),
        ([{"peak": 22, "padding_free": False}], {}),
        ([{"peak": 22, "by_length": False}], {}),
        ([{"peak": 22, "deterministic": True}], {}),
        ([{"peak": 22, "sharded": True}], {}),
        ([{"peak": 22, "expected": None}], {}),
        ([{"peak": None}], {}),
    ],
)
def test_which_runs_count(recipe, tmp_path, made, expected):
    for one in made:
        ran(recipe, tmp_path, **one)
    assert corrections(recipe) == expected


def test_sharing_runs_correct_sharing_plans(recipe, tmp_path):
    ran(recipe, tmp_path, 22, sharded=True)
    assert (corrections(recipe, Setting(sharded=True)), corrections(recipe)) == (
        {"none": 1.1},
        {},
    )


def test_another_models_runs_and_strange_files_do_not_count(recipe, tmp_path):
    ran(recipe_file.load("korquad_qlora", ("model.name=another/model",)).recipe, tmp_path, 22)
    ran(recipe.model_copy(update={"model": recipe.model.model_copy(update={"quantization": "none"})}), tmp_path, 22)
    for number, text in enumerate(("{}", "[]", "not json", '{"plan": null}')):
        folder = tmp_path / "korquad_qlora" / f"2025-{number}"
        folder.mkdir()
        (folder / "passport.json").write_text(text)
    assert corrections(recipe) == {}


def test_a_plan_takes_less_where_more_was_measured(recipe, tmp_path):
    before = make(recipe)
    assert (before.rows_per_device, before.checkpointing, before.correction) == (8, "none", 1.0)
    ran(recipe, tmp_path, 30)
    after = make(recipe)
    assert (after.rows_per_device, after.checkpointing, after.correction) == (4, "none", 1.5)
    assert make(recipe, rows_per_device=8, checkpointing="none").expected_gib == pytest.approx(
        before.expected_gib * 1.5, abs=0.02
    )


def test_stages_do_not_correct_each_other(recipe, tmp_path):
    stage = recipe_file.load("medical_2").recipe
    ran(stage, tmp_path, 22)
    assert corrections(stage) == {}
