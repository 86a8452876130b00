"""Run folders: runs/NAME/20261121T230200-382521b2f274/; one with a passport is a finished run."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hft import files
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.catalogue import catalogue, suggest
from hft.recipe.file import Loaded

PASSPORT = "passport.json"


def root() -> Path:
    """HFT_RUNS, else ./runs."""
    return Path(os.environ.get("HFT_RUNS") or "runs")


@contextmanager
def in_folder(folder: str) -> Iterator[None]:
    """Let runs go to another folder in this block."""
    before = os.environ.get("HFT_RUNS")
    os.environ["HFT_RUNS"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["HFT_RUNS"]
        else:
            os.environ["HFT_RUNS"] = before


def every(name: str | None = None) -> list[Path]:
    """All run folders (of one recipe), oldest first."""
    folders = (path for path in root().glob("*/*-*") if path.is_dir() and not path.is_symlink())
    return sorted((path for path in folders if name in (None, path.parent.name)), key=lambda path: path.name)


def passport(run: Path) -> dict[str, Any] | None:
    """The passport of a finished run, else None."""
    try:
        return json.loads((run / PASSPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def passports() -> Iterator[dict[str, Any]]:
    """The passports of all finished runs, oldest first, read as they are asked for."""
    return (facts for run in every() if (facts := passport(run)) is not None)


def finished_passport(run: Path) -> dict[str, Any]:
    """The passport of a run that is known to be finished. Raises HftError where it is gone or damaged."""
    facts = passport(run)
    if facts is None:
        raise HftError(f"{run / PASSPORT} is gone or damaged", "take the run from a backup, or train again")
    return facts


def whole(facts: dict[str, Any]) -> bool:
    """True when a finished run was trained to its end, and not stopped by --max-steps."""
    return facts["training"]["steps"] == facts["training"]["of_steps"]


def weights(facts: dict[str, Any]) -> dict[str, str]:
    """`{file: SHA-256}` of the weights that a finished run has trained."""
    return {
        name: hashed
        for name, hashed in facts["artefacts"].items()
        if name.partition("/")[0] in ("adapter", "model") and name.endswith(".safetensors")
    }


def start(loaded: Loaded) -> Path:
    """Make a new run folder with the recipe in it."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    run = root() / loaded.name / f"{stamp}-{loaded.digest[:12]}"
    try:
        run.mkdir(parents=True)
    except FileExistsError:  # two starts within a second
        time.sleep(0.1)
        return start(loaded)
    except OSError as problem:
        raise HftError(
            f"cannot make {run}: {problem.strerror}",
            "name a folder you may write to: RUNS=/path make ...  (hft: HFT_RUNS=/path)",
        ) from None
    recipe_file.save(loaded, run)
    return run


def to_resume(loaded: Loaded) -> Path | None:
    """The newest unfinished run of this very recipe; None when there is none.

    Raises HftError when the recipe has changed since.
    """
    open_runs = [run for run in every(loaded.name) if not (run / PASSPORT).exists() and (run / "recipe.json").exists()]
    same = [run for run in open_runs if run.name.endswith(loaded.digest[:12])]
    if same:
        return same[-1]
    if open_runs and (open_runs[-1] / "checkpoints").exists():
        raise HftError(
            f"the unfinished run {open_runs[-1]} was made with another version of the recipe (or other --set values)",
            "undo the change to go on with it, or train anew without --resume",
        )
    return None


def finished(loaded: Loaded, max_steps: int | None) -> Path | None:
    """The newest finished run of this very recipe that was trained at least as far as is wanted now."""
    for run in reversed(every(loaded.name)):
        facts = passport(run) if run.name.endswith(loaded.digest[:12]) else None
        if facts is None:
            continue
        steps, of_steps = facts["training"]["steps"], facts["training"]["of_steps"]
        if steps >= min(max_steps or of_steps, of_steps):
            return run
    return None


def find(name_or_folder: str) -> Path:
    """A finished run by its folder, or the newest one of a recipe. Raises HftError that says what to type."""
    folder = Path(name_or_folder)
    if (folder / PASSPORT).exists():
        return folder
    if (folder / "recipe.json").exists():
        raise HftError(f"{folder} is not finished", f"hft train {folder.parent.name} --resume")
    newest = root() / name_or_folder / "latest"
    if (newest / PASSPORT).exists():
        return newest.resolve()
    finished = [run for run in every(name_or_folder) if passport(run)]
    if finished:
        return finished[-1]
    if name_or_folder in catalogue():
        raise HftError(
            f"recipe {name_or_folder} has no finished run in {root()}", f"make train RECIPE={name_or_folder}"
        )
    known = sorted({*catalogue(), *(run.parent.name for run in every())})
    raise HftError(
        f"'{name_or_folder}' is neither a run folder nor a recipe{suggest(name_or_folder, known)}",
        "list the runs: hft runs   and the recipes: hft list",
    )


def point_latest(run: Path) -> None:
    """Let runs/NAME/latest name this run, in one step."""
    draft = run.parent / f".latest.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(run.name)
    draft.replace(run.parent / "latest")


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold the run for this process; a killed process lets go by itself. Raises HftError when another one holds it.

    A folder of the run that stepped aside for a new one is put back, where a kill kept that one from coming.
    """
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HftError(f"{run} is in use by another hft process", "wait for it, or stop it first") from None
        for before in run.glob(".*.before"):
            files.whole_again(run / before.name.removeprefix(".").removesuffix(".before"))
        yield
