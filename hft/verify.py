"""`hft verify`: is a run folder still what its passport says, and do its first steps come out again?"""

import tempfile
from pathlib import Path

from hft import compare, files, recipe_file, runs, stages
from hft import plan as plans
from hft.errors import HftError
from hft.log import say


def folder(run: Path) -> list[str]:
    """What is wrong with a run folder: files that are missing or others than the passport names, a recipe with another digest."""
    facts, found = runs.passport(run), []
    for name, hashed in facts["artefacts"].items():
        path = run / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif files.sha256(path) != hashed:
            found.append(f"{name} is another file")
    if recipe_file.load_run(run).digest != facts["recipe"]["digest"]:
        found.append("recipe.json or the Python beside it gives another digest")
    parent = stages.of_run(run)
    if parent != facts.get("parent"):
        found.append(f"{stages.KEPT} is not what the passport says")
    return found


def verify(run: Path, replay: int | None, choices: dict) -> None:
    """Check every hash; train the first `replay` steps again where asked. Raises HftError with what is wrong."""
    if wrong := folder(run):
        raise HftError(f"{run}: {len(wrong)} of its files are not what its passport says:\n  " + "\n  ".join(wrong),
                       "take the run from a backup, or train again")
    facts = runs.passport(run)
    say(f"{run}: recipe and {len(facts['artefacts'])} files are as its passport says")
    if replay:
        again(run, facts, replay, choices)


def again(run: Path, facts: dict, steps: int, choices: dict) -> None:
    """Train the first steps in a scratch folder with the run's own plan; raises HftError when the losses leave the tolerance."""
    from hft import run as pipeline

    loaded = recipe_file.load_run(run)
    plan = plans.kept(facts["plan"], choices)
    quiet = {"evaluate": loaded.recipe.evaluate.model_copy(update={"rows": 1, "max_new_tokens": 1}),
             "export": loaded.recipe.export.model_copy(update={"formats": []})}
    with tempfile.TemporaryDirectory(prefix="hft-verify.") as scratch, runs.in_folder(scratch):
        for other in run.resolve().parent.parent.iterdir():  # where a stage finds its parent
            if other.is_dir() and other.name != loaded.name:
                Path(scratch, other.name).symlink_to(other)
        made = pipeline.train(loaded._replace(recipe=loaded.recipe.model_copy(update=quiet)), plan, max_steps=steps)
        losses = runs.passport(made)["training"]["losses"]
    said, together = compare.curves(facts["training"]["losses"][:len(losses)], losses, compare.MOST, compare.MEAN)
    if not together:
        raise HftError(f"{run}: its first steps come out otherwise here: {said}",
                       f"look at libraries and plan of a whole new run: hft compare {run} OTHER_RUN")
    say(f"Replayed: {said}")
