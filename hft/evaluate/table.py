"""Columns of scores as a plain text table: before, after and exports, with what was gained."""

from collections.abc import Callable

from hft.evaluate import intervals, scores
from hft.evaluate.intervals import Interval
from hft.evaluate.scores import Column
from hft.terminal import columns

SCORES = {"exact_match": "exact match", "f1": "character F1", "contains": "contains"}
REASONING = {"right": "answer right", "format": "format kept", "language": "answer in its language"}
FAIR = f"{scores.CHAT}: the base in its own chat template, shown a few training rows, a short answer wanted"


def table(evaluation: dict[str, Column]) -> str:
    """The before/after table, and one for each other recipe whose questions were asked too (evaluate.also)."""
    tables: dict[str, dict[str, Column]] = {}
    for name, column in evaluation.items():
        model, other = scores.apart(name)
        tables.setdefault(other, {})[model] = column
    return "\n\n".join(one_table(asked, other) for other, asked in tables.items())


def one_table(evaluation: dict[str, Column], other: str) -> str:
    """One column a model, and under it in words what was gained, or forgotten of what the recipe `other` asks."""
    models = list(evaluation.values())
    first = models[0]
    lines = [["", *evaluation]]

    def line(name: str, of: Callable[[Column], Interval | None], places: int = 1) -> None:
        lines.append([name, *(cell(of(model), places) for model in models)])

    if not first.reasoning:
        for key, name in SCORES.items():
            line(name, lambda model, key=key: model.scores[key])
    for key, name in REASONING.items():
        if key in first.reasoning:
            line(name, lambda model, key=key: model.reasoning.get(key))
    for key, name in (REASONING | {"any_right": "any right"}).items():
        if key in first.drawn:
            line(f"{name}, {first.answers} drawn", lambda model, key=key: model.drawn.get(key))
    if first.reasoning:
        line("tokens, not x 100", lambda model: model.reasoning["tokens"])
    if all(model.reward for model in models):
        line("mean reward, not x 100", lambda model: model.reward, 2)
        for name in first.rewards:
            line(f"  {name}", lambda model, name=name: model.rewards[name], 2)
    told = forgotten(evaluation) if other else notes(evaluation)
    return "\n".join([heading(first, other), columns(lines + by_part(first, models)), *told])


def heading(column: Column, other: str = "") -> str:
    """How many questions were asked, of how many, and whose they are where another recipe's."""
    asked = f"{column.questions:,} of {column.of:,}" if column.of else f"{column.questions:,}"
    sample = " (a sample)" if column.of else ""
    whose = f" of {other}" if other else ""
    return f"{asked} held-out questions{whose}{sample}, scores x 100 [95 % interval]"


def by_part(first: Column, models: list[Column]) -> list[list[str]]:
    """The lines of the breakdown."""
    if not first.by:
        return []
    lines = [[f"{scores.headline(first)[0]} by part", *[""] * len(models)]]
    for name, part in first.by.items():
        hits = (f"{model.by[name].hit:.1f}" if name in model.by else "-" for model in models)
        lines.append([f"  {name} ({part.questions})", *hits])
    return lines


def notes(evaluation: dict[str, Column]) -> list[str]:
    """What the fair base is, and each gain in words."""
    gains = [
        f"{name}: {scores.headline(column)[0]} {difference(column.gain.points)} against {column.gain.over}, "
        "on the same questions"
        for name, column in evaluation.items()
        if column.gain
    ]
    return [*([FAIR] if scores.CHAT in evaluation else []), *gains]


def forgotten(evaluation: dict[str, Column]) -> list[str]:
    """What a training has changed in the answers to another recipe's questions, in words."""
    lines = []
    for name, column in evaluation.items():
        if gain := column.gain:
            form = {REASONING[what]: points for what, points in gain.form.items()}
            for what, points in ({scores.headline(column)[0]: gain.points} | form).items():
                chance = "within chance" if not intervals.excludes_zero(points) else ""
                verdict = chance or ("forgotten" if points.mean < 0 else "learned")
                over = scores.apart(gain.over)[0]
                lines.append(f"{name}: {what} {difference(points)} against {over}, on the same questions: {verdict}")
    return lines


def cell(interval: Interval | None, places: int = 1) -> str:
    """An interval in a table, such as `80.0 [73.1, 86.2]`; a dash for none."""
    if interval is None:
        return "-"
    return f"{interval.mean:.{places}f} [{interval.low:.{places}f}, {interval.high:.{places}f}]"


def difference(points: Interval, places: int = 1) -> str:
    """A difference with its sign, such as `+9.2 [+5.1, +13.3]`."""
    return f"{points.mean:+.{places}f} [{points.low:+.{places}f}, {points.high:+.{places}f}]"
