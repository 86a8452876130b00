"""Before and after on held-out rows: scores, intervals, what was gained, and every question with its answers."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hft import files
from hft.data.rows import Sample
from hft.evaluate import intervals, metrics
from hft.evaluate.intervals import Interval

CHAT = "base-chat"  # the base asked fairly: hft/evaluate/baseline.py
# Columns of the training itself, in a table's order; exports come behind them.
FIRST = ("base", "base-bare", CHAT, "adapter", "adapter-bare", "model", "model-bare")
BASES = ("base", "base-bare", CHAT)
TRAINED = ("adapter", "model")
AT = "@"  # adapter@NAME: what the adapter says to the questions of the recipe NAME (evaluate.also)
MEASURES = ("right", "format", "language")  # of answers that reason


@dataclass(frozen=True)
class Part:
    """One part of the breakdown; `hit`: the share x 100 of its questions with an exact match, or a right answer."""

    questions: int
    hit: float


@dataclass(frozen=True)
class Gain:
    """Points x 100 of the headline's score over another column, on the same questions."""

    over: str
    points: Interval
    form: dict[str, Interval] = field(default_factory=dict)  # the same of what an answer consists of: format, language


@dataclass(frozen=True)
class Column:
    """One model's scores over all questions, x 100 but for rewards and tokens."""

    questions: int
    scores: dict[str, Interval]  # by the names of metrics.SCORES
    reward: Interval | None = None  # the weighted sum of a recipe's rewards
    rewards: dict[str, Interval] = field(default_factory=dict)  # each by its name
    reasoning: dict[str, Interval] = field(default_factory=dict)  # right, format, language where one is wanted, tokens
    drawn: dict[str, Interval] = field(default_factory=dict)  # the same of drawn answers, any_right instead of tokens
    answers: int = 0  # drawn to each question
    by: dict[str, Part] = field(default_factory=dict)  # by the value of the breakdown's column
    of: int | None = None  # held-out questions that there are, where these are a sample of them
    gain: Gain | None = None

    def as_json(self) -> dict[str, Any]:
        """What evaluation.json and the passport keep of it."""
        sample = {"of": self.of} if self.of else {}
        facts: dict[str, Any] = {"questions": self.questions, **sample, **plain(self.scores)}
        if self.gain:
            facts["gain"] = {"over": self.gain.over, **asdict(self.gain.points), **plain(self.gain.form)}
        if self.reward:
            facts |= {"reward": asdict(self.reward), "rewards": plain(self.rewards)}
        if self.reasoning:
            facts["reasoning"] = plain(self.reasoning)
        if self.drawn:
            facts["drawn"] = {"answers": self.answers, **plain(self.drawn)}
        if self.by:
            hit = "right" if self.reasoning else "exact_match"
            facts["by"] = {name: {"questions": part.questions, hit: part.hit} for name, part in self.by.items()}
        return facts


def of_json(facts: dict[str, Any]) -> Column:
    """The column that `as_json` has written."""
    drawn, hit = facts.get("drawn", {}), "right" if "reasoning" in facts else "exact_match"
    gain = dict(facts.get("gain", {}))
    form = from_json({name: gain.pop(name) for name in MEASURES if name in gain})
    return Column(
        questions=facts["questions"],
        scores=from_json({name: facts[name] for name in metrics.SCORES}),
        reward=Interval(**facts["reward"]) if "reward" in facts else None,
        rewards=from_json(facts.get("rewards", {})),
        reasoning=from_json(facts.get("reasoning", {})),
        drawn=from_json({name: cell for name, cell in drawn.items() if name != "answers"}),
        answers=drawn.get("answers", 0),
        by={name: Part(part["questions"], part[hit]) for name, part in facts.get("by", {}).items()},
        of=facts.get("of"),
        gain=Gain(gain.pop("over"), Interval(**gain), form) if gain else None,
    )


def of_others(column: str, recipe: str) -> str:
    """The name of a column that was asked another recipe's questions."""
    return f"{column}{AT}{recipe}"


def apart(name: str) -> tuple[str, str]:
    """(column, recipe whose questions it was asked): of `base@one` (base, one); of its own questions (base, "")."""
    column, _, recipe = name.partition(AT)
    return (column, recipe) if column in FIRST else (name, "")


def plain(cells: dict[str, Interval]) -> dict[str, dict[str, float]]:
    """Intervals as JSON holds them."""
    return {name: asdict(cell) for name, cell in cells.items()}


def from_json(cells: dict[str, dict[str, float]]) -> dict[str, Interval]:
    """Intervals from JSON."""
    return {name: Interval(**cell) for name, cell in cells.items()}


def scored(
    samples: list[Sample], answers: Sequence[str | None], by: str | None, judged: list | None = None
) -> list[dict[str, Any]]:
    """One record a question: id, question, truths, answer, its scores (0 to 1) and, where judged, its rewards."""
    records = [
        {
            "id": sample.id,
            "question": question(sample),
            "truths": sample.answers,
            "answer": answer,
            **({"cut": True} if sample.cut else {}),
            **({"by": str(sample.row.get(by))} if by else {}),
            **metrics.score(answer, sample.answers),
        }
        for sample, answer in zip(samples, answers, strict=True)
    ]
    for record, (reward, each) in zip(records, judged or [], strict=bool(judged)):
        record.update(reward=reward, rewards=each)
    return records


def question(sample: Sample) -> str:
    """What a record shows of the prompt: the row's own question where it has one."""
    return str(sample.row.get("question") or sample.row.get("instruction") or sample.prompt)


