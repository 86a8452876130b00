"""What is done with a finished run: ask it again, export it, let it answer beside its base, prove it."""

import tempfile
from pathlib import Path

from hft import libraries, pipeline, terminal
from hft.data import formats, prepare, rows, tokens
from hft.errors import HftError
from hft.evaluate import ask, scores
from hft.evaluate.table import table
from hft.export import export
from hft.model import base as models
from hft.plan import wishes as wishing
from hft.plan.wishes import Wishes
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.runs import also, compare, passport, stages, verify
from hft.runs import folder as runs
from hft.terminal import say
from hft.train import session
from hft.train.session import Opened


def open_run(run: Path, wishes: Wishes, with_rows: bool = True) -> Opened:
    """Load a finished run's model with its trained weights."""
    libraries.quiet()
    loaded = session.own_model(run, stages.of_recipe(run))
    plan = pipeline.plan_here(loaded.recipe, wishes)
    prepared = None
    if with_rows:
        parent = stages.of_run(run)
        asking = also.read(loaded, stages.folder(parent, run.resolve().parent.parent) if parent else None)
        prepared = also.prepared(session.prepare(loaded, plan, rows.read(loaded)), loaded, asking)
    return session.with_weights(run, loaded, plan, prepared)


def reevaluate(run: Path, wishes: Wishes) -> str:
    """Ask a finished run's trained weights again on this machine; returns the table."""
    opened = open_run(run, wishes)
    if not (opened.prepared and opened.prepared.evaluate):
        raise HftError(f"{run}: the recipe has no held-out rows", "add data.evaluate or data.held_out to it")
    with runs.lock(run), terminal.to(run / "log.txt"):
        passport.same_data(run, opened.loaded, opened.prepared)
        also.same(run, opened.prepared)
        ask.ask(run, opened, pipeline.trained(opened.loaded.recipe), again=True)
        passport.update_artefacts(run)
    return table(scores.of_run(run))


def export_run(run: Path, formats: list[str], wishes: Wishes, max_drop: float | None) -> None:
    """Export a finished run; `max_drop` replaces the recipe's limit."""
    libraries.quiet()
    loaded = stages.of_recipe(run)
    if max_drop is not None:
        limit = loaded.recipe.export.model_copy(update={"max_drop": max_drop})
        loaded = loaded._replace(recipe=loaded.recipe.model_copy(update={"export": limit}))
    plan = pipeline.plan_here(loaded.recipe, wishes)
    given = rows.read(loaded)
    libraries.hush()
    with runs.lock(run), terminal.to(run / "log.txt"):
        prepared = prepare.prepare(loaded, given, models.tokenizer(models.resolve(loaded.recipe.model)))
        passport.same_data(run, loaded, prepared)
        export.export_and_record(run, loaded, plan, prepared.evaluate, formats)


def finish_exports(run: Path, loaded: Loaded, wishes: Wishes) -> None:
    """Make the recipe's exports that a finished run lacks.

    Those that are there must still have lost no more than allowed.
    """
    wanted = {kind: export.path_of(run, loaded, kind) for kind in loaded.recipe.export.formats}
    if missing := [kind for kind in wanted if not export.finished(run, loaded, kind)]:
        export_run(run, missing, wishes, None)
    export.compare(run, loaded, list(wanted.values()))


def side_by_side(run: Path, prompt: str, context: str, max_new_tokens: int | None, wishes: Wishes) -> str:
    """One prompt, in the recipe's format, answered by the base model and by the trained one."""
    loaded = stages.of_recipe(run)
    recipe = loaded.recipe
    try:
        form = formats.form(recipe.prompt.format, loaded.code)
        text = form(formats.asked(prompt, context), recipe.prompt.instruction)[0]
    except KeyError as problem:
        raise HftError(
            f"the format '{recipe.prompt.format}' makes no prompt of one text: it wants {problem.args[0]}",
            f"ask its held-out rows instead: hft evaluate {run}",
        ) from None
    opened = open_run(run, wishes, with_rows=False)
    ids = tokens.encode(text, "", opened.tokenizer, recipe.prompt.prefill).prompt_ids
    limit = max_new_tokens or recipe.evaluate.max_new_tokens

    def answer(what: str) -> str:
        return opened.backend.generate(opened.model, opened.tokenizer, [ids], limit, opened.plan, what)[0]

    after = answer("asking the trained model")
    if not recipe.lora:
        return f"trained: {after}"
    with opened.model.disable_adapter():
        return f"base:    {answer('asking the base model')}\ntrained: {after}"


def prove(run: Path, replay: int | None, wishes: Wishes) -> None:
    """Check every hash; train the first `replay` steps again where asked. Raises HftError with what is wrong."""
    if wrong := verify.folder(run):
        raise HftError(
            f"{run}: {len(wrong)} of its files are not what its passport says:\n  " + "\n  ".join(wrong),
            "take the run from a backup, or train again",
        )
    facts = runs.finished_passport(run)
    say(f"{run}: recipe and {len(facts['artefacts'])} files are as its passport says")
    if replay:
        again(run, facts, replay, wishes)


def again(run: Path, facts: dict, steps: int, wishes: Wishes) -> None:
    """Train the first steps in a scratch folder with the run's own plan.

    Raises HftError when the losses, or the rewards of method grpo, leave the tolerance.
    """
    loaded = recipe_file.load_run(run)
    wishes = wishing.kept(facts["plan"], wishes)
    little = {"rows": 1, "max_new_tokens": 1, "baseline": None, "also": None}
    quiet = {
        "evaluate": loaded.recipe.evaluate.model_copy(update=little),
        "export": loaded.recipe.export.model_copy(update={"formats": []}),
    }
    with tempfile.TemporaryDirectory(prefix="hft-verify.") as scratch, runs.in_folder(scratch):
        for other in run.resolve().parent.parent.iterdir():  # where a stage finds its parent
            if other.is_dir() and other.name != loaded.name:
                Path(scratch, other.name).symlink_to(other)
        shortened = loaded._replace(recipe=loaded.recipe.model_copy(update=quiet))
        made = pipeline.train(shortened, wishes, max_steps=steps, anyway=True)
        now = runs.finished_passport(made)
    before = {"losses": facts["training"]["losses"][:steps], "rewards": facts["training"].get("rewards", [])[:steps]}
    curve, together = compare.training({**facts, "training": before}, now, compare.MOST, compare.MEAN)
    if not together:
        raise HftError(
            f"{run}: its first steps come out otherwise here: {curve}",
            f"look at libraries and plan of a whole new run: hft compare {run} OTHER_RUN",
        )
    say(f"Replayed: {curve}")
