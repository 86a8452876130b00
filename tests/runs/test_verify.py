"""`hft verify`: a run folder against its passport, and its first steps again."""

import json

import pytest

from hft import files
from hft.recipe import file as recipe_file
from hft.runs import folder as runs

SMALL = (
    "--set",
    "train.steps=4",
    "--set",
    "train.batch_size=4",
    "--set",
    "data.train.sample=40",
    "--set",
    "evaluate.rows=2",
    "--set",
    "evaluate.max_new_tokens=2",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run whose passport names two files."""
    monkeypatch.setenv("HFT_RUNS", str(tmp_path / "runs"))
    loaded = recipe_file.load("quickstart")
    made = tmp_path / "runs" / "quickstart" / f"20261122T000000-{loaded.digest[:12]}"
    (made / "adapter").mkdir(parents=True)
    recipe_file.save(loaded, made)
    for name in ("adapter/adapter_model.safetensors", "metrics.jsonl"):
        (made / name).write_text(name)
    files.write_json(
        made / runs.PASSPORT,
        {
            "recipe": {"digest": loaded.digest},
            "parent": None,
            "artefacts": {
                name: files.sha256(made / name) for name in ("adapter/adapter_model.safetensors", "metrics.jsonl")
            },
        },
    )
    return made


def test_a_whole_run_is_as_its_passport_says(run, invoke):
    result = invoke("verify", "quickstart", HFT_RUNS=str(run.parent.parent))
    assert result.exit_code == 0, result.output
    assert result.output == f"{run}: recipe and 2 files are as its passport says\n"


def change_recipe(run):
    facts = json.loads((run / "recipe.json").read_text())
    facts["values"]["train"]["seed"] = 9
    files.write_json(run / "recipe.json", facts)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "metrics.jsonl").unlink(), "metrics.jsonl is missing"),
        (
            lambda run: (run / "adapter" / "adapter_model.safetensors").write_text("x"),
            "adapter/adapter_model.safetensors is another file",
        ),
        (change_recipe, "recipe.json or the Python beside it gives another digest"),
        (
            lambda run: files.write_json(run / "parent.json", {"recipe": "x"}),
            "parent.json is not what the passport says",
        ),
    ],
)
def test_damage_is_named(run, invoke, damage, said):
    damage(run)
    result = invoke("verify", str(run), HFT_RUNS=str(run.parent.parent))
    assert result.exit_code == 1
    assert (
        f"1 of its files are not what its passport says:\n  {said}\n  Fix: take the run from a backup, or train again"
        in result.output
    )


@pytest.mark.slow
def test_the_first_steps_come_out_again(shell, tmp_path):
    place = {"HFT_BACKEND": "plain"}
    assert shell("train", "quickstart", *SMALL, "--max-steps", "3", **place).returncode == 0
    done = shell("verify", "quickstart", "--replay", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Replayed: 2 steps, losses at most 0 and on average 0 apart" in done.stdout
    [run] = (tmp_path / "runs" / "quickstart").glob("2*")
    facts = runs.passport(run)
    facts["training"]["losses"][1] += 1
    files.write_json(run / runs.PASSPORT, facts)
    done = shell("verify", "quickstart", "--replay", "2")
    assert done.returncode == 1
    assert "its first steps come out otherwise here: " in done.stderr
    assert "they part at step 2" in done.stderr
