"""docs/results.md, its figures and README.md's table of results as text, from references/ alone."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import curve_figure
import results_tables as tables
import yaml
from curve_figure import Panel

from hft import files
from hft.runs import compare
from hft.runs import folder as runs

MARKER = "<!-- written by tools/results.py write; edit references/ -->"
README = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
HEAD = """# Results

What each line has shown on real weights. Everything here comes from `references/NAME/`: passport, evaluation and
metrics of the run that is called the reference, the passports of the runs beside it, and what a search tried first.
A run of your own is compared with it by `hft compare NAME references/NAME`.

Scores are x 100, with 95 % intervals in brackets. A gain is a difference on the same questions: of the trained model
over the best base, of an export over the trained model. `base` is asked in the form that is trained, `base-chat`
fairly: in its own chat template, after a few training rows, a short answer wanted; `-bare`: without the instruction."""
WEIGHTS = (".safetensors", ".bin")
LIBRARIES = ("torch", "cuda", "transformers", "trl", "peft", "unsloth", "vllm", "bitsandbytes")
PARTS = ("libraries", "rows", "model", "draw", "evaluate_base", "train", "evaluate_trained")  # as they come in a run
# Of metrics.jsonl of a training by reward: title, key, key of the band around it, scale.
BY_REWARD = (
    ("mean reward, and its spread", "reward", "reward_std", 1),
    ("mean length of completions (tokens)", "completions/mean_length", None, 1),
    ("groups without spread (%)", "frac_reward_zero_std", None, 100),
    ("trainer and sampler: mean gap of log p", "sampling/sampling_logp_difference/mean", None, 1),
)


class Line(NamedTuple):
    """references/NAME/ as it is read."""

    name: str
    facts: dict[str, Any]  # the reference's passport; empty before its visit
    metrics: list[dict[str, Any]]  # a row a step
    others: dict[str, dict[str, Any]]  # passports by label
    search: list[dict[str, Any]]
    notes: list[str]  # what the numbers say and do not say, by whoever ran it: paragraphs of line.yaml


def read(folder: Path) -> Line:
    """A line of references/, its runs in the order of line.yaml."""
    about, search, metrics = folder / "line.yaml", folder / "search.json", folder / "metrics.jsonl"
    told = yaml.safe_load(about.read_text(encoding="utf-8")) if about.exists() else {}
    order = [one["label"] for one in told.get("runs") or []]
    kept = {path.stem: path for path in sorted((folder / "runs").glob("*.json"))}
    labels = [*(label for label in order if label in kept), *(label for label in kept if label not in order)]
    return Line(
        folder.name,
        runs.passport(folder) or {},
        files.read_jsonl(metrics) if metrics.exists() else [],
        {label: json.loads(kept[label].read_text(encoding="utf-8")) for label in labels},
        json.loads(search.read_text(encoding="utf-8")) if search.exists() else [],
        [" ".join(note.split()) for note in told.get("notes") or []],
    )


def pages(root: Path) -> dict[Path, str]:
    """`{file: its text}` of all that is written from root/references."""
    lines = [read(folder) for folder in sorted((root / "references").glob("*")) if folder.is_dir()]
    shown, waiting = [line for line in lines if line.facts], [line for line in lines if not line.facts]
    made = {root / "docs" / "results" / f"{line.name}.svg": figure(line) for line in shown}
    parts = [MARKER, HEAD, *(section(line) for line in shown), *not_run_yet(waiting)]
    made[root / "docs" / "results.md"] = "\n\n".join(parts) + "\n"
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    if README.search(text):
        table = tables.overview({line.name: line.facts for line in shown}) if shown else "Nothing has been run yet."
        made[readme] = README.sub(lambda marks: f"{marks[1]}{table}\n{marks[2]}", text)
    return made


def section(line: Line) -> str:
    """All of a line: command, facts, scores, curve, the other runs, the search."""
    facts = line.facts
    commands = f"{command(facts)}\nhft compare {facts['recipe']['name']} references/{line.name}"
    parts = [
        f"## {line.name}",
        *line.notes,
        f"```bash\n{commands}\n```",
        "\n".join(f"- {what}: {said}" for what, said in about(facts)),
        *tables.asked(facts["evaluation"] or {}),
        f"![{line.name}: its curve over the steps](results/{line.name}.svg)",
        caption(line),
    ]
    if line.others:
        told = "The runs beside it, and what `hft compare` says of each and the reference, from the passports alone:"
        parts += [told, tables.beside(line.name, facts, line.others)]
    return "\n\n".join([*parts, *search(line)])


def search(line: Line) -> list[str]:
    """The searched configurations, and whether the reference is one of them."""
    if not line.search:
        return []
    chosen = any(tables.is_chosen(entry, line.facts) for entry in line.search)
    which = "the chosen one in bold" if chosen else "the reference has the values of none of them"
    told = f"The search before it: {len(line.search)} configurations; {which}."
    return [told, tables.searched(line.search, line.facts)]


def not_run_yet(lines: list[Line]) -> list[str]:
    """What waits for its visit, with what its search has shown so far."""
    if not lines:
        return []
    names = "\n".join(f"- `{line.name}`" for line in lines)
    parts = [f"## Not run yet\n\nPrepared in `references/NAME/line.yaml`:\n\n{names}"]
    for line in lines:
        if line.search:
            parts += [f"What the search of `{line.name}` has shown:", tables.searched(line.search, line.facts)]
    return parts


def command(facts: dict[str, Any]) -> str:
    """What was typed for the reference."""
    settings = (f"--set {shell(setting)}" for setting in facts["recipe"]["overrides"])
    return " \\\n  ".join([f"hft train {facts['recipe']['name']}", *settings])


def shell(text: str) -> str:
    """A setting as a shell takes it."""
    return text if re.fullmatch(r"[\w.=/:+-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def about(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, in words): model, rows, card, libraries, plan, time, memory, weights."""
    plan, gpus, training, seconds = facts["plan"], facts["machine"]["gpus"], facts["training"], facts["seconds"]
    weights = [(name, hashed) for name, hashed in facts["model"]["files"].items() if name.endswith(WEIGHTS)]
    lay = facts["recipe"]["values"]["model"]["name"]
    moved = [f"here from `{lay}`"] if lay != tables.model(facts) and not facts["parent"] else []
    yield "Model", ", ".join([tables.model(facts), *moved, *(f"`{name}` {hashed[:12]}" for name, hashed in weights)])
    yield "Trained on", f"{facts['data']['rows']['train']['kept']:,} rows"
    sources = compare.flat(facts["data"]["sources"]).items()
    yield "Data", ", ".join(f"{key} {value[:12] if key.endswith('sha256') else value}" for key, value in sources)
    driver = f", driver {gpus[0]['driver']}" if gpus and plan["device"] == "cuda" else ""
    yield "Card", f"{tables.card(facts)}{driver}"
    versions = {name: facts["libraries"].get(name) for name in LIBRARIES}
    yield "Libraries", ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    a_step = f"{plan['rows_per_device']} x {plan['accumulation']} x {plan['processes']} rows a step"
    exact = ["deterministic"] if plan["deterministic"] else []
    yield "Plan", ", ".join([plan["backend"], f"base in {tables.bits(facts)}", a_step, *exact])
    yield "Steps", f"{training['steps']:,}, {training['median_step_seconds']:.2f} s each (median)"
    order = sorted(seconds, key=lambda part: PARTS.index(part) if part in PARTS else len(PARTS))
    parts = ", ".join(f"{part.replace('_', ' ')} {seconds[part]:.1f}" for part in order)
    yield "Seconds by part", f"{parts}; together {sum(seconds.values()):.1f}"
    yield "Peak memory", f"{training['peak_gib']:.1f} GiB" if training["peak_gib"] else "not measured without a GPU"
    yield "Trained weights", f"SHA-256 `{tables.weights(facts)}`"


