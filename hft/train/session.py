"""A model at work: libraries ready, weights loaded, trained on this process or on workers, within the card's memory."""

import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from hft import files, libraries, machine, terminal
from hft.data import prepare as rows
from hft.data import rows as rows_
from hft.model import base as models
from hft.model import lora
from hft.plan import plan as plans
from hft.plan.plan import Plan
from hft.recipe.file import Loaded
from hft.runs import stages
from hft.terminal import say
from hft.train import methods, weights
from hft.train.trainer import OutOfMemory
from hft.train.workers import launch


@dataclass
class Opened:
    """A model at work: what the commands after training need. `model` is None while its memory is wanted for something else."""

    loaded: Loaded
    plan: Plan
    backend: object
    model: object
    tokenizer: object
    prepared: rows.Prepared | None


def prepare(loaded: Loaded, plan: Plan, given: rows_.Read) -> rows.Prepared:
    """Load the backend's libraries and tokenise the rows."""
    get_ready(plan)
    return rows.prepare(loaded, given, models.tokenizer(models.resolve(loaded.recipe.model)))


def get_ready(plan: Plan) -> None:
    """Load the backend's libraries, in the order that they need."""
    if "LOCAL_RANK" not in os.environ:  # one GPU, or none, before torch looks; a worker has its own
        os.environ["CUDA_VISIBLE_DEVICES"] = machine.visible()[0] if plan.device == "cuda" else ""
    if plan.standby:
        os.environ.update(
            UNSLOTH_VLLM_STANDBY="1", UNSLOTH_VLLM_STANDBY_UTIL_OVERRIDE="1"
        )  # or Unsloth takes a share of its own
    if plan.sharded and "LOCAL_RANK" in os.environ:  # Unsloth looks when it is imported
        os.environ.update(UNSLOTH_FSDP2="1", UNSLOTH_FSDP2_LAYOUT="sharded")
    if plan.backend == "unsloth":
        with terminal.aside():
            import unsloth  # noqa: F401  before transformers and TRL, which it patches
    libraries.hush()
    if plan.deterministic:
        libraries.make_deterministic()


def open_model(loaded: Loaded, plan: Plan, prepared: rows.Prepared | None, run: Path | None = None) -> Opened:
    """Load the model with a new adapter, or the one that the run goes on with."""
    get_ready(plan)
    backend = importlib.import_module(f"hft.model.backends.{plan.backend}")
    with terminal.aside():
        model, tokenizer = backend.load(loaded.recipe.model, plan, loaded.recipe.lora.rank if loaded.recipe.lora else 0)
        if loaded.recipe.lora:
            lora.check_targets(model, loaded.recipe.lora.targets)
            model = backend.add_lora(model, loaded.recipe.lora, plan, loaded.recipe.train.seed)
            if begun := run and stages.adapter(run):
                lora.load(model, begun)
    return Opened(loaded, plan, backend, model, tokenizer, prepared)


def with_weights(run: Path, loaded: Loaded, plan: Plan, prepared: rows.Prepared | None) -> Opened:
    """The model with a run's trained weights, whichever process trained them; `loaded` is what own_model gives."""
    opened = open_model(loaded, plan, prepared)
    if loaded.recipe.lora:
        lora.load(opened.model, run / "adapter")
    return opened


def own_model(run: Path, loaded: Loaded) -> Loaded:
    """The recipe with the run's own model in place of the base, where all weights were trained."""
    if loaded.recipe.lora:
        return loaded
    model = models.at(loaded.recipe.model, run / "model", "none")
    return loaded._replace(recipe=loaded.recipe.model_copy(update={"model": model}))


def fit(run: Path, opened: Opened, max_steps: int | None) -> dict:
    """Train and save the adapter (or the model) in one step; returns what the passport keeps of training."""
    recipe = opened.loaded.recipe
    training = methods.of(recipe).train(
        opened.model, opened.tokenizer, opened.prepared.train, recipe, opened.plan, run, max_steps
    )
    if os.environ.get("RANK", "0") != "0":
        return training  # the first process writes
    weights.save(run, "adapter" if recipe.lora else "model", opened.model, opened.tokenizer, opened.plan)
    return training


def free_memory() -> None:
    """Give back what the trained model took before an export loads it again."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def fit_the_card(run: Path, opened: Opened, max_steps: int | None) -> tuple[Opened, dict]:
    """Train; where the card is too small for the plan, go on from the last step by the next safer one.

    Returns the model as it is then, and what the passport keeps of training.
    """
    tried = []
    while True:
        try:
            if opened.plan.processes == 1:
                return opened, {**fit(run, opened, max_steps), "out_of_memory": tried}
            opened.model = None  # its GPU is the first worker's
            free_memory()
            training = launch.fit(run, opened.plan.processes, opened.plan.device, max_steps)
            if opened.prepared.evaluate:
                again = with_weights(run, own_model(run, opened.loaded), opened.plan, opened.prepared)
                opened = replace(again, loaded=opened.loaded)
            return opened, {**training, "out_of_memory": tried}
        except OutOfMemory:
            plan = plans.safer(opened.plan)
        kept = {name: getattr(opened.plan, name) for name in ("checkpointing", "expected_gib", "correction")}
        tried.append({"plan": opened.plan.describe(), **kept})
        say(
            f"Warning: out of GPU memory with {opened.plan.describe()}. Nothing is lost; going on with {plan.describe()} ..."
        )
        opened.model = None
        free_memory()
        files.write_json(run / "plan.json", plan.as_dict())
        opened = (
            open_model(opened.loaded, plan, opened.prepared, run) if plan.processes == 1 else replace(opened, plan=plan)
        )
