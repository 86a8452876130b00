"""The pipeline, on one page: a checked recipe becomes a run folder with a passport."""

import importlib
import json
import tempfile
import time
from pathlib import Path

from hft import files, libraries, terminal
from hft.data import order, rows
from hft.data import prepare as preparing
from hft.errors import HftError
from hft.evaluate import ask, scores
from hft.export import export
from hft.plan import plan as plans
from hft.plan.plan import Plan
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.runs import compare, curve, passport, stages
from hft.runs import folder as runs
from hft.runs.verify import folder as verify_folder
from hft.terminal import say
from hft.train.session import Opened, fit_the_card, free_memory, get_ready, open_model, prepare


def train(
    loaded: Loaded, choices: dict, resume: bool = False, max_steps: int | None = None, dry_run: bool = False
) -> Path | None:
    """Train a recipe and write its run folder; returns the folder (None after a dry run)."""
    libraries.quiet()
    parent = stages.find(loaded) if not dry_run else None
    given = rows.read(loaded)  # every mistake in the data shows before torch is imported
    steps = order.steps(loaded.recipe, len(given.train))
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
    with runs.lock(run), terminal.to(run / "log.txt"):
        clock = Clock()
        say(f"{loaded.name}: {'going on in' if (run / 'plan.json').exists() else 'new run'} {run}")
        loaded = start_from(parent, loaded, run, plan)
        say(f"Loading {plan.backend}'s libraries and the rows (up to half a minute on a CPU) ...")
        get_ready(plan)
        clock.lap("libraries")
        prepared = prepare(loaded, plan, given)
        clock.lap("rows")
        plan = plans.make(loaded.recipe, steps, order.lengths(loaded.recipe, prepared.train), **choices)
        say(f"Plan: {plan.describe()}. Loading the model ...")
        if plan.processes > 1 and (not prepared.evaluate or ask.asked(run, loaded.recipe, "base")):
            opened = Opened(
                loaded, plan, None, None, None, prepared
            )  # the workers load the model: here it has nothing to answer
        else:
            opened = open_model(loaded, plan, prepared, run)
        files.write_json(run / "plan.json", plan.as_dict())
        say(rows_line(prepared))
        data_facts = passport.same_data(run, loaded, opened.prepared)
        export.get_ready(run, loaded, loaded.recipe.export.formats)
        clock.lap("model")
        ask.ask(run, opened, "base")
        clock.lap("evaluate_base")
        opened, training = fit_the_card(run, opened, max_steps)
        clock.lap("train")
        after = "adapter" if loaded.recipe.lora else "model"
        ask.ask(run, opened, after)
        clock.lap("evaluate_trained")
        if opened.prepared.evaluate:
            answers = scores.kept(run)
            say(
                scores.table(
                    {
                        name: scores.summary(records)
                        for name, records in answers.items()
                        if name.removesuffix(ask.BARE) in ("base", after)
                    }
                )
            )
        hashes = passport.write(run, loaded, opened.plan, data_facts, training, clock.seconds)
        if training["steps"] == training["of_steps"]:
            runs.point_latest(run)
        say(
            f"Finished in {sum(clock.seconds.values()):.0f} s: {run}/{runs.PASSPORT}\nOf that {clock.describe()}; "
            f"the first step {training['first_step_seconds'] or 0:.1f} s"
        )
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
        importlib.import_module(f"hft.model.backends.{plan.backend}").merge(
            stages.of_recipe(before).recipe.model, before / "adapter", plan, before / "merged"
        )
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
        return ", ".join(
            f"{name.replace('_', ' ')} {seconds:.0f} s" for name, seconds in self.seconds.items() if seconds >= 0.5
        )


def rows_line(prepared: preparing.Prepared) -> str:
    sides = "; ".join(f"{side}: {rows.describe(count)}" for side, count in prepared.counts.items())
    return f"Rows: {sides}" + (f"\nOverlap: {prepared.overlap.describe()}" if prepared.evaluate else "")


def show_dry_run(loaded: Loaded, plan: Plan, given: rows.Read, max_steps: int | None) -> None:
    """Say what would happen, without the model: rows, steps, plan."""
    prepared = preparing.prepare(loaded, given)
    say(rows_line(prepared) + " (too long ones are found when the tokenizer is loaded)")
    steps = order.steps(loaded.recipe, len(prepared.train))
    say(f"Steps: {min(max_steps or steps, steps)} of {loaded.recipe.train.batch_size} rows")
    if loaded.recipe.parent:
        say(
            f"Start: the {loaded.recipe.parent.weights} weights of the newest whole run of {loaded.recipe.parent.recipe}, when it is there"
        )
    say(f"Plan: {plan.describe()}. Nothing was trained or written.")


def verify(run: Path, replay: int | None, choices: dict) -> None:
    """Check every hash; train the first `replay` steps again where asked. Raises HftError with what is wrong."""
    if wrong := verify_folder(run):
        raise HftError(
            f"{run}: {len(wrong)} of its files are not what its passport says:\n  " + "\n  ".join(wrong),
            "take the run from a backup, or train again",
        )
    facts = runs.passport(run)
    say(f"{run}: recipe and {len(facts['artefacts'])} files are as its passport says")
    if replay:
        again(run, facts, replay, choices)


def again(run: Path, facts: dict, steps: int, choices: dict) -> None:
    """Train the first steps in a scratch folder with the run's own plan; raises HftError when the losses leave the tolerance."""
    loaded = recipe_file.load_run(run)
    plan = plans.kept(facts["plan"], choices)
    quiet = {
        "evaluate": loaded.recipe.evaluate.model_copy(update={"rows": 1, "max_new_tokens": 1}),
        "export": loaded.recipe.export.model_copy(update={"formats": []}),
    }
    with tempfile.TemporaryDirectory(prefix="hft-verify.") as scratch, runs.in_folder(scratch):
        for other in run.resolve().parent.parent.iterdir():  # where a stage finds its parent
            if other.is_dir() and other.name != loaded.name:
                Path(scratch, other.name).symlink_to(other)
        made = train(loaded._replace(recipe=loaded.recipe.model_copy(update=quiet)), plan, max_steps=steps)
        losses = runs.passport(made)["training"]["losses"]
    said, together = compare.curves(facts["training"]["losses"][: len(losses)], losses, compare.MOST, compare.MEAN)
    if not together:
        raise HftError(
            f"{run}: its first steps come out otherwise here: {said}",
            f"look at libraries and plan of a whole new run: hft compare {run} OTHER_RUN",
        )
    say(f"Replayed: {said}")
