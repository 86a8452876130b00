"""The pipeline, on one page: a checked recipe becomes a run folder with a passport."""

import importlib
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from hft import asking, curve, evaluate, export, files, libraries, lora, machine, methods, models, passport, processes, rows, runs, stages
from hft import log as logging
from hft import plan as plans
from hft import weights as trained
from hft.log import say
from hft.methods.training import OutOfMemory
from hft.plan import Plan
from hft.recipe_file import Loaded


@dataclass
class Opened:
    """A model at work: what the commands after training need. `model` is None while its memory is wanted for something else."""

    loaded: Loaded
    plan: Plan
    backend: object
    model: object
    tokenizer: object
    prepared: rows.Prepared | None


def train(loaded: Loaded, choices: dict, resume: bool = False, max_steps: int | None = None, dry_run: bool = False) -> Path | None:
    """Train a recipe and write its run folder; returns the folder (None after a dry run)."""
    libraries.quiet()
    parent = stages.find(loaded) if not dry_run else None
    given = rows.read(loaded)  # every mistake in the data shows before torch is imported
    steps = methods.of(loaded.recipe).steps(loaded.recipe, len(given.train))
    plan = plans.make(loaded.recipe, steps, **choices)
    if dry_run:
        return show_dry_run(loaded, plan, given, max_steps)
    unfinished = stages.to_resume(loaded, parent) if resume else None
    run = unfinished or runs.start(loaded)
    if unfinished and (run / "plan.json").exists():
        choices = plans.kept(json.loads((run / "plan.json").read_text(encoding="utf-8")), choices)
        plan = plans.make(loaded.recipe, steps, **choices)
    if not unfinished:
        curve.take_along(loaded, run)
    with runs.lock(run), logging.to(run / "log.txt"):
        clock = Clock()
        say(f"{loaded.name}: {'going on in' if (run / 'plan.json').exists() else 'new run'} {run}")
        loaded = start_from(parent, loaded, run, plan)
        say(f"Loading {plan.backend}'s libraries and the rows (up to half a minute on a CPU) ...")
        get_ready(plan)
        clock.lap("libraries")
        prepared = prepare(loaded, plan, given)
        clock.lap("rows")
        plan = plans.make(loaded.recipe, steps, methods.of(loaded.recipe).lengths(prepared.train, loaded.recipe), **choices)
        say(f"Plan: {plan.describe()}. Loading the model ...")
        if plan.processes > 1 and (not prepared.evaluate or asking.asked(run, loaded.recipe, "base")):
            opened = Opened(loaded, plan, None, None, None, prepared)  # the workers load the model: here it has nothing to answer
        else:
            opened = open_model(loaded, plan, prepared, run)
        files.write_json(run / "plan.json", plan.as_dict())
        say(rows_line(prepared))
        data_facts = passport.same_data(run, loaded, opened.prepared)
        export.get_ready(run, loaded, loaded.recipe.export.formats)
        clock.lap("model")
        asking.ask(run, opened, "base")
        clock.lap("evaluate_base")
        opened, training = fit_the_card(run, opened, max_steps)
        clock.lap("train")
        after = "adapter" if loaded.recipe.lora else "model"
        asking.ask(run, opened, after)
        clock.lap("evaluate_trained")
        if opened.prepared.evaluate:
            answers = evaluate.kept(run)
            say(evaluate.table({name: evaluate.summary(records) for name, records in answers.items()
                                if name.removesuffix(asking.BARE) in ("base", after)}))
        hashes = passport.write(run, loaded, opened.plan, data_facts, training, clock.seconds)
        if training["steps"] == training["of_steps"]:
            runs.point_latest(run)
        say(f"Finished in {sum(clock.seconds.values()):.0f} s: {run}/{runs.PASSPORT}\nOf that {clock.describe()}; "
            f"the first step {training['first_step_seconds'] or 0:.1f} s")
        for path, hashed in hashes.items():
            if path.startswith(f"{after}/") and path.endswith(".safetensors"):
                say(f"{after} {hashed}")
        if loaded.recipe.export.formats:  # the run is finished already: an export that fails can be made again
            plan, samples = opened.plan, opened.prepared.evaluate
            del opened
            free_memory()
            export.export_and_record(run, loaded, plan, samples, loaded.recipe.export.formats)
    return run


def start_from(parent: dict | None, loaded: Loaded, run: Path, plan: Plan) -> Loaded:
    """The recipe with its parent's weights as its model; they are merged first where the parent has not exported them."""
    if parent is None:
        return loaded
    stages.keep(run, parent)
    stages.report(parent)
    before, whole = stages.folder(parent), stages.ready(loaded, parent)
    if parent["start"] == "merged" and not Path(whole.recipe.model.name).exists():
        say(f"Merging the adapter of {parent['recipe']} ...")
        importlib.import_module(f"hft.backends.{plan.backend}").merge(stages.of_recipe(before).recipe.model, before / "adapter", plan,
                                                                      before / "merged")
        passport.update_artefacts(before)
    return whole


