"""The pipeline, on one page: a checked recipe becomes a run folder with a passport."""

import json
import time
from enum import Enum
from pathlib import Path

from hft import files, libraries, machine, terminal
from hft.data import fitting, order, prepare, rows
from hft.data.prepare import Prepared
from hft.evaluate import ask, scores
from hft.evaluate.table import table
from hft.export import export
from hft.model import merge
from hft.plan import plan as plans
from hft.plan import wishes as wishing
from hft.plan.plan import Plan
from hft.plan.wishes import Wishes
from hft.recipe import pin
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe
from hft.runs import also, curve, passport, stages
from hft.runs import folder as runs
from hft.runs.stages import Start
from hft.terminal import say
from hft.train import draw, flat, session
from hft.train.session import Opened, Waiting


class Way(Enum):
    """What `hft train` does with a recipe."""

    ANEW = "a new run"
    GO_ON = "the newest unfinished run goes on"
    NOTHING = "a finished run is left as it is"
    FOLLOW = "this server lends its processes to the first one's run"


def decide(resume: bool, leads: bool, unfinished: bool, finished: bool) -> Way:
    """What to do on a server that leads or not, where there is an unfinished and a finished run of this very recipe."""
    if not leads:
        return Way.FOLLOW
    if not resume:
        return Way.ANEW
    if unfinished:
        return Way.GO_ON
    return Way.NOTHING if finished else Way.ANEW


def look_back(loaded: Loaded, resume: bool, max_steps: int | None, leads: bool = True) -> tuple[Way, Path | None]:
    """What to do, and the finished run that makes it so; an unfinished run comes before a finished one."""
    unfinished = runs.to_resume(loaded) if resume else None
    goes_on = bool(unfinished and stages.same(unfinished, stages.find(loaded)))
    finished = stages.finished(loaded, max_steps) if resume and not goes_on else None
    return decide(resume, leads, goes_on, bool(finished)), finished


def train(
    loaded: Loaded, wishes: Wishes, resume: bool = False, max_steps: int | None = None, anyway: bool = False
) -> Path:
    """Train a recipe and write its run folder; returns the folder.

    anyway: learn by reward although completions score alike; HftError is raised for such a run without it.
    """
    libraries.quiet()
    parent = stages.find(loaded)
    given = rows.read(loaded)  # every mistake in the data shows before torch is imported
    asking = also.read(loaded, stages.folder(parent) if parent else None)
    steps = order.steps(loaded.recipe, len(given.train))
    plan = plan_here(loaded.recipe, wishes, steps)
    run, kept = begin(loaded, parent, wishes, resume)
    if kept is not wishes:
        wishes, plan = kept, plan_here(loaded.recipe, kept, steps)
    with runs.lock(run), terminal.to(run / "log.txt"):
        clock = Clock()
        say(f"{loaded.name}: {'going on in' if (run / 'plan.json').exists() else 'new run'} {run}")
        pin.warn(loaded)
        flat.begin(run, loaded, anyway)
        loaded = start_from(parent, loaded, run, plan)
        say(f"Loading {plan.backend}'s libraries and the rows (up to half a minute on a CPU) ...")
        session.get_ready(plan)
        clock.lap("libraries")
        prepared = also.prepared(session.prepare(loaded, plan, given), loaded, asking)
        clock.lap("rows")
        plan = plan_here(loaded.recipe, wishes, steps, order.lengths(loaded.recipe, prepared.train))
        say(f"Plan: {plan.describe()}. Loading the model ...")
        opened = open_or_wait(run, loaded, plan, prepared)
        files.write_json(run / "plan.json", plan.as_dict())
        say(rows_line(prepared, loaded.recipe.model.max_tokens))
        data_facts = passport.same_data(run, loaded, prepared) | also.same(run, prepared)
        export.get_ready(run, loaded, loaded.recipe.export.formats)
        clock.lap("model")
        if draw_first(run, opened):
            clock.lap("draw")
        if isinstance(opened, Opened):
            ask.ask(run, opened, "base")
        clock.lap("evaluate_base")
        opened, training = session.fit_the_card(run, opened, max_steps)
        clock.lap("train")
        if isinstance(opened, Opened):
            ask.ask(run, opened, trained(loaded.recipe))
        clock.lap("evaluate_trained")
        finish(run, opened, data_facts, training, clock)
        if loaded.recipe.export.formats:  # the run is finished already: an export that fails can be made again
            plan = session.release(opened).plan
            export.export_and_record(run, loaded, plan, prepared.evaluate, loaded.recipe.export.formats)
    return run


def plan_here(recipe: Recipe, wishes: Wishes, total_steps: int | None = None, lengths: list[int] | None = None) -> Plan:
    """The plan for this machine, corrected by its earlier runs."""
    return plans.make(recipe, machine.usable(), wishes, runs.passports(), total_steps, lengths)


