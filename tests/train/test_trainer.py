"""What all methods share: training to the end, to a stop or to the end of memory; trackers only where asked for."""

import gc
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from hft.errors import HftError
from hft.machine import Machine
from hft.plan import plan as plans
from hft.recipe import file as recipe_file
from hft.train import trainer, watcher


class Tensors:
    """What a step makes, and what can be referred to weakly."""


class Trainer:
    """Steps that are counted; after two, an error that says `ends` is raised, whose frame holds a step's tensors."""

    def __init__(self, steps, ends=None, processes=1):
        self.steps, self.ends, self.calls = steps, ends, []
        self.gone = None  # whether the tensors were gone when the last step was saved
        self.state = SimpleNamespace(global_step=0)
        self.args = SimpleNamespace(world_size=processes)
        self.model = SimpleNamespace(zero_grad=lambda set_to_none: self.calls.append("no gradients"))

    def train(self, resume_from_checkpoint):
        self.calls.append(("train", resume_from_checkpoint and resume_from_checkpoint.rpartition("/")[2]))
        self.state.global_step = 2 if self.ends else self.steps
        if self.ends:
            held = Tensors()
            self.tensors = weakref.ref(held)
            raise RuntimeError(self.ends)

    def _load_from_checkpoint(self, folder):
        self.calls.append(("load", folder.rpartition("/")[2]))

    def _save_checkpoint(self, model, trial):
        self.calls.append("save")
        self.gone = self.tensors() is None


def pretend_torch(monkeypatch, **distributed):
    """`import torch.distributed` gives these functions, at no cost."""
    torch = SimpleNamespace(distributed=SimpleNamespace(**distributed))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch.distributed", torch.distributed)


@pytest.fixture
def carry_out(monkeypatch, tmp_path):
    """Carry out a training with whole checkpoints of these steps, without torch; returns what the passport keeps."""
    monkeypatch.setattr(trainer, "reset", lambda *given: None)
    monkeypatch.setattr(watcher, "peak_gib", lambda: None)
    monkeypatch.setattr(trainer.checkpoints, "newest", lambda folder: newest[-1] if newest else None)
    monkeypatch.setattr(trainer.checkpoints, "seal", lambda folder: sealed.append(folder.name))
    pretend_torch(monkeypatch, is_available=lambda: False)
    newest, sealed = [], []

    def call(made, steps=(), stop_after=None, interrupted=False):
        newest.extend(tmp_path / "checkpoints" / f"checkpoint-{step}" for step in steps)
        seen = watcher.Watched(tmp_path, [10] * 6, stop_after)
        seen.stopping.interrupted = interrupted
        arguments = {"max_steps": 6, "output_dir": f"{tmp_path}/checkpoints", "kind": Path}
        return trainer.carry_out(made, seen, (arguments, dict.fromkeys(arguments, "hft")), None, tmp_path)

    call.sealed = sealed
    return call


def test_the_passport_keeps_arguments_and_steps(carry_out):
    facts = carry_out(made := Trainer(6))
    assert made.calls == [("train", None)]
    assert facts["arguments"] == {
        "kind": {"value": "<class 'pathlib.Path'>", "origin": "hft"},
        "max_steps": {"value": 6, "origin": "hft"},
        "output_dir": {"value": "RUN/checkpoints", "origin": "hft"},
    }
    assert (facts["steps"], facts["of_steps"], facts["losses"]) == (6, 6, [])


def test_training_goes_on_from_the_newest_checkpoint(carry_out):
    carry_out(made := Trainer(6), steps=[2, 4])
    assert made.calls == [("train", "checkpoint-4")]


@pytest.mark.parametrize(("step", "stop_after"), [(6, None), (4, 4), (4, 3)])
def test_a_training_at_its_end_is_loaded_and_makes_no_step(carry_out, step, stop_after):
    facts = carry_out(made := Trainer(6), [step], stop_after)
    assert made.calls == [("load", f"checkpoint-{step}")]
    assert facts["steps"] == step


def test_a_ctrl_c_is_raised_when_all_is_saved(carry_out):
    with pytest.raises(KeyboardInterrupt):
        carry_out(Trainer(6), interrupted=True)


FULL = "CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.mark.parametrize(
    ("checkpoints", "processes", "calls", "sealed"),
    [
        ([], 1, ["no gradients", "save"], ["checkpoint-2"]),
        ([2], 1, ["no gradients"], []),  # nothing was trained since
        ([], 2, [], []),  # several save together or not at all
    ],
)
def test_where_memory_ends_the_last_step_is_kept(carry_out, checkpoints, processes, calls, sealed):
    made = Trainer(6, FULL, processes)
    with pytest.raises(trainer.OutOfMemory):
        carry_out(made, checkpoints)
    assert made.calls[1:] == calls
    assert carry_out.sealed == sealed


