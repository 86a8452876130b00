"""`hft verify`: is a run folder still what its passport says?"""

from pathlib import Path

from hft import files
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.runs import folder as runs
from hft.runs import stages


def folder(run: Path) -> list[str]:
    """What is wrong with a run folder: files missing or not the passport's, a recipe with another digest."""
    facts = runs.finished_passport(run)
    wrong: list[str] = []
    for name, hashed in facts["artefacts"].items():
        path = run / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif files.sha256(path) != hashed:
            wrong.append(f"{name} is another file")
    if recipe_file.load_run(run).digest != facts["recipe"]["digest"]:
        wrong.append("recipe.json or the Python beside it gives another digest")
    try:
        parent = stages.of_run(run)
        as_kept = (parent and parent._asdict()) == facts.get("parent")
    except HftError:
        as_kept = False
    if not as_kept:
        wrong.append(f"{stages.KEPT} is not what the passport says")
    return wrong