def panels(line: Line) -> list[Panel]:
    """Of a training by reward each measure that its metrics have, else the loss; thin lines are the other runs."""
    method = line.facts["recipe"]["values"]["method"]
    kept = "rewards" if method == "grpo" else "losses"
    alike = [facts["training"].get(kept) or [] for facts in same_recipe(line).values()]
    others = tuple(curve for curve in alike if curve)
    if method != "grpo":
        return [Panel("loss", column(line, "loss"), others=others)]
    return [
        Panel(title, column(line, key, scale), column(line, band) if band else None, others if key == "reward" else ())
        for title, key, band, scale in BY_REWARD
        if measured(line, key)
    ]


def same_recipe(line: Line) -> dict[str, dict[str, Any]]:
    """The runs beside the reference that are of its recipe, by label."""
    name = line.facts["recipe"]["name"]
    return {label: facts for label, facts in line.others.items() if facts["recipe"]["name"] == name}


def column(line: Line, key: str, scale: float = 1) -> list[float | None]:
    """One measure of metrics.jsonl, a value a step; None where a step lacks it."""
    return [None if row.get(key) is None else row[key] * scale for row in line.metrics]


def measured(line: Line, key: str) -> bool:
    """Whether any step has the measure."""
    return any(row.get(key) is not None for row in line.metrics)


def figure(line: Line) -> str:
    """The curve's SVG."""
    return curve_figure.draw(line.name, panels(line))


def caption(line: Line) -> str:
    """How the figure is to be read, and what was not measured."""
    each = curve_figure.bundle(len(line.metrics))
    parts = [f"Each point is the mean of {each} steps."] if each > 1 else []
    if names := ", ".join(same_recipe(line)):
        parts.append(f"Thin lines: the runs beside it ({names}).")
    if line.facts["recipe"]["values"]["method"] == "grpo":
        missing = [title for title, key, _, _ in BY_REWARD if not measured(line, key)]
        parts += [f"Not measured: {'; '.join(missing)}."] if missing else []
    return " ".join(["Over the steps of the reference.", *parts])
