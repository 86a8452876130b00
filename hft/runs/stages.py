"""Stages: a recipe with a `parent` starts from the weights of the parent's newest finished run."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from hft import files
from hft.data import sources
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.runs import folder as runs
from hft.terminal import say

KEPT = "parent.json"


class Start(NamedTuple):
    """What a stage starts from, as parent.json and the passport keep it."""

    recipe: str
    run: str  # the folder's name
    digest: str  # of the recipe that the run was made with
    weights: str  # SHA-256
    start: str  # merged, or adapter where it goes on
    changed: list[str]  # what has changed since that run: recipe, data


class Stage(NamedTuple):
    """One run of a chain."""

    recipe: str
    run: str
    digest: str
    weights: str
    facts: dict[str, Any] | None  # its passport; None where the folder is gone


def find(loaded: Loaded) -> Start | None:
    """What a stage starts from; None for a recipe without parent.

    Raises HftError when the parent has no finished run, or its weights are no longer those of its passport.
    """
    parent = loaded.recipe.parent
    if not parent:
        return None
    run = newest(parent.recipe)
    if not run:
        raise HftError(
            f"{loaded.name} starts from {parent.recipe}, which has no finished run in {runs.root()}",
            f'make train RECIPE="{parent.recipe} {loaded.name}"',
        )
    passport = runs.finished_passport(run)
    return Start(
        recipe=parent.recipe,
        run=run.name,
        digest=passport["recipe"]["digest"],
        weights=weights(run, passport),
        start=parent.weights,
        changed=changes(run, passport),
    )


def newest(name: str) -> Path | None:
    """The newest finished run of a recipe; None where there is none. A smoke test is no stage where one is whole."""
    done = {run: facts for run in runs.every(name) if (facts := runs.passport(run))}
    whole = [run for run, facts in done.items() if runs.whole(facts)]
    return (whole or list(done))[-1] if done else None


def weights(run: Path, passport: dict[str, Any]) -> str:
    """The SHA-256 of a run's trained weights (of their list, where they are several files).

    Raises HftError where they are not those that its passport names.
    """
    hashes = runs.weights(passport)
    for name, hashed in hashes.items():
        if not (run / name).exists() or files.sha256(run / name) != hashed:
            raise HftError(
                f"{run / name} is not the file that the run's passport names",
                f"train {run.parent.name} again, or put it back",
            )
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def changes(run: Path, passport: dict[str, Any]) -> list[str]:
    """What has changed since a run: its recipe, its data. What cannot be had here any more counts as unchanged."""
    try:
        now = recipe_file.load(run.parent.name, tuple(passport["recipe"]["overrides"]))
    except HftError:
        return []
    if passport["recipe"].get("python", {}).keys() - now.python.keys():
        return []  # the Python beside it is gone
    changed = ["recipe"] if now.digest != passport["recipe"]["digest"] else []
    for side, facts in passport["data"]["sources"].items():
        try:
            other = sources.facts(getattr(now.recipe.data, side), now.path.parent) != facts
        except (HftError, AttributeError):
            continue
        changed += ["data"] if other and "data" not in changed else []
    return changed


def same(run: Path, parent: Start | None) -> bool:
    """True when a run started from these very weights of its parent, or from none."""
    before = of_run(run)
    if before is None or parent is None:
        return before is parent
    return (before.weights, before.start) == (parent.weights, parent.start)


def finished(loaded: Loaded, max_steps: int | None) -> Path | None:
    """The newest finished run of this very recipe on these very weights of its parent."""
    run = runs.finished(loaded, max_steps)
    if run and not same(run, parent := find(loaded)):
        name = parent.recipe if parent else "its parent"
        say(f"{run} started from other weights of {name} than its newest run has: training again.")
        return None
    return run


def to_resume(loaded: Loaded, parent: Start | None) -> Path | None:
    """The newest unfinished run of this very recipe, if the parent's weights are still those that it started from."""
    run = runs.to_resume(loaded)
    if run and not same(run, parent):
        name = parent.recipe if parent else "its parent"
        say(f"{run} cannot go on: it started from other weights of {name}. Starting anew.")
        return None
    return run


