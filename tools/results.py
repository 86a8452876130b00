"""Published references: what a line's runs have shown, kept in references/NAME/, and the pages written from it.

    .venv/bin/python tools/results.py keep runs/lines/korquad_small korquad_small
    .venv/bin/python tools/results.py write

references/NAME/ holds line.yaml (what is run), passport.json, evaluation.json and metrics.jsonl of the run that is
labelled `reference`, runs/LABEL.json (the passports of the others) and search.json (what was tried first).
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import results_page

from hft import files
from hft.errors import HftError
from hft.runs import answers, compare
from hft.runs import folder as runs

# An absolute path as a whole text or a word of it; `</think>`, `[/INST]`, `and/or` and addresses are none.
ABSOLUTE = re.compile(r"(?:^|[\s\"'`=:,({\[])(?:~/|[A-Za-z]:\\|/[\w.+-]+(?=/|$|[\s\"'`,})]))")
SCORES = ("exact_match", "f1")
REASONING = ("right", "format", "language")


@click.group()
def cli() -> None:
    """Keep what a line's runs have shown in references/NAME/, and write the pages that show it.

    Example, in the project's folder: tools/results.py keep runs/lines/korquad_small korquad_small
    """


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name")
def keep(folder: Path, name: str) -> None:
    """Take the runs that FOLDER/line.json lists into references/NAME/: all of them, or none after an error.

    Example: tools/results.py keep runs/lines/korquad_small korquad_small
    """
    for told in take(folder, Path("references") / name):
        click.echo(told)
    click.echo("Now: .venv/bin/python tools/results.py write")


@cli.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where a file is not what would be written.")
def write(check: bool) -> None:
    """Write docs/results.md, docs/results/NAME.svg and README.md's table of results from references/.

    Example: tools/results.py write --check
    """
    wanted = results_page.pages(Path())
    known = {path for path in Path("docs/results").glob("*.svg")}
    other = sorted(path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text)
    other += sorted(known - wanted.keys())
    for path in other:
        if check:
            click.echo(f"{path} is not what references/ say")
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, wanted[path])
            click.echo(f"{path} written")
        else:
            path.unlink()
            click.echo(f"{path} removed")
    if check and other:
        raise HftError(f"{len(other)} file(s) differ", ".venv/bin/python tools/results.py write")


def take(folder: Path, target: Path) -> list[str]:
    """Build references/NAME anew from itself and the runs of `folder`; returns in words what was kept and what not."""
    ended = line_of(folder)
    passports = {
        one["label"]: passport(folder / one["run"], one["label"]) for one in ended if one["run"] and not one["exit"]
    }
    told = [f"{one['label']}: not kept, exit code {one['exit']}" for one in ended if one["label"] not in passports]
    with files.new_folder(target) as draft:
        if target.exists():
            shutil.copytree(target, draft, dirs_exist_ok=True)
        for one in ended:
            if one["part"] == "runs" and one["label"] in passports:
                keep_run(folder / one["run"], one["label"], draft, passports[one["label"]])
        entries = searched([one for one in ended if one["part"] == "search"], passports)
        if entries:
            files.write_json(draft / "search.json", merged(draft / "search.json", entries))
    return [*told, f"{target}: {len(passports)} of {len(ended)} runs kept"]


def line_of(folder: Path) -> list[dict[str, Any]]:
    """What tools/line.py noted of each entry. Raises HftError without it."""
    path = folder / "line.json"
    if not path.exists():
        raise HftError(f"there is no {path}", "run the line first: .venv/bin/python tools/line.py NAME")
    return json.loads(path.read_text(encoding="utf-8"))


def passport(run: Path, label: str) -> dict[str, Any]:
    """A run's passport. Raises HftError where it names a path of this machine, and says under which key."""
    facts = runs.finished_passport(run)
    if (named := facts["recipe"]["values"]["model"]["name"]).startswith("pypi:"):
        facts["model"]["name"] = named  # it lay in this machine's cache
    found = [(key, text) for key, text in texts(facts) if ABSOLUTE.search(text)]
    if found:
        key, text = found[0]
        raise HftError(
            f"the passport of {label} names a path of this machine: {key}: {compare.short(text)}"
            + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""),
            "name models and files relative to the project, such as --set model.name=models/qwen, and run it again",
        )
    return facts


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """(dotted key, text) of all that a passport says."""
    for key, leaf in compare.flat(value).items():
        if isinstance(leaf, str):
            yield key, leaf


def keep_run(run: Path, label: str, draft: Path, facts: dict[str, Any]) -> None:
    """Copy what is published of a run. Raises HftError for a reference that was not trained to its end."""
    if label != "reference":
        (draft / "runs").mkdir(exist_ok=True)
        files.write_json(draft / "runs" / f"{label}.json", facts)
        return
    if not runs.whole(facts):
        of = f"{facts['training']['steps']} of {facts['training']['of_steps']} steps"
        raise HftError(f"the reference was trained {of}", "train it to its end: hft train NAME --resume")
    files.write_json(draft / runs.PASSPORT, facts)
    for name in ("evaluation.json", "metrics.jsonl"):
        shutil.copyfile(run / name, draft / name)


def searched(ended: list[dict[str, Any]], passports: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What search.json holds of each configuration; `values` are those in which the configurations differ."""
    values = {
        one["label"]: compare.flat(passports[one["label"]]["recipe"]["values"])
        for one in ended
        if one["label"] in passports
    }
    keys = sorted({key for flat in values.values() for key in flat} - {"description", *compare.PLACE})
    varied = [key for key in keys if len({json.dumps(flat.get(key)) for flat in values.values()}) > 1]
    return [
        {"label": one["label"], "overrides": one["settings"], "options": one["options"]}
        | {"seconds": one["seconds"], "exit": one["exit"]}
        | (result(passports[one["label"]]) if one["label"] in passports else {})
        | ({"values": {key: values[one["label"]].get(key) for key in varied}} if one["label"] in values else {})
        for one in ended
    ]


def result(facts: dict[str, Any]) -> dict[str, Any]:
    """Of a run's passport: the trained model's scores and gain, memory, weights and the run's name."""
    _, column = answers.trained(facts) or ("", {})
    scores = {name: column[name] for name in SCORES if name in column}
    if "reasoning" in column:
        scores = {name: column["reasoning"][name] for name in REASONING if name in column["reasoning"]}
    return {
        "scores": scores,
        "gain": column.get("gain"),
        "peak_gib": facts["training"]["peak_gib"],
        "adapter": next(iter(runs.weights(facts).values()), None),
        "run": facts["run"],
    }


def merged(path: Path, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of an earlier visit that were not run again, then these."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    labels = {entry["label"] for entry in entries}
    return [*(entry for entry in before if entry["label"] not in labels), *entries]


if __name__ == "__main__":
    cli()
