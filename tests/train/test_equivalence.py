"""A plan never changes the result: real training on the CPU, cut, joined and computed again, is one curve."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
SETTINGS = (
    "train.batch_size=16",
    "train.steps=2",
    "data.train.sample=64",
    "evaluate.rows=1",
    "evaluate.max_new_tokens=1",
    "export.formats=[]",
)
PLANS = {
    "16 x 1": ("--rows-per-device", "16"),
    "4 x 4": ("--rows-per-device", "4"),
    "1 x 16": ("--rows-per-device", "1"),
    "joined": ("--rows-per-device", "8", "--padding-free"),
    "checkpointed": ("--rows-per-device", "8", "--checkpointing", "full"),
    "2 processes": ("--rows-per-device", "4", "--processes", "2"),
    "full": ("--rows-per-device", "16"),
}
FEWER = ("16 x 1", "joined")  # with unsloth, to save minutes
TOLERANCE = 2e-5  # in the loss, about 3: sums in another order
# All plans in one process, which loads the libraries once. In the run named "full", memory ends in the second step.
SCRIPT = """
import sys, json, os
from hft.cli import cli
backend, folder, settings, plans = sys.argv[1], *map(json.loads, sys.argv[2:])
for name, options in plans.items():
    os.environ["HFT_RUNS"] = f"{folder}/{name}"
    if name == "full":
        import torch, trl
        right = trl.SFTTrainer.training_step
        def training_step(self, *given, **named):
            loss = right(self, *given, **named)
            if self.state.global_step == 1 and not self.args.gradient_checkpointing:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return loss
        trl.SFTTrainer.training_step = training_step
    words = [word for one in settings for word in ("--set", one)]
    cli.main(["train", "quickstart", "--backend", backend, *words, *options], standalone_mode=False)
"""


@pytest.fixture(scope="module", params=["plain", "unsloth"])
def runs(request, tmp_path_factory):
    """`{plan: (passport, losses)}` of one backend."""
    folder = tmp_path_factory.mktemp(request.param)
    plans = {name: PLANS[name] for name in (PLANS if request.param == "plain" else FEWER)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, request.param, *map(json.dumps, (str(folder), SETTINGS, plans))],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for name in plans:
        [run] = (folder / name / "quickstart").glob("2*")
        found[name] = (
            json.loads((run / "passport.json").read_text()),
            [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()],
        )
    return found


def test_the_same_rows_meet_in_every_step(runs):
    assert len({passport["data"]["tokens_in_order"] for passport, _ in runs.values()}) == 1


def test_the_plans_are_what_was_asked_for(runs):
    plans = {name: passport["plan"] for name, (passport, _) in runs.items()}
    asked = {
        "16 x 1": (16, 1, False, "none"),
        "4 x 4": (4, 4, False, "none"),
        "1 x 16": (1, 16, False, "none"),
        "joined": (8, 2, True, "none"),
        "checkpointed": (8, 2, False, "full"),
        "2 processes": (4, 2, False, "none"),
        "full": (16, 1, False, "full"),
    }
    assert {
        name: (one["rows_per_device"], one["accumulation"], one["padding_free"], one["checkpointing"])
        for name, one in plans.items()
    } == {name: asked[name] for name in plans}


def test_all_plans_give_one_curve(runs):
    _, reference = runs["16 x 1"]
    assert len(reference) == 2
    assert reference[-1] < reference[0]
    for name, (_, losses) in runs.items():
        assert losses == pytest.approx(reference, abs=TOLERANCE), name


def test_a_step_that_ran_out_of_memory_is_made_again_by_a_safer_plan(runs):
    if "full" not in runs:
        pytest.skip("tried with the plain backend")
    passport, _ = runs["full"]
    [tried] = passport["training"]["out_of_memory"]
    assert "16 rows x 1 = 16 a step, fp32, checkpointing none" in tried["plan"]
    assert all(passport["training"]["out_of_memory"] == [] for name, (passport, _) in runs.items() if name != "full")