class Clock:
    """Seconds of each part of a run."""

    def __init__(self):
        self.seconds, self.last = {}, time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self.last = round(now - self.last, 1), now

    def describe(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {seconds:.0f} s" for name, seconds in self.seconds.items() if seconds >= 0.5)


def prepare(loaded: Loaded, plan: Plan, given: rows.Read) -> rows.Prepared:
    """Load the backend's libraries and tokenise the rows."""
    get_ready(plan)
    return rows.prepare(loaded, given, models.tokenizer(models.resolve(loaded.recipe.model)))


def get_ready(plan: Plan) -> None:
    """Load the backend's libraries, in the order that they need."""
    if "LOCAL_RANK" not in os.environ:  # one GPU, or none, before torch looks; a worker has its own
        os.environ["CUDA_VISIBLE_DEVICES"] = machine.visible()[0] if plan.device == "cuda" else ""
    if plan.standby:
        os.environ.update(UNSLOTH_VLLM_STANDBY="1", UNSLOTH_VLLM_STANDBY_UTIL_OVERRIDE="1")  # or Unsloth takes a share of its own
    if plan.sharded and "LOCAL_RANK" in os.environ:  # Unsloth looks when it is imported
        os.environ.update(UNSLOTH_FSDP2="1", UNSLOTH_FSDP2_LAYOUT="sharded")
    if plan.backend == "unsloth":
        with logging.aside():
            import unsloth  # noqa: F401  before transformers and TRL, which it patches
    libraries.hush()
    if plan.deterministic:
        libraries.make_deterministic()


def open_model(loaded: Loaded, plan: Plan, prepared: rows.Prepared | None, run: Path | None = None) -> Opened:
    """Load the model with a new adapter, or the one that the run goes on with."""
    get_ready(plan)
    backend = importlib.import_module(f"hft.backends.{plan.backend}")
    with logging.aside():
        model, tokenizer = backend.load(loaded.recipe.model, plan, loaded.recipe.lora.rank if loaded.recipe.lora else 0)
        if loaded.recipe.lora:
            lora.check_targets(model, loaded.recipe.lora.targets)
            model = backend.add_lora(model, loaded.recipe.lora, plan, loaded.recipe.train.seed)
            if begun := run and stages.adapter(run):
                lora.load(model, begun)
    return Opened(loaded, plan, backend, model, tokenizer, prepared)


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
            training = processes.fit(run, opened.plan.processes, opened.plan.device, max_steps)
            if opened.prepared.evaluate:
                again = with_weights(run, own_model(run, opened.loaded), opened.plan, opened.prepared)
                opened = replace(again, loaded=opened.loaded)
            return opened, {**training, "out_of_memory": tried}
        except OutOfMemory:
            plan = plans.safer(opened.plan)
        kept = {name: getattr(opened.plan, name) for name in ("checkpointing", "expected_gib", "correction")}
        tried.append({"plan": opened.plan.describe(), **kept})
        say(f"Warning: out of GPU memory with {opened.plan.describe()}. Nothing is lost; going on with {plan.describe()} ...")
        opened.model = None
        free_memory()
        files.write_json(run / "plan.json", plan.as_dict())
        opened = open_model(opened.loaded, plan, opened.prepared, run) if plan.processes == 1 else replace(opened, plan=plan)


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
    model = export.at(loaded.recipe.model, run / "model", "none")
    return loaded._replace(recipe=loaded.recipe.model_copy(update={"model": model}))


def fit(run: Path, opened: Opened, max_steps: int | None) -> dict:
    """Train and save the adapter (or the model) in one step; returns what the passport keeps of training."""
    recipe = opened.loaded.recipe
    training = methods.of(recipe).train(opened.model, opened.tokenizer, opened.prepared.train, recipe, opened.plan, run, max_steps)
    if os.environ.get("RANK", "0") != "0":
        return training  # the first process writes
    trained.save(run, "adapter" if recipe.lora else "model", opened.model, opened.tokenizer, opened.plan)
    return training


def free_memory() -> None:
    """Give back what the trained model took before an export loads it again."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def rows_line(prepared: rows.Prepared) -> str:
    sides = "; ".join(f"{side}: {rows.describe(count)}" for side, count in prepared.counts.items())
    return f"Rows: {sides}" + (f"\nOverlap: {prepared.overlap.describe()}" if prepared.evaluate else "")


def show_dry_run(loaded: Loaded, plan: Plan, given: rows.Read, max_steps: int | None) -> None:
    """Say what would happen, without the model: rows, steps, plan."""
    prepared = rows.prepare(loaded, given)
    say(rows_line(prepared) + " (too long ones are found when the tokenizer is loaded)")
    steps = methods.of(loaded.recipe).steps(loaded.recipe, len(prepared.train))
    say(f"Steps: {min(max_steps or steps, steps)} of {loaded.recipe.train.batch_size} rows")
    if loaded.recipe.parent:
        say(f"Start: the {loaded.recipe.parent.weights} weights of the newest whole run of {loaded.recipe.parent.recipe}, when it is there")
    say(f"Plan: {plan.describe()}. Nothing was trained or written.")
