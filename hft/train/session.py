"""A model at work: libraries ready, weights loaded, trained on this process or on workers, within the card's memory."""

import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from hft import files, libraries, machine, terminal
from hft.data import prepare as preparing
from hft.data.rows import Read
from hft.evaluate import baseline
from hft.model import base as models
from hft.model import lora, patches
from hft.plan import plan as plans
from hft.plan.plan import Plan
from hft.recipe.file import Loaded
from hft.recipe.schema import Model
from hft.runs import stages
from hft.terminal import say
from hft.train import flat, methods, weights
from hft.train.trainer import OutOfMemory
from hft.train.workers import launch


@dataclass
class Waiting:
    """Rows and plan, while the model is not in this process: the workers load it, or its memory is wanted."""

    loaded: Loaded
    plan: Plan
    prepared: preparing.Prepared | None


@dataclass
class Opened:
    """A model at work: what the commands after training need."""

    loaded: Loaded
    plan: Plan
    prepared: preparing.Prepared | None
    backend: ModuleType
    model: Any
    tokenizer: Any


def release(opened: Opened | Waiting) -> Waiting:
    """Let go of the model's memory.

    The reference itself goes, because callers up the stack still hold this Opened: its `model` cannot be used any more.
    """
    if isinstance(opened, Opened):
        del opened.model
    free_memory()
    return Waiting(opened.loaded, opened.plan, opened.prepared)


def prepare(loaded: Loaded, plan: Plan, given: Read) -> preparing.Prepared:
    """Load the backend's libraries and tokenise the rows, the base's own form of the questions too."""
    get_ready(plan)
    tokenizer = models.tokenizer(models.resolve(loaded.recipe.model))
    prepared = preparing.prepare(loaded, given, tokenizer)
    fair = baseline.questions(loaded, prepared.train, prepared.evaluate, tokenizer)
    return prepared._replace(baseline=fair)


def room(loaded: Loaded, prepared: preparing.Prepared | None) -> Model:
    """The recipe's model section with room for the longest question that is asked, its answer behind it."""
    asked = [(loaded.recipe, prepared.baseline)] if prepared else []
    asked += [(one.loaded.recipe, one.samples) for one in prepared.also.values()] if prepared else []
    lengths = [
        len(one.tokens.prompt_ids) + asker.evaluate.max_new_tokens for asker, samples in asked for one in samples
    ]
    tokens = max(lengths, default=0)
    model = loaded.recipe.model
    return model.model_copy(update={"max_tokens": max(model.max_tokens, tokens)})


def get_ready(plan: Plan) -> None:
    """Load the backend's libraries, in the order that they need."""
    if "LOCAL_RANK" not in os.environ:  # one GPU, or none, before torch looks; a worker has its own
        os.environ["CUDA_VISIBLE_DEVICES"] = machine.visible()[0] if plan.device == "cuda" else ""
    patches.prepare_unsloth(plan)
    if plan.backend == "unsloth":
        with terminal.aside():
            import unsloth  # noqa: F401  before transformers and TRL, which it patches
    libraries.hush()
    if plan.deterministic:
        libraries.make_deterministic()


def open_model(loaded: Loaded, plan: Plan, prepared: preparing.Prepared | None, run: Path | None = None) -> Opened:
    """Load the model with a new adapter, or the one that the run goes on with."""
    get_ready(plan)
    backend = importlib.import_module(f"hft.model.backends.{plan.backend}")
    with terminal.aside():
        rank = loaded.recipe.lora.rank if loaded.recipe.lora else 0
        model, tokenizer = backend.load(room(loaded, prepared), plan, rank)
        if loaded.recipe.lora:
            lora.check_targets(model, loaded.recipe.lora.targets)
            model = backend.add_lora(model, loaded.recipe.lora, plan, loaded.recipe.train.seed)
            if begun := run and stages.adapter(run):
                lora.load(model, begun)
    return Opened(loaded, plan, prepared, backend, model, tokenizer)


def with_weights(run: Path, loaded: Loaded, plan: Plan, prepared: preparing.Prepared | None) -> Opened:
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
    assert opened.prepared, "only a model opened with its rows can be trained"
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


def fit_the_card(run: Path, opened: Opened | Waiting, max_steps: int | None) -> tuple[Opened | Waiting, dict]:
    """Train; where the card is too small for the plan, go on from the last step by the next safer one.

    Returns the model as it is then, and what the passport keeps of training.
    """
    tried: list[dict] = []
    while True:
        if opened.plan.processes > 1:
            opened = release(opened)  # its GPU is the first worker's
        try:
            if isinstance(opened, Opened):
                return opened, {**fit(run, opened, max_steps), "out_of_memory": tried}
            trained, training = fit_by_workers(run, opened, max_steps)
            return trained, {**training, "out_of_memory": tried}
        except OutOfMemory:
            plan = plans.safer(opened.plan)
        except KeyboardInterrupt:
            flat.check(run, opened.loaded)  # a training that stood still has stopped itself, and says why
            raise
        # out of the except block, whose error holds on to the step's tensors
        kept = {name: getattr(opened.plan, name) for name in ("checkpointing", "expected_gib", "correction")}
        tried.append({"plan": opened.plan.describe(), **kept})
        say(
            f"Warning: out of GPU memory with {opened.plan.describe()}. "
            f"Nothing is lost; going on with {plan.describe()} ..."
        )
        waiting = replace(release(opened), plan=plan)
        files.write_json(run / "plan.json", plan.as_dict())
        opened = waiting if plan.processes > 1 else open_model(waiting.loaded, plan, waiting.prepared, run)


def fit_by_workers(run: Path, waiting: Waiting, max_steps: int | None) -> tuple[Opened | Waiting, dict]:
    """Train in worker processes; returns the trained model where it is to be asked, and what the passport keeps.

    Raises OutOfMemory where a worker's card is too small.
    """
    training = launch.fit(run, waiting.plan.processes, waiting.plan.device, max_steps)
    if not (waiting.prepared and waiting.prepared.evaluate):
        return waiting, training
    again = with_weights(run, own_model(run, waiting.loaded), waiting.plan, waiting.prepared)
    return replace(again, loaded=waiting.loaded), training
