"""The pipeline, on one page: a checked recipe becomes a run folder with a passport."""

import importlib
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from hft import asking, curve, evaluate, export, files, hooks, libraries, lora, methods, models, passport, rows, runs, stages
from hft import log as logging
from hft import plan as plans
from hft.errors import HftError
from hft.log import say
from hft.plan import Plan
from hft.recipe_file import Loaded


class Opened(NamedTuple):
    """A model at work: what the commands after training need."""

    loaded: Loaded
    plan: Plan
    backend: object
    model: object
    tokenizer: object
    prepared: rows.Prepared | None


def train(loaded: Loaded, choices: dict, resume: bool = False, max_steps: int | None = None, dry_run: bool = False) -> Path | None:
    """Train a recipe and write its run folder; returns the folder (None after a dry run)."""
    libraries.quiet()
    parent = stages.find(loaded)
    given = rows.read(loaded)  # every mistake in the data shows before torch is imported
    steps = methods.of(loaded.recipe).steps(loaded.recipe, len(given.train))
    plan = plans.make(loaded.recipe, steps, **choices)
    if dry_run:
        return show_dry_run(loaded, plan, given, max_steps)
    unfinished = stages.to_resume(loaded, parent) if resume else None
    run = unfinished or runs.start(loaded)
    if unfinished and (run / "plan.json").exists():
        plan = plans.make(loaded.recipe, steps, **plans.kept(run / "plan.json", choices))
    if not unfinished:
        curve.take_along(loaded, run)
    with runs.lock(run), logging.to(run / "log.txt"):
        clock = Clock()
        say(f"{loaded.name}: {'going on in' if (run / 'plan.json').exists() else 'new run'} {run}")
        loaded = start_from(parent, loaded, run, plan)
        say(f"Plan: {plan.describe()}. Loading libraries and model (about half a minute on a CPU) ...")
        opened = open_model(loaded, plan, given, run)
        files.write_json(run / "plan.json", plan.as_dict())
        say(rows_line(opened.prepared))
        data_facts = passport.same_data(run, loaded, opened.prepared)
        export.get_ready(run, loaded, loaded.recipe.export.formats)
        clock.lap("load")
        asking.ask(run, opened, "base")
        clock.lap("evaluate_base")
        training = fit(run, opened, max_steps)
        clock.lap("train")
        after = "adapter" if loaded.recipe.lora else "model"
        asking.ask(run, opened, after)
        clock.lap("evaluate_trained")
        if opened.prepared.evaluate:
            answers = evaluate.kept(run)
            say(evaluate.table({name: evaluate.summary(records) for name, records in answers.items()
                                if name.removesuffix(asking.BARE) in ("base", after)}))
        hashes = passport.write(run, loaded, plan, data_facts, training, clock.seconds)
        if training["steps"] == training["of_steps"]:
            runs.point_latest(run)
        say(f"Finished in {sum(clock.seconds.values()):.0f} s: {run}/{runs.PASSPORT}")
        for path, hashed in hashes.items():
            if path.startswith(f"{after}/") and path.endswith(".safetensors"):
                say(f"{after} {hashed}")
        if loaded.recipe.export.formats:  # the run is finished already: an export that fails can be made again
            samples = opened.prepared.evaluate
            del opened
            free_memory()
            export_and_record(run, loaded, plan, samples, loaded.recipe.export.formats)
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


def open_model(loaded: Loaded, plan: Plan, given: rows.Read | None, run: Path | None = None) -> Opened:
    """Load the model with a new adapter (or the one that the run goes on with), and tokenise the rows where they are given."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0" if plan.device == "cuda" else "")  # one GPU, or none, before torch looks
    if plan.backend == "unsloth":
        with logging.aside():
            import unsloth  # noqa: F401  before transformers and TRL, which it patches
    libraries.hush()
    backend = importlib.import_module(f"hft.backends.{plan.backend}")
    prepared = rows.prepare(loaded, given, models.tokenizer(models.resolve(loaded.recipe.model))) if given else None
    with logging.aside():
        model, tokenizer = backend.load(loaded.recipe.model, plan, loaded.recipe.lora.rank if loaded.recipe.lora else 0)
        if loaded.recipe.lora:
            lora.check_targets(model, loaded.recipe.lora.targets)
            model = backend.add_lora(model, loaded.recipe.lora, plan, loaded.recipe.train.seed)
            if begun := run and stages.adapter(run):
                lora.load(model, begun)
    return Opened(loaded, plan, backend, model, tokenizer, prepared)


def fit(run: Path, opened: Opened, max_steps: int | None) -> dict:
    """Train and save the adapter (or the model) in one step; returns what the passport keeps of training."""
    recipe = opened.loaded.recipe
    training = methods.of(recipe).train(opened.model, opened.tokenizer, opened.prepared.train, recipe, opened.plan, run, max_steps)
    name = "adapter" if recipe.lora else "model"
    with files.new_folder(run / name) as draft:
        opened.model.save_pretrained(draft)
        opened.tokenizer.save_pretrained(draft)
        tidy(draft)
        if stale(draft, run / name):
            for old in (*run.glob(f"answers/{name}*.jsonl"), *run.glob("*.gguf"), *run.glob("merged*")):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    return training


def stale(new: Path, old: Path) -> bool:
    """True when other weights stand where the new ones go: what was asked or made of them is void."""
    return old.exists() and any(files.sha256(path) != files.sha256(old / path.name) for path in new.glob("*.safetensors"))


def free_memory() -> None:
    """Give back what the trained model took before an export loads it again."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tidy(adapter: Path) -> None:
    """Sort what PEFT writes in the order of a set."""
    import json

    config = adapter / "adapter_config.json"
    if config.exists():
        facts = json.loads(config.read_text(encoding="utf-8"))
        facts["target_modules"] = sorted(facts["target_modules"])
        files.write_json(config, facts)


