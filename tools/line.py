"""Run a line of references/NAME/line.yaml: its searched configurations, then the runs that its results are made of.

    .venv/bin/python tools/line.py korquad_small --part search --gpus 0,1 --at-once 4
    .venv/bin/python tools/line.py korquad_small --part runs --with-best

Each entry is one `hft train`, with a log of its own; what has finished is not run again. FOLDER/line.json says what
came of each, and `tools/results.py keep FOLDER NAME` takes it into references/NAME/.
"""

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import click
import yaml

from hft import files
from hft.errors import HftError
from hft.evaluate import scores
from hft.recipe import file as recipe_file

REFERENCES = Path(__file__).resolve().parent.parent / "references"
PARTS = ("search", "runs")
BEGUN = re.compile(r": (?:new run|going on in) (\S+)$", re.MULTILINE)


class Entry(NamedTuple):
    """A training of a line."""

    label: str
    part: str
    recipe: str
    settings: list[str]
    options: list[str]


class Ended(NamedTuple):
    """What line.json keeps of an entry."""

    label: str
    part: str
    recipe: str
    settings: list[str]
    options: list[str]
    run: str | None  # RECIPE/RUN, in the same folder
    exit: int
    seconds: float


class Line:
    """The entries of a line at work: so many at once on each GPU."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python, self.lock = folder, python, threading.Lock()
        self.ended = read(folder)
        self.places: queue.Queue = queue.Queue()

    def run(self, entries: list[Entry], gpus: list[str], at_once: int) -> int:
        """Run the entries that have not finished yet; returns how many failed."""
        todo = [entry for entry in entries if not self.finished(entry)]
        click.echo(f"{len(entries) - len(todo)} of {len(entries)} have finished already; {len(todo)} to run")
        for place in range(at_once):
            for gpu in gpus:
                self.places.put((gpu, place))
        workers = [threading.Thread(target=self.one, args=(entry,)) for entry in todo]
        for worker in workers:
            worker.start()
            worker.join(timeout=0.5)  # the first entries get the first places
        for worker in workers:
            worker.join()
        return sum(not self.finished(entry) for entry in entries)

    def finished(self, entry: Entry) -> bool:
        """Whether this very entry has ended well before."""
        return any(one[:5] == tuple(entry) and not one.exit for one in self.ended)

    def one(self, entry: Entry) -> None:
        """Run an entry as soon as there is a place for it."""
        gpu, place = self.places.get()
        log = self.folder / "logs" / f"{entry.label}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [word for setting in entry.settings for word in ("--set", setting)]
        command = [self.python, "-m", "hft", "train", entry.recipe, *words, *entry.options]
        own = {"HFT_RUNS": str(self.folder), **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})}
        own["UNSLOTH_COMPILE_LOCATION"] = str(self.folder / ".compiled" / f"{gpu or 'cpu'}-{place}")
        click.echo(f"{entry.label}: begun{f' on GPU {gpu}' if gpu else ''}; {log}")
        begin = time.monotonic()
        with log.open("w", encoding="utf-8") as out:
            code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **own}).returncode
        self.places.put((gpu, place))
        self.note(entry, log, code, round(time.monotonic() - begin, 1))

    def note(self, entry: Entry, log: Path, code: int, seconds: float) -> None:
        """Enter what came of an entry, and say its score."""
        begun = BEGUN.search(log.read_text(encoding="utf-8"))
        run = "/".join(Path(begun[1]).parts[-2:]) if begun else None
        with self.lock, files.alone(self.folder / "line.json"):  # another call may run other entries beside this one
            self.ended = [one for one in read(self.folder) if one.label != entry.label]
            self.ended.append(Ended(*entry, run, code, seconds))
            files.write_json(self.folder / "line.json", [one._asdict() for one in self.ended])
        told = f"failed (exit {code}): {log}" if code or not run else said(score(self.folder / run))
        click.echo(f"{entry.label}: {told}, {seconds:.0f} s")

    def best(self) -> str:
        """The searched configuration that answers best after training. Raises HftError where none has finished."""
        searched = [one for one in self.ended if one.part == "search" and not one.exit and one.run]
        if not searched:
            raise HftError("no searched configuration has finished", "run them first: --part search")
        return max(searched, key=lambda one: score(self.folder / str(one.run))[1]).label


def read(folder: Path) -> list[Ended]:
    """What a folder's line.json holds; nothing before the first entry has ended."""
    path = folder / "line.json"
    return [Ended(**one) for one in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def score(run: Path) -> tuple[str, float]:
    """(name, mean) of the score that stands for the others, of what a run trained; -1 where nothing was asked."""
    columns = scores.of_run(run)
    for name in scores.TRAINED:
        if name in columns:
            what, interval = scores.headline(columns[name])
            return what, interval.mean
    return "nothing asked", -1.0


def said(told: tuple[str, float]) -> str:
    """A score in words."""
    return f"{told[0]} {told[1]:.1f}" if told[1] >= 0 else told[0]


def described(name: str) -> dict:
    """A line's line.yaml. Raises HftError."""
    path = REFERENCES / name / "line.yaml"
    if not path.exists():
        known = sorted(found.parent.name for found in REFERENCES.glob("*/line.yaml"))
        raise HftError(f"no line {name}: {path} is not there", f"take one of: {', '.join(known)}")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def entries(name: str, part: str, more: list[str]) -> list[Entry]:
    """The entries of one part of a line: what all share, what the part shares, their own settings, and `more`."""
    told = described(name)
    shared = [*told.get("common", []), *told.get(f"common_{part}", [])]
    return [
        Entry(
            one["label"],
            part,
            one.get("recipe", told["recipe"]),
            [*shared, *one.get("set", []), *fitting(one.get("recipe", told["recipe"]), more)],
            list(one.get("options", [])),
        )
        for one in told.get(part, [])
    ]


def fitting(recipe: str, settings: list[str]) -> list[str]:
    """The settings without those that say where a model lies, for a stage: it has its parent's."""
    if not recipe_file.load(recipe).recipe.parent:
        return settings
    return [one for one in settings if not one.startswith(("model.name=", "model.revision="))]


def own_settings(name: str, label: str) -> list[str]:
    """What sets a searched configuration apart. Raises HftError."""
    searched = {one["label"]: one.get("set", []) for one in described(name).get("search", [])}
    if label not in searched:
        raise HftError(f"no searched configuration {label}", f"take one of: {', '.join(searched)}")
    return searched[label]


@click.command(help=(__doc__ or "").replace("\n\n    ", "\n\n\b\n    "))
@click.argument("name")
@click.option("--part", type=click.Choice(PARTS), help="Only this part. Without it: the search, then the runs.")
@click.option("--labels", help="Only these entries, such as reference,plain.")
@click.option("--with", "found", metavar="LABEL", help="Runs take this searched configuration's settings, or `best`.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Added to every entry. Repeatable.")
@click.option("--gpus", default="", help="GPUs by number, such as 0,1. Without it: as the environment says.")
@click.option("--at-once", default=1, show_default=True, help="Entries that share a GPU.")
@click.option(
    "--into", type=click.Path(path_type=Path), help="Where runs and line.json go. Without it: runs/lines/NAME"
)
def main(
    name: str,
    part: str | None,
    labels: str | None,
    found: str | None,
    settings: tuple[str, ...],
    gpus: str,
    at_once: int,
    into: Path | None,
) -> None:
    """The command line."""
    if folders := [one for one in settings if "=/" in one or "=~" in one]:
        raise HftError(
            f"{folders[0]}: passports of a line are published, and this one would name a folder of this machine",
            "name it relative to here, such as --set model.name=models/qwen",
        )
    line = Line((into or Path("runs/lines") / name).resolve(), sys.executable)
    failed = 0
    for this in (part,) if part else PARTS:
        wanted = entries(name, this, list(settings))
        if labels:
            wanted = [entry for entry in wanted if entry.label in labels.split(",")]
        if found and this == "runs":
            best = line.best() if found == "best" else found
            click.echo(f"With the settings of {best}")
            wanted = [entry._replace(settings=[*entry.settings, *own_settings(name, best)]) for entry in wanted]
        failed += line.run(wanted, gpus.split(","), at_once)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
