"""`hft bench`: three variants side by side on the same rows; ratios, spread, memory, and whether the losses agree."""

import json
from types import SimpleNamespace

import pytest

from hft import machine
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.recipe import file as recipe_file
from hft.train import bench

SECONDS = {"plain": [9.0, 4.0, 4.0, 5.0], "tutorial": [9.0, 2.0, 2.0, 2.0], "hft": [9.0, 1.0, 1.0, 1.0]}


def made(name, losses=(3.0, 2.5, 2.0, 1.5)):
    return {
        "seconds": SECONDS[name],
        "tokens": [100] * 4,
        "losses": list(losses),
        "peak_gib": 2.0,
        "total_seconds": 30.0,
        "plan": {
            "backend": name,
            "processes": 1,
            "rows_per_device": 4,
            "accumulation": 2,
            "padding_free": name == "hft",
            "checkpointing": "none",
            "precision": "fp32",
        },
    }


@pytest.fixture
def quick(monkeypatch):
    """No training: each variant gives known seconds; 1,000 parameters on a machine of 400,000 FLOPs a second."""
    asked = []

    def timed(loaded, choices, steps, folder):
        name = folder.name.partition("-")[0]
        asked.append((name, choices))
        return made(name, (3.0, 2.5, 2.0, 1.5) if name != "hft" else (3.0, 2.51, 2.0, 1.5))

    monkeypatch.setattr(bench, "timed", timed)
    monkeypatch.setattr(
        bench,
        "floor",
        lambda loaded, wishes: {"parameters": 1000, "flops_a_second": 400_000, "flops_a_parameter_and_token": 4},
    )
    return asked


def test_the_table_and_the_file(quick, invoke, tmp_path):
    result = invoke(
        "bench", "quickstart", "--steps", "4", "--warmup", "1", "--repeat", "2", "--out", str(tmp_path / "b.json")
    )
    assert result.exit_code == 0, result.output
    assert [name for name, _ in quick] == ["plain", "tutorial", "hft"] * 2  # in turn
    lines = [line.split() for line in result.output.splitlines()[-3:]]
    assert [line[:6] for line in lines] == [
        ["plain", "4.000", "[4.000,", "5.000]", "1.00", "23"],
        ["tutorial", "2.000", "[2.000,", "2.000]", "2.00", "50"],
        ["hft", "1.000", "[1.000,", "1.000]", "4.00", "100"],
    ]
    assert [line[6:8] for line in lines] == [["25", "%"], ["50", "%"], ["100", "%"]]
    assert "4 steps, losses at most 0.01 and on average 0.0025 apart" in result.output
    facts = json.loads((tmp_path / "b.json").read_text())
    assert facts["variants"]["hft"]["seconds_a_step"] == 1.0
    assert facts["variants"]["plain"]["tokens_a_step"] == 100


def test_what_was_timed_before_a_failure_is_kept(quick, invoke, monkeypatch, tmp_path):
    def fail(loaded, choices, steps, folder):
        if folder.name == "hft-0":
            raise HftError("the machine is on fire", "call for help")
        return made(folder.name.partition("-")[0])

    monkeypatch.setattr(bench, "timed", fail)
    result = invoke("bench", "quickstart", "--steps", "4", "--warmup", "1", "--out", str(tmp_path / "b.json"))
    assert (result.exit_code, "  2.000 s a step, 2.0 GiB" in result.output) == (1, True)
    assert list(json.loads((tmp_path / "b.json").read_text())["variants"]) == ["plain", "tutorial"]


@pytest.mark.parametrize(
    ("gpus", "checkpointing"), [([], ("none", "none")), ([Gpu("H200", 139.8, "580", "9.0")], ("full", "offloaded"))]
)
def test_the_variants_are_those_of_the_tutorials_and_the_plan(monkeypatch, gpus, checkpointing):
    monkeypatch.setattr(machine, "look", lambda: Machine(gpus, 2, 24.0, "a CPU"))
    assert bench.variants(recipe_file.load("korquad_qlora")) == {
        "plain": {
            "backend": "plain",
            "checkpointing": checkpointing[0],
            "rows_per_device": "4",
            "processes": "1",
            "padded": None,
            "in_order": None,
        },
        "tutorial": {
            "backend": "unsloth",
            "checkpointing": checkpointing[1],
            "rows_per_device": "4",
            "processes": "1",
            "padded": None,
            "in_order": None,
        },
        "hft": {},
        **({"hft, offloaded": {"checkpointing": "offloaded"}} if gpus else {}),
    }


@pytest.mark.parametrize(
    ("name", "options", "code", "said"),
    [
        ("grpo_quickstart", [], 1, "is not supervised"),
        ("medical_quickstart_2", [], 1, "Fix: time its first stage: hft bench medical_quickstart_1"),
        ("quickstart", ["--warmup", "9"], 2, "--warmup 9 leaves none of 8 steps"),
        ("nothing", [], 1, "no recipe 'nothing'"),
    ],
)
def test_what_cannot_be_timed_is_explained(invoke, name, options, code, said):
    result = invoke("bench", name, *options)
    assert (result.exit_code, said in result.output) == (code, True), result.output


def test_a_training_that_fails_is_shown(monkeypatch, tmp_path):
    monkeypatch.setattr(bench.sys, "executable", "/bin/false")
    with pytest.raises(HftError, match="a benchmark's training failed"):
        bench.timed(SimpleNamespace(name="x", overrides=()), {}, 2, tmp_path / "one")