def rows_line(prepared: rows.Prepared) -> str:
    sides = "; ".join(f"{side}: {rows.describe(count)}" for side, count in prepared.counts.items())
    return f"Rows: {sides}" + (f"\nOverlap: {prepared.overlap.describe()}" if prepared.evaluate else "")


def show_dry_run(loaded: Loaded, plan: Plan, given: rows.Read, max_steps: int | None) -> None:
    """Say what would happen, without the model: rows, steps, plan."""
    prepared = rows.prepare(loaded, given)
    say(rows_line(prepared) + " (too long ones are found when the tokenizer is loaded)")
    steps = methods.of(loaded.recipe).steps(loaded.recipe, len(prepared.train))
    say(f"Steps: {min(max_steps or steps, steps)} of {loaded.recipe.train.batch_size} rows")
    say(f"Plan: {plan.describe()}. Nothing was trained or written.")


def open_run(run: Path, choices: dict, with_rows: bool = True) -> Opened:
    """Load a finished run's model with its trained weights."""
    libraries.quiet()
    loaded = stages.of_recipe(run)
    plan = plans.make(loaded.recipe, **choices)
    if (run / "model").exists():
        loaded = loaded._replace(recipe=loaded.recipe.model_copy(update={"model": export.at(loaded.recipe.model, run / "model", "none")}))
    opened = open_model(loaded, plan, rows.read(loaded) if with_rows else None)
    if loaded.recipe.lora:
        lora.load(opened.model, run / "adapter")
    return opened


def reevaluate(run: Path, choices: dict) -> str:
    """Ask a finished run's trained weights again on this machine; returns the table."""
    opened = open_run(run, choices)
    if not opened.prepared.evaluate:
        raise HftError(f"{run}: the recipe has no held-out rows", "add data.evaluate or data.held_out to it")
    column = "adapter" if opened.loaded.recipe.lora else "model"
    with runs.lock(run), logging.to(run / "log.txt"):
        passport.same_data(run, opened.loaded, opened.prepared)
        asking.ask(run, opened, column, again=True)
        passport.update_artefacts(run)
    return evaluate.table({name: evaluate.summary(records) for name, records in evaluate.kept(run).items()})


def export_run(run: Path, formats: list[str], choices: dict, max_drop: float | None) -> None:
    """Export a finished run; `max_drop` replaces the recipe's limit."""
    libraries.quiet()
    loaded = stages.of_recipe(run)
    if max_drop is not None:
        limit = loaded.recipe.export.model_copy(update={"max_drop": max_drop})
        loaded = loaded._replace(recipe=loaded.recipe.model_copy(update={"export": limit}))
    plan = plans.make(loaded.recipe, **choices)
    given = rows.read(loaded)
    libraries.hush()
    with runs.lock(run), logging.to(run / "log.txt"):
        prepared = rows.prepare(loaded, given, models.tokenizer(models.resolve(loaded.recipe.model)))
        passport.same_data(run, loaded, prepared)
        export_and_record(run, loaded, plan, prepared.evaluate, formats)


def finish_exports(run: Path, loaded: Loaded, choices: dict) -> None:
    """Make the recipe's exports that a finished run lacks; those that are there must still have lost no more than allowed."""
    wanted = {kind: export.path_of(run, loaded, kind) for kind in loaded.recipe.export.formats}
    if missing := [kind for kind in wanted if not export.finished(run, loaded, kind)]:
        export_run(run, missing, choices, None)
    export.compare(run, loaded, list(wanted.values()))


def export_and_record(run: Path, loaded: Loaded, plan: Plan, samples: list, formats: list[str]) -> None:
    """Export, and bring the passport up to date also when an export loses too much."""
    try:
        made = export.export(run, loaded, plan, samples, formats)
    finally:
        passport.update_artefacts(run)
    for path in made:
        size = sum(p.stat().st_size for p in ([path] if path.is_file() else path.iterdir())) / 1e6
        say(f"{path}  {size:,.0f} MB")


def side_by_side(run: Path, prompt: str, context: str, max_new_tokens: int | None, choices: dict) -> str:
    """One prompt, in the recipe's format, answered by the base model and by the trained one."""
    from hft import prompts

    loaded = stages.of_recipe(run)
    recipe = loaded.recipe
    try:
        text = hooks.form(recipe.prompt.format, loaded.code)(prompts.asked(prompt, context), recipe.prompt.instruction)[0]
    except KeyError as problem:
        raise HftError(f"the format '{recipe.prompt.format}' makes no prompt of one text: it wants {problem.args[0]}",
                       f"ask its held-out rows instead: hft evaluate {run}") from None
    opened = open_run(run, choices, with_rows=False)
    ids = prompts.encode(text, "", opened.tokenizer).prompt_ids
    limit = max_new_tokens or recipe.evaluate.max_new_tokens

    def answer(what):
        return opened.backend.generate(opened.model, opened.tokenizer, [ids], limit, opened.plan, what)[0]

    trained = answer("asking the trained model")
    if not recipe.lora:
        return f"trained: {trained}"
    with opened.model.disable_adapter():
        return f"base:    {answer('asking the base model')}\ntrained: {trained}"
