"""Stages: a recipe with a `parent` starts from the weights of the parent's newest finished run."""

import hashlib
import json
from pathlib import Path

from hft import files
from hft.data import sources
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.runs import folder as runs
from hft.terminal import say

KEPT = "parent.json"


def find(loaded: Loaded) -> dict | None:
    """What a stage starts from: `{recipe, run, digest, weights (SHA-256), start, changed}`; None for a recipe without parent.

    Raises HftError when the parent has no finished run, or its weights are no longer those of its passport.
    """
    told = loaded.recipe.parent
    if not told:
        return None
    done = [run for run in runs.every(told.recipe) if runs.passport(run)]
    # A smoke test is no stage where there is a whole run.
    run = next((run for run in reversed(done) if runs.whole(runs.passport(run))), done[-1] if done else None)
    if run is None:
        raise HftError(
            f"{loaded.name} starts from {told.recipe}, which has no finished run in {runs.root()}",
            f'make train RECIPE="{told.recipe} {loaded.name}"',
        )
    passport = runs.passport(run)
    return {
        "recipe": told.recipe,
        "run": run.name,
        "digest": passport["recipe"]["digest"],
        "weights": weights(run, passport),
        "start": told.weights,
        "changed": changes(run, passport),
    }


def weights(run: Path, passport: dict) -> str:
    """The SHA-256 of a run's trained weights (of their list, where they are several files), checked against its passport."""
    found = runs.weights(passport)
    for name, hashed in found.items():
        if not (run / name).exists() or files.sha256(run / name) != hashed:
            raise HftError(
                f"{run / name} is not the file that the run's passport names",
                f"train {run.parent.name} again, or put it back",
            )
    return (
        next(iter(found.values()))
        if len(found) == 1
        else hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    )


def changes(run: Path, passport: dict) -> list[str]:
    """What has changed since a run: its recipe, its data. What cannot be had here any more counts as unchanged."""
    found = []
    try:
        now = recipe_file.load(run.parent.name, tuple(passport["recipe"]["overrides"]))
    except HftError:
        return found
    if now.digest != passport["recipe"]["digest"]:
        found.append("recipe")
    for side, facts in passport["data"]["sources"].items():
        try:
            if sources.facts(getattr(now.recipe.data, side), now.path.parent) != facts:
                found.append("data")
        except (HftError, AttributeError):
            continue
    return list(dict.fromkeys(found))


def same(run: Path, parent: dict | None) -> bool:
    """True when a run started from these very weights of its parent, or from none."""
    before = of_run(run)
    return (before and (before["weights"], before["start"])) == (parent and (parent["weights"], parent["start"]))


def finished(loaded: Loaded, max_steps: int | None) -> Path | None:
    """The newest finished run of this very recipe on these very weights of its parent."""
    run = runs.finished(loaded, max_steps)
    if run and not same(run, find(loaded)):
        say(
            f"{run} started from other weights of {loaded.recipe.parent.recipe} than its newest run has: training again."
        )
        return None
    return run


def to_resume(loaded: Loaded, parent: dict | None) -> Path | None:
    """The newest unfinished run of this very recipe, if the parent's weights are still those that it started from."""
    run = runs.to_resume(loaded)
    if run and not same(run, parent):
        say(f"{run} cannot go on: it started from other weights of {loaded.recipe.parent.recipe}. Starting anew.")
        return None
    return run


def keep(run: Path, parent: dict | None) -> None:
    if parent and not (run / KEPT).exists():
        files.write_json(run / KEPT, parent)


def of_run(run: Path) -> dict | None:
    """What a run started from; None for one without parent."""
    return json.loads((run / KEPT).read_text(encoding="utf-8")) if (run / KEPT).exists() else None


def report(parent: dict) -> None:
    """Say where the stage starts, and what has changed there since."""
    say(f"Starts from {parent['recipe']}: {parent['run']} ({parent['start']} weights, {parent['weights'][:12]})")
    if not runs.whole(runs.passport(folder(parent))):
        say(
            f"Note: that run was stopped before its last step. For the whole stage: make train RECIPE={parent['recipe']}"
        )
    if parent["changed"]:
        say(
            f"Note: since that run the {' and the '.join(parent['changed'])} of {parent['recipe']} changed. "
            f"To start from what they give now: make train RECIPE={parent['recipe']} first"
        )


def folder(parent: dict, root: Path | None = None) -> Path:
    """The parent's run folder, among the runs in `root` (default: where runs go). Raises HftError when it is gone."""
    run = (root or runs.root()) / parent["recipe"] / parent["run"]
    if not (run / runs.PASSPORT).exists():
        raise HftError(f"the run that this stage started from is gone: {run}", "put it back, or train the stages anew")
    return run


def ready(loaded: Loaded, parent: dict | None, root: Path | None = None) -> Loaded:
    """The recipe with the parent's weights as its model (its merged folder; the parent's own model where its adapter goes on)."""
    if parent is None:
        return loaded
    run = folder(parent, root)
    before = of_recipe(run)
    spec = before.recipe.model
    if parent["start"] == "merged":
        whole = run / ("merged" if before.recipe.lora else "model")
        model = loaded.recipe.model.model_copy(update={"name": str(whole), "revision": run.name})
    elif before.recipe.lora is None:
        raise HftError(
            f"{parent['recipe']} trains all weights: it has no adapter to go on with",
            f"start from its weights: parent: {parent['recipe']}",
        )
    elif (spec.quantization, before.recipe.lora) != (loaded.recipe.model.quantization, loaded.recipe.lora):
        raise HftError(
            f"{loaded.name} goes on with the adapter of {parent['recipe']}; its lora section or model.quantization is another",
            f"make them equal, or start from the merged weights: parent: {parent['recipe']}",
        )
    else:
        model = loaded.recipe.model.model_copy(update={"name": spec.name, "revision": spec.revision})
    return loaded._replace(recipe=loaded.recipe.model_copy(update={"model": model}))


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
    return folder(parent, run.resolve().parent.parent) / "adapter" if parent and parent["start"] == "adapter" else None


def lineage(run: Path) -> list[dict]:
    """A run and what it came from, oldest first: `{recipe, run, digest, weights, scores}`; scores None where a folder is gone."""
    chain, facts, root = [], runs.passport(run), run.resolve().parent.parent
    name, here, hashed, digest = (
        run.resolve().parent.name,
        run.resolve(),
        weights(run, facts),
        facts["recipe"]["digest"],
    )
    while name:
        facts = runs.passport(here)
        chain.append({"recipe": name, "run": here.name, "digest": digest, "weights": hashed, "facts": facts})
        parent = of_run(here)
        if parent is None:
            break
        name, hashed, digest = parent["recipe"], parent["weights"], parent["digest"]
        here = root / name / parent["run"]
    return chain[::-1]
