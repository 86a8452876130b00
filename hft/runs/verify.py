"""`hft verify`: is a run folder still what its passport says, and do its first steps come out again?"""

from pathlib import Path

from hft import files
from hft.recipe import file as recipe_file
from hft.runs import folder as runs
from hft.runs import stages


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