def keep(run: Path, parent: Start | None) -> None:
    """Write down what a run starts from, once."""
    if parent and not (run / KEPT).exists():
        files.write_json(run / KEPT, parent._asdict())


def of_run(run: Path) -> Start | None:
    """What a run started from; None for one without parent. Raises HftError for a damaged file."""
    try:
        return Start(**json.loads((run / KEPT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise HftError(f"{run / KEPT} is damaged", "take the run from a backup, or train again") from None


def report(parent: Start) -> None:
    """Say where the stage starts, and what has changed there since."""
    say(f"Starts from {parent.recipe}: {parent.run} ({parent.start} weights, {parent.weights[:12]})")
    if not runs.whole(runs.finished_passport(folder(parent))):
        say(f"Note: that run was stopped before its last step. For the whole stage: make train RECIPE={parent.recipe}")
    if parent.changed:
        say(
            f"Note: since that run the {' and the '.join(parent.changed)} of {parent.recipe} changed. "
            f"To start from what they give now: make train RECIPE={parent.recipe} first"
        )


def folder(parent: Start, root: Path | None = None) -> Path:
    """The parent's run folder, among the runs in `root` (default: where runs go). Raises HftError when it is gone."""
    run = (root or runs.root()) / parent.recipe / parent.run
    if not (run / runs.PASSPORT).exists():
        raise HftError(f"the run that this stage started from is gone: {run}", "put it back, or train the stages anew")
    return run


def ready(loaded: Loaded, parent: Start | None, root: Path | None = None) -> Loaded:
    """The recipe with the parent's weights as its model.

    That is the parent's merged folder, or the parent's own model where its adapter goes on. Raises HftError for an
    adapter that cannot go on.
    """
    if parent is None:
        return loaded
    run = folder(parent, root)
    before, model = of_recipe(run).recipe, loaded.recipe.model
    if parent.start == "merged":
        whole = run / ("merged" if before.lora else "model")
        start = {"name": str(whole), "revision": run.name}
    elif before.lora is None:
        raise HftError(
            f"{parent.recipe} trains all weights: it has no adapter to go on with",
            f"start from its weights: parent: {parent.recipe}",
        )
    elif (before.model.quantization, before.lora) != (model.quantization, loaded.recipe.lora):
        raise HftError(
            f"{loaded.name} goes on with the adapter of {parent.recipe}; "
            "its lora section or model.quantization is another",
            f"make them equal, or start from the merged weights: parent: {parent.recipe}",
        )
    else:
        start = {"name": before.model.name, "revision": before.model.revision}
    return loaded._replace(recipe=loaded.recipe.model_copy(update={"model": model.model_copy(update=start)}))


def first(run: Path) -> Loaded:
    """The recipe of the run at the beginning of a run's chain, as it was trained."""
    while parent := of_run(run):
        run = folder(parent, run.resolve().parent.parent)
    return recipe_file.load_run(run)


def of_recipe(run: Path) -> Loaded:
    """The recipe of a run, ready: its own parent's weights in place."""
    return ready(recipe_file.load_run(run), of_run(run), run.resolve().parent.parent)


def adapter(run: Path) -> Path | None:
    """The parent's adapter that a run goes on with; None where it starts with a new one."""
    parent = of_run(run)
    if parent is None or parent.start != "adapter":
        return None
    return folder(parent, run.resolve().parent.parent) / "adapter"


def lineage(run: Path) -> list[Stage]:
    """A run and what it came from, oldest first."""
    run = run.resolve()
    facts, root = runs.finished_passport(run), run.parent.parent
    chain = [Stage(run.parent.name, run.name, facts["recipe"]["digest"], weights(run, facts), facts)]
    while parent := of_run(run):
        run = root / parent.recipe / parent.run
        chain.append(Stage(parent.recipe, parent.run, parent.digest, parent.weights, runs.passport(run)))
    return chain[::-1]