def test_the_failed_steps_tensors_are_gone_when_the_last_step_is_saved(carry_out):
    gc.disable()  # memory comes back when the last reference goes, or not at all
    try:
        with pytest.raises(trainer.OutOfMemory):
            carry_out(made := Trainer(6, FULL))
    finally:
        gc.enable()
    assert made.gone is True


def test_other_errors_are_not_of_memory(carry_out):
    with pytest.raises(RuntimeError, match="shapes differ"):
        carry_out(Trainer(6, "shapes differ"))


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_of_several_processes_looks_for_checkpoints(monkeypatch, tmp_path, rank):
    looked = []

    def broadcast(names, src):
        names[0] = names[0] or "checkpoint-4"  # the first one's

    pretend_torch(
        monkeypatch,
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_rank=lambda: rank,
        broadcast_object_list=broadcast,
    )
    monkeypatch.setattr(trainer.checkpoints, "newest", lambda folder: looked.append(folder) or folder / "checkpoint-4")
    assert trainer.newest_checkpoint(tmp_path) == tmp_path / "checkpoints" / "checkpoint-4"
    assert len(looked) == (rank == 0)


def test_the_arguments_of_recipe_plan_and_house(monkeypatch, tmp_path):
    monkeypatch.delenv("HFT_REPORT_TO", raising=False)
    recipe = recipe_file.load("quickstart").recipe
    plan = plans.make(recipe, Machine([], 8, 64.0, "a CPU"))
    told = trainer.recipe_arguments(recipe, 30)
    assert (told["max_steps"], told["seed"], told["data_seed"]) == (30, recipe.train.seed, recipe.train.seed)
    assert told["warmup_steps"] == -(-30 * recipe.train.warmup // 1)
    assert trainer.plan_arguments(plan)["use_cpu"] is True
    assert trainer.plan_arguments(plan)["gradient_checkpointing"] is False
    assert trainer.house_arguments(tmp_path)["output_dir"] == str(tmp_path / "checkpoints")
    assert trainer.house_arguments(tmp_path)["report_to"] == "none"


@pytest.mark.parametrize("asked", [None, "", "none"])
def test_trackers_are_off_unless_asked_for(monkeypatch, asked):
    monkeypatch.delenv("HFT_REPORT_TO", raising=False)
    if asked is not None:
        monkeypatch.setenv("HFT_REPORT_TO", asked)
    assert trainer.trackers() == "none"


@pytest.fixture
def installed(monkeypatch):
    """transformers knows tensorboard, and no other tracker."""
    integrations = SimpleNamespace(get_available_reporting_integrations=lambda: ["tensorboard"])
    monkeypatch.setitem(sys.modules, "transformers.integrations", integrations)
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(integrations=integrations))


def test_a_tracker_that_is_not_installed_is_named(monkeypatch, installed):
    monkeypatch.setenv("HFT_REPORT_TO", "tensorboard,wandb")
    with pytest.raises(
        HftError, match="HFT_REPORT_TO=wandb: that tracker is not installed\n  Fix: installed: tensorboard"
    ):
        trainer.trackers()
    monkeypatch.setenv("HFT_REPORT_TO", "tensorboard")
    assert trainer.trackers() == ["tensorboard"]


@pytest.mark.parametrize("begun", [None, Path("begun")])
def test_the_adapter_starts_alike_after_the_trainer_has_cast_it(monkeypatch, tmp_path, begun):
    calls = []
    torch = SimpleNamespace(
        device=lambda name: name,
        cuda=SimpleNamespace(is_available=lambda: True, reset_peak_memory_stats=lambda: calls.append("peak")),
    )
    callbacks = SimpleNamespace(PrinterCallback="printer")
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(trainer_callback=callbacks))
    monkeypatch.setitem(sys.modules, "transformers.trainer_callback", callbacks)
    monkeypatch.setattr(trainer.lora, "initialise", lambda model, seed: calls.append(seed))
    monkeypatch.setattr(trainer.lora, "load", lambda model, adapter: calls.append(adapter))
    monkeypatch.setattr(trainer.stages, "adapter", lambda run: begun)
    made = SimpleNamespace(
        args=SimpleNamespace(device=SimpleNamespace(type="cpu")), remove_callback=calls.append, model=None
    )
    recipe = recipe_file.load("quickstart").recipe
    trainer.reset(made, recipe, tmp_path)
    assert calls == ["printer", "peak", recipe.train.seed, *([begun] if begun else [])]
    assert vars(made.args)["_setup_devices"] == "cpu"
