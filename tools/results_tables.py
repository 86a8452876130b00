"""The tables of docs/results.md and README.md in Markdown: what was asked, the runs beside it, the search."""

from typing import Any

import yaml

from hft.evaluate import scores
from hft.evaluate.intervals import Interval
from hft.evaluate.table import cell, difference
from hft.runs import answers, compare
from hft.runs import folder as runs
from hft.runs.answers import Made

# What a table shows of a column of scores, by its key: of answers that are one text, and of answers that reason.
SHARES = {"exact_match": "exact match", "f1": "F1"}
REASONING = {"right": "answer right", "format": "format kept", "language": "in its language", "tokens": "tokens"}


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *([plain(text) for text in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(text: str) -> str:
    """A text that may stand in a table's cell."""
    return text.replace("|", "\\|").replace("\n", "\\n")


def measures(columns: list[dict[str, Any]]) -> dict[str, str]:
    """`{key: name}` of the scores that these columns have; exact match and F1 only of answers that do not reason."""
    reasoning = [column["reasoning"] for column in columns if "reasoning" in column]
    shares = SHARES if len(reasoning) < len(columns) else {}
    return shares | {key: name for key, name in REASONING.items() if any(key in column for column in reasoning)}


def score(column: dict[str, Any], key: str) -> str:
    """One score of a column with its interval; a dash where the column has no such score."""
    there = column.get("reasoning") or column
    return cell(Interval(**there[key])) if key in there else "-"


def gain(column: dict[str, Any]) -> list[str]:
    """The gain of a column (of another recipe's questions also what became of the form), and over which one."""
    told = column.get("gain")
    if not told:
        return ["-", "-"]
    form = [f"{REASONING[key]} {signed(told[key])}" for key in ("format", "language") if key in told]
    return ["; ".join([signed(told), *form]), f"`{told['over']}`"]


def signed(points: dict[str, Any]) -> str:
    """A difference with its interval."""
    return difference(Interval(points["mean"], points["low"], points["high"]))


def asked(evaluation: dict[str, Any]) -> list[str]:
    """A row for each column (base, trained model, exports), and a table for each recipe whose questions were asked."""
    tables: dict[str, list[str]] = {}
    for name in evaluation:
        tables.setdefault(scores.apart(name)[1], []).append(name)
    parts = []
    for recipe, names in sorted(tables.items()):
        names.sort(key=place)
        shown = measures([evaluation[name] for name in names])
        lines = [
            [f"`{name}`", questions(column), *(score(column, key) for key in shown), *gain(column)]
            for name, column in ((name, evaluation[name]) for name in names)
        ]
        parts += [f"Asked the held-out questions of `{recipe}`, as that recipe asks them:"] if recipe else []
        parts.append(table(["asked", "questions", *shown.values(), "gain", "over"], lines))
    return parts or ["Nothing was asked."]


def place(name: str) -> int:
    """Where a column stands: bases, what was trained, exports."""
    column, _ = scores.apart(name)
    return scores.FIRST.index(column) if column in scores.FIRST else len(scores.FIRST)


def questions(column: dict[str, Any]) -> str:
    """How many questions were asked, and of how many."""
    return f"{column['questions']:,}" + (f" of {column['of']:,}" if column.get("of") else "")


def beside(name: str, reference: dict[str, Any], others: dict[str, dict[str, Any]]) -> str:
    """A row for the reference and for each run beside it, with what `hft compare` says of the two passports."""
    every = {"reference": reference, **others}
    columns = [column for _, column in filter(None, map(answers.trained, every.values()))]
    shown = {key: said for key, said in measures(columns).items() if key != "tokens"}
    against = Made(f"references/{name}", reference)
    lines = []
    for label, facts in every.items():
        _, column = answers.trained(facts) or ("", {})
        told = "-" if facts is reference else verdict(compare.compare(against, Made(label, facts)))
        lines.append([label, *setup(facts), *(score(column, key) for key in shown), *cost(facts), told])
    head = ["run", "backend", "base in", "seed", *shown.values(), "s a step", "train s", "peak GiB", "weights"]
    return table([*head, "`hft compare`"], lines)


def setup(facts: dict[str, Any]) -> list[str]:
    """Backend, bits of the base, seed."""
    backend = facts["plan"]["backend"] + (", deterministic" if facts["plan"]["deterministic"] else "")
    return [backend, bits(facts), str(facts["recipe"]["values"]["train"]["seed"])]


def bits(facts: dict[str, Any]) -> str:
    """How the base was held: its quantization, or the precision of its weights."""
    quantization = facts["recipe"]["values"]["model"]["quantization"]
    return facts["plan"]["weights"] if quantization == "none" else quantization


def cost(facts: dict[str, Any]) -> list[str]:
    """Median seconds a step, seconds of training, peak memory, the beginning of the weights' hash."""
    training = facts["training"]
    numbers = (training["median_step_seconds"], training["train_seconds"], training["peak_gib"])
    shown = [f"{value:.{places}f}" if value else "-" for value, places in zip(numbers, (2, 0, 1), strict=True)]
    return [*shown, f"`{weights(facts)[:12]}`"]


def weights(facts: dict[str, Any]) -> str:
    """The SHA-256 of the first file of trained weights."""
    return next(iter(runs.weights(facts).values()), "-")


def verdict(comparison: compare.Comparison) -> str:
    """The verdict; of runs that differ also the first difference, or how their curves and scores do."""
    if comparison.verdict != "differ":
        return comparison.verdict
    decisive = next((f"{what}: {said}" for what, said in comparison.differences if what in compare.DECISIVE), None)
    return f"differ; {decisive or f'{comparison.curve}; {comparison.scores}'}"


def searched(search: list[dict[str, Any]], reference: dict[str, Any]) -> str:
    """A row for each configuration that was tried; the one whose values the reference has stands in bold."""
    columns = [entry for entry in search if "scores" in entry]
    keys = [key for key in SHARES | REASONING if any(key in entry["scores"] for entry in columns)]
    shared = set.intersection(*(set(typed(entry)) for entry in search)) if len(search) > 1 else set()
    lines = []
    for entry in search:
        name = f"**{entry['label']}** (chosen)" if is_chosen(entry, reference) else entry["label"]
        own = " ".join(f"`{word}`" for word in typed(entry) if word not in shared) or "the recipe as it was"
        cells = [cell(Interval(**entry["scores"][key])) if key in entry.get("scores", {}) else "-" for key in keys]
        failed = f" ({ended(entry['exit'])})" if entry["exit"] else ""
        peak = f"{entry['peak_gib']:.1f}" if entry.get("peak_gib") else "-"
        hashed = f"`{entry['adapter'][:12]}`" if entry.get("adapter") else "-"
        lines.append([name + failed, own, *cells, f"{entry['seconds']:.0f}", peak, hashed])
    names = [(SHARES | REASONING)[key] for key in keys]
    return table(["configuration", "settings", *names, "s in all", "peak GiB", "weights"], lines)


def ended(code: int) -> str:
    """How a configuration without a result ended: by hand (hft's own 130, a signal), or by itself."""
    return "stopped" if code == 130 or code < 0 else f"failed, exit code {code}"


def typed(entry: dict[str, Any]) -> list[str]:
    """What was added to the recipe: settings and options."""
    return [*(" ".join(setting.split()) for setting in entry["overrides"]), *entry["options"]]


def is_chosen(entry: dict[str, Any], reference: dict[str, Any]) -> bool:
    """Whether the reference has all values in which this configuration differs from the others."""
    if not (reference and entry.get("values")):
        return False
    values = compare.flat(reference["recipe"]["values"])
    return all(values.get(key) == value for key, value in entry["values"].items())


def overview(shown: dict[str, dict[str, Any]]) -> str:
    """README.md's table: a row for each line's reference."""
    lines = []
    for name, facts in shown.items():
        trained = answers.trained(facts)
        link = f"[`{name}`](docs/results.md#{name})"
        minutes = f"{sum(facts['seconds'].values()) / 60:.0f}"
        if trained is None:
            lines.append([link, model(facts), "-", "-", "-", card(facts), minutes])
            continue
        column = trained[1]
        what, after = scores.headline_of_json(column)
        base = facts["evaluation"].get(column.get("gain", {}).get("over", "base"))
        before = f"{scores.headline_of_json(base)[1].mean:.1f} -> " if base else ""
        lines.append(
            [
                link,
                model(facts),
                f"{questions(column)} questions: {what}",
                f"{before}{after.mean:.1f}",
                gain(column)[0],
                card(facts),
                minutes,
            ]
        )
    return table(["recipe", "model", "asked", "base -> trained", "gain", "card", "minutes"], lines)


def model(facts: dict[str, Any]) -> str:
    """The model that the recipe names, wherever its files lay in this run; of a stage the one before."""
    if facts["parent"]:
        return f"`{facts['parent']['recipe']}`, {facts['parent']['start']}"
    return yaml.safe_load(facts["recipe"]["text"])["model"]["name"]


def card(facts: dict[str, Any]) -> str:
    """The GPUs that trained, or the processor where none did."""
    there, plan = facts["machine"], facts["plan"]
    used = [gpu["name"] for gpu in there["gpus"]][: plan["processes"]] if plan["device"] == "cuda" else []
    return " + ".join(used) or f"none; {there['cpu']}, {there['cores']} cores"