def keep(run: Path, column: str, records: list[dict[str, Any]]) -> None:
    """Write answers/COLUMN.jsonl and bring evaluation.json up to date."""
    (run / "answers").mkdir(exist_ok=True)
    files.write_jsonl(run / "answers" / f"{column}.jsonl", records)
    files.write_json(run / "evaluation.json", {name: column.as_json() for name, column in of_run(run).items()})


def of_run(run: Path) -> dict[str, Column]:
    """`{column: its scores}` of all that has been asked in this run, each with what it gained."""
    asked = kept(run)
    columns = {name: summary(records) for name, records in asked.items()}
    return {
        name: replace(column, of=population(run, name, column.questions), gain=gained(name, columns, asked))
        for name, column in columns.items()
    }


def population(run: Path, name: str, asked: int) -> int | None:
    """How many held-out questions there are for a column, where it was asked a sample of them; else None."""
    path, (_, other) = run / "data.json", apart(name)
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    counts = rows.get(f"also {other}" if other else "evaluate", {})
    there = counts.get("kept", 0) - counts.get("not sampled", 0)
    return there if there > asked else None


def gained(name: str, columns: dict[str, Column], asked: dict[str, list[dict[str, Any]]]) -> Gain | None:
    """What the trained model gained over the best base, and an export over the trained model, question by question.

    Of another recipe's questions its form too. None for a base, and where the two were not asked the same questions.
    """
    column, recipe = apart(name)
    before = BASES if column in TRAINED else TRAINED if column not in FIRST else ()
    there = [one for one in (of_others(base, recipe) if recipe else base for base in before) if one in columns]
    if not there:
        return None
    over = max(there, key=lambda one: headline(columns[one])[1].mean)
    old, new = asked[over], asked[name]
    if [(one.get("id"), one.get("question")) for one in old] != [(one.get("id"), one.get("question")) for one in new]:
        return None
    form = [what for what in MEASURES[1:] if recipe and what in new[0].get("reasoning", {})]
    shape = {what: intervals.paired(*([one["reasoning"][what] for one in of] for of in (old, new))) for what in form}
    return Gain(over, intervals.paired(*([hit(one) for one in of] for of in (old, new))), shape)


def hit(record: dict[str, Any]) -> float:
    """1 for a right answer, by the score that stands for the others; else 0."""
    return record["reasoning"]["right"] if "reasoning" in record else record["exact_match"]


def kept(run: Path) -> dict[str, list[dict[str, Any]]]:
    """`{column: records}` of what has been asked in this run: base, adapter, exports by name, other questions."""
    asked = {
        path.name.removesuffix(".jsonl"): files.read_jsonl(path) for path in sorted((run / "answers").glob("*.jsonl"))
    }

    def place(name: str) -> tuple[str, int, str]:
        column, recipe = apart(name)
        return recipe, FIRST.index(column) if column in FIRST else len(FIRST), column

    return {name: asked[name] for name in sorted(asked, key=place)}


def summary(records: list[dict[str, Any]]) -> Column:
    """A column of these records, with 95 % intervals over all questions and the breakdown's parts."""
    first = records[0]
    more: dict[str, Any] = reasoning(records) if "reasoning" in first else {}
    if "reward" in first:
        more["reward"] = intervals.mean([record["reward"] for record in records])
        more["rewards"] = {
            name: intervals.mean([record["rewards"][name] for record in records]) for name in first["rewards"]
        }
    return Column(len(records), metrics.summarize(records), by=breakdown(records), **more)


def breakdown(records: list[dict[str, Any]]) -> dict[str, Part]:
    """The parts by name, in the order of the names."""
    split: dict[str, list[float]] = {name: [] for name in sorted({row["by"] for row in records if "by" in row})}
    for record in records:
        if "by" in record:
            split[record["by"]].append(hit(record))
    return {name: Part(len(hits), 100 * sum(hits) / len(hits)) for name, hits in split.items()}


def reasoning(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Of answers that reason: shares x 100 of what is right and kept, their tokens; the same of drawn answers."""
    measured = [name for name in MEASURES if name in records[0]["reasoning"]]
    cells = {name: intervals.share([record["reasoning"][name] for record in records]) for name in measured}
    tokens = intervals.mean([record["reasoning"]["tokens"] for record in records])
    parts: dict[str, Any] = {"reasoning": {**cells, "tokens": tokens}}
    if "drawn" in records[0]:
        drawn = [record["drawn"] for record in records]
        means = {name: [sum(one[name] for one in answers) / len(answers) for answers in drawn] for name in measured}
        any_right = intervals.share([float(any(one["right"] for one in answers)) for answers in drawn])
        cells = {name: intervals.mean(values, 100.0, within=(0.0, 1.0)) for name, values in means.items()}
        parts |= {"drawn": {**cells, "any_right": any_right}, "answers": len(drawn[0])}
    return parts


def headline(column: Column) -> tuple[str, Interval]:
    """(name, interval) of the score that stands for the others: exact match, or a reasoning recipe's right answers."""
    if column.reasoning:
        return "answer right", column.reasoning["right"]
    return "exact match", column.scores["exact_match"]


def headline_of_json(facts: dict[str, Any]) -> tuple[str, Interval]:
    """The same of a column in a passport; reads no other score, so that another version's passport will do."""
    if "reasoning" in facts:
        return "answer right", Interval(**facts["reasoning"]["right"])
    return "exact match", Interval(**facts["exact_match"])