def begin(loaded: Loaded, parent: Start | None, wishes: Wishes, resume: bool) -> tuple[Path, Wishes]:
    """The run's folder, a new one or the unfinished one; that one keeps its plan where nothing else is wished."""
    unfinished = stages.to_resume(loaded, parent) if resume else None
    if unfinished is None:
        run = runs.start(loaded)
        curve.take_along(loaded, run)
        return run, wishes
    if (unfinished / "plan.json").exists():
        wishes = wishing.kept(json.loads((unfinished / "plan.json").read_text(encoding="utf-8")), wishes)
    return unfinished, wishes


def start_from(parent: Start | None, loaded: Loaded, run: Path, plan: Plan) -> Loaded:
    """The recipe with its parent's weights as its model; merged first where the parent has not exported them."""
    if parent is None:
        return loaded
    stages.keep(run, parent)
    stages.report(parent)
    before, whole = stages.folder(parent), stages.ready(loaded, parent)
    if parent.start == "merged" and not Path(whole.recipe.model.name).exists():
        say(f"Merging the adapter of {parent.recipe} ...")
        merge.merge(stages.of_recipe(before).recipe.model, before / "adapter", plan, before / "merged")
        passport.update_artefacts(before)
    return whole


def open_or_wait(run: Path, loaded: Loaded, plan: Plan, prepared: Prepared) -> Opened | Waiting:
    """The model at work; Waiting where workers load it and nothing is to be asked here."""
    if plan.processes > 1 and (not prepared.evaluate or ask.asked(run, loaded.recipe, prepared, "base")):
        return Waiting(loaded, plan, prepared)
    return session.open_model(loaded, plan, prepared, run)


def draw_first(run: Path, opened: Opened | Waiting) -> bool:
    """Draw completions of some prompts where that is still to be done before learning by reward; whether it was."""
    if wanted := isinstance(opened, Opened) and draw.wanted(run, opened.loaded.recipe):
        draw.draw(run, opened)
    return wanted


def finish(run: Path, opened: Opened | Waiting, data_facts: dict, training: dict, clock: "Clock") -> None:
    """Say what came of it, write the passport, and let runs/NAME/latest name a run that was trained to its end."""
    loaded, after = opened.loaded, trained(opened.loaded.recipe)
    if opened.prepared and opened.prepared.evaluate:
        asked = scores.of_run(run).items()
        say(table({name: column for name, column in asked if scores.apart(name)[0] in scores.FIRST}))
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


def trained(recipe: Recipe) -> str:
    """What a run of this recipe leaves: the folder of its weights, and the column of its answers."""
    return "adapter" if recipe.lora else "model"


class Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.monotonic()

    def lap(self, name: str) -> None:
        """Count the seconds since the last lap as this part's."""
        now = time.monotonic()
        self.seconds[name] = round(now - self.last, 1)
        self.last = now

    def describe(self) -> str:
        """The parts that took half a second or more."""
        parts = {name.replace("_", " "): seconds for name, seconds in self.seconds.items() if seconds >= 0.5}
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.items())


def rows_line(prepared: Prepared, limit: int) -> str:
    """How many rows were read, dropped and kept, how far the two sides overlap, and which questions were cut."""
    others = [(one.samples, one.loaded.recipe.model.max_tokens) for one in prepared.also.values()]
    cut = [fitting.describe(*asked) for asked in [(prepared.evaluate, limit), *others]]
    sides = "; ".join(f"{side}: {rows.describe(count)}" for side, count in prepared.counts.items())
    overlap = f"Overlap: {prepared.overlap.describe()}" if prepared.evaluate else None
    return "\n".join(filter(None, (f"Rows: {sides}", overlap, *cut)))


def dry_run(loaded: Loaded, wishes: Wishes, max_steps: int | None = None) -> None:
    """Say what would happen, without the model: rows, steps, plan; nothing is trained or written."""
    libraries.quiet()
    given = rows.read(loaded)
    asking = also.read(loaded, stages.newest(loaded.recipe.parent.recipe) if loaded.recipe.parent else None)
    plan = plan_here(loaded.recipe, wishes, order.steps(loaded.recipe, len(given.train)))
    prepared = also.prepared(prepare.prepare(loaded, given), loaded, asking, tokenised=False)
    say(rows_line(prepared, loaded.recipe.model.max_tokens) + " (too long ones are found when the tokenizer is loaded)")
    steps = order.steps(loaded.recipe, len(prepared.train))
    say(f"Steps: {min(max_steps or steps, steps)} of {loaded.recipe.train.batch_size} rows")
    if parent := loaded.recipe.parent:
        say(f"Start: the {parent.weights} weights of the newest whole run of {parent.recipe}, when it is there")
    for name, one in prepared.also.items():
        say(f"Asked too, before and after: {len(one.samples):,} held-out questions of {name}")
    say(f"Plan: {plan.describe()}. Nothing was trained or written.")
