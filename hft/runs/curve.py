"""Reference curves: `hft bless` keeps a run's losses beside its recipe; later trainings say when they leave them."""

import json
import math
from pathlib import Path

from hft import files
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.catalogue import catalogue
from hft.runs import compare
from hft.runs import folder as runs

KEPT = "curve.json"  # the copy in a run's folder


def bless(run: Path) -> Path:
    """Keep a finished run's losses as NAME.curve.json beside its recipe; returns the file.

    Raises HftError where the recipe is gone or another by now, or the run was cut short or lost its numbers.
    """
    facts, name = runs.finished_passport(run), run.resolve().parent.name
    path = catalogue().get(name)
    if path is None or recipe_file.load(name, tuple(facts["recipe"]["overrides"])).digest != facts["recipe"]["digest"]:
        raise HftError(
            f"the recipe {name} is not what {run} was trained with", f"train it again: make train RECIPE={name}"
        )
    if facts["training"]["steps"] < facts["training"]["of_steps"]:
        raise HftError(
            f"{run} ended after step {facts['training']['steps']} of {facts['training']['of_steps']}",
            "bless a whole run",
        )
    losses = facts["training"]["losses"]
    if lost := next((step for step, loss in enumerate(losses, 1) if not math.isfinite(loss)), None):
        raise HftError(
            f"the loss of {run} is {losses[lost - 1]} at step {lost}", "bless a whole run whose losses are numbers"
        )
    target = path.with_name(f"{name}.curve.json")
    try:
        files.write_json(
            target,
            {
                "digest": facts["recipe"]["digest"],
                "losses": losses,
                "run": facts["run"],
                "libraries": facts["libraries"],
                "plan": facts["plan"],
            },
        )
    except OSError as problem:
        raise HftError(
            f"cannot write {target}: {problem.strerror}", "bless it where the recipes may be written"
        ) from None
    return target


def take_along(loaded: recipe_file.Loaded, run: Path) -> None:
    """Copy the recipe's reference curve into a new run, if it is of this very recipe."""
    path = loaded.path.with_name(f"{loaded.name}.curve.json")
    if path.exists():
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["digest"] == loaded.digest:
            files.write_json(run / KEPT, facts)


def of_run(run: Path) -> list[float]:
    """The losses that a run should have; none where its recipe has no reference curve."""
    path = run / KEPT
    return json.loads(path.read_text(encoding="utf-8"))["losses"] if path.exists() else []


def left(reference: list[float], step: int, loss: float) -> str | None:
    """What to say when the loss of a step (from 1) is not the reference's, within the tolerance of a match."""
    if step > len(reference) or abs(loss - reference[step - 1]) <= compare.MOST:
        return None
    return (
        f"the loss {loss:.4f} leaves the recipe's reference curve ({reference[step - 1]:.4f}, "
        f"within {compare.MOST:g}): other data, libraries or hardware? When it has ended: hft compare this run with "
        "the one in NAME.curve.json"
    )
