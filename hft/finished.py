"""What is done with a finished run: ask it again, export it, let it answer beside its base."""

from pathlib import Path

from hft import libraries, terminal
from hft.data import formats as hooks
from hft.data import formats as prompts
from hft.data import prepare as preparing
from hft.data import rows, tokens
from hft.errors import HftError
from hft.evaluate import ask, scores
from hft.export import export
from hft.model import base as models
from hft.plan import plan as plans
from hft.recipe.file import Loaded
from hft.runs import folder as runs
from hft.runs import passport, stages
from hft.train.session import Opened, own_model, prepare, with_weights


def open_run(run: Path, choices: dict, with_rows: bool = True) -> Opened:
    """Load a finished run's model with its trained weights."""
    libraries.quiet()
    loaded = own_model(run, stages.of_recipe(run))
    plan = plans.make(loaded.recipe, **choices)
    return with_weights(run, loaded, plan, prepare(loaded, plan, rows.read(loaded)) if with_rows else None)


def reevaluate(run: Path, choices: dict) -> str:
    """Ask a finished run's trained weights again on this machine; returns the table."""
    opened = open_run(run, choices)
    if not opened.prepared.evaluate:
        raise HftError(f"{run}: the recipe has no held-out rows", "add data.evaluate or data.held_out to it")
    column = "adapter" if opened.loaded.recipe.lora else "model"
    with runs.lock(run), terminal.to(run / "log.txt"):
        passport.same_data(run, opened.loaded, opened.prepared)
        ask.ask(run, opened, column, again=True)
        passport.update_artefacts(run)
    return scores.table({name: scores.summary(records) for name, records in scores.kept(run).items()})


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
    with runs.lock(run), terminal.to(run / "log.txt"):
        prepared = preparing.prepare(loaded, given, models.tokenizer(models.resolve(loaded.recipe.model)))
        passport.same_data(run, loaded, prepared)
        export.export_and_record(run, loaded, plan, prepared.evaluate, formats)


def finish_exports(run: Path, loaded: Loaded, choices: dict) -> None:
    """Make the recipe's exports that a finished run lacks; those that are there must still have lost no more than allowed."""
    wanted = {kind: export.path_of(run, loaded, kind) for kind in loaded.recipe.export.formats}
    if missing := [kind for kind in wanted if not export.finished(run, loaded, kind)]:
        export_run(run, missing, choices, None)
    export.compare(run, loaded, list(wanted.values()))


def side_by_side(run: Path, prompt: str, context: str, max_new_tokens: int | None, choices: dict) -> str:
    """One prompt, in the recipe's format, answered by the base model and by the trained one."""
    loaded = stages.of_recipe(run)
    recipe = loaded.recipe
    try:
        text = hooks.form(recipe.prompt.format, loaded.code)(prompts.asked(prompt, context), recipe.prompt.instruction)[
            0
        ]
    except KeyError as problem:
        raise HftError(
            f"the format '{recipe.prompt.format}' makes no prompt of one text: it wants {problem.args[0]}",
            f"ask its held-out rows instead: hft evaluate {run}",
        ) from None
    opened = open_run(run, choices, with_rows=False)
    ids = tokens.encode(text, "", opened.tokenizer).prompt_ids
    limit = max_new_tokens or recipe.evaluate.max_new_tokens

    def answer(what):
        return opened.backend.generate(opened.model, opened.tokenizer, [ids], limit, opened.plan, what)[0]

    trained = answer("asking the trained model")
    if not recipe.lora:
        return f"trained: {trained}"
    with opened.model.disable_adapter():
        return f"base:    {answer('asking the base model')}\ntrained: {trained}"
