"""Before and after on held-out rows: scores, intervals, a table, and every question with its answers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hft import files
from hft.data import prepare, rows
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import intervals, metrics
from hft.evaluate.intervals import Interval
from hft.recipe.file import Loaded
from hft.terminal import columns

NAMES = {"exact_match": "exact match", "f1": "character F1", "contains": "contains"}
# Columns of the training itself, in a table's order; exports come behind them.
FIRST = ("base", "base-bare", "adapter", "adapter-bare", "model", "model-bare")
REASONING = {"right": "answer right", "format": "format kept", "language": "reasoning in its language"}
PREDICTIONS = 'a prediction file is {"question id": "answer", ...}'


@dataclass(frozen=True)
class Part:
    """One part of the breakdown; `hit`: the share x 100 of its questions with an exact match, or a right answer."""

    questions: int
    hit: float


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

    def as_json(self) -> dict[str, Any]:
        """What evaluation.json and the passport keep of it."""
        facts: dict[str, Any] = {"questions": self.questions, **plain(self.scores)}
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
    return Column(
        questions=facts["questions"],
        scores=from_json({name: facts[name] for name in metrics.SCORES}),
        reward=Interval(**facts["reward"]) if "reward" in facts else None,
        rewards=from_json(facts.get("rewards", {})),
        reasoning=from_json(facts.get("reasoning", {})),
        drawn=from_json({name: cell for name, cell in drawn.items() if name != "answers"}),
        answers=drawn.get("answers", 0),
        by={name: Part(part["questions"], part[hit]) for name, part in facts.get("by", {}).items()},
    )


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
    files.write_json(run / "evaluation.json", {name: summary(asked).as_json() for name, asked in kept(run).items()})


def kept(run: Path) -> dict[str, list[dict[str, Any]]]:
    """`{column: records}` of what has been asked in this run: base, adapter, then exports by name."""
    asked = {
        path.name.removesuffix(".jsonl"): [
            json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line
        ]
        for path in sorted((run / "answers").glob("*.jsonl"))
    }
    return {name: asked[name] for name in sorted(asked, key=lambda n: (FIRST.index(n) if n in FIRST else 9, n))}


def summary(records: list[dict[str, Any]]) -> Column:
    """A column of these records, with 95 % intervals over all questions and the breakdown's parts."""
    first = records[0]
    more: dict[str, Any] = reasoning(records) if "reasoning" in first else {}
    if "reward" in first:
        more["reward"] = intervals.of([record["reward"] for record in records])
        more["rewards"] = {
            name: intervals.of([record["rewards"][name] for record in records]) for name in first["rewards"]
        }
    return Column(len(records), metrics.summarize(records), by=breakdown(records), **more)


def breakdown(records: list[dict[str, Any]]) -> dict[str, Part]:
    """The parts by name, in the order of the names."""
    split: dict[str, list[float]] = {name: [] for name in sorted({row["by"] for row in records if "by" in row})}
    for record in records:
        if "by" in record:
            split[record["by"]].append(record["reasoning"]["right"] if "reasoning" in record else record["exact_match"])
    return {name: Part(len(hits), round(100 * sum(hits) / len(hits), 2)) for name, hits in split.items()}


def reasoning(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Of answers that reason: shares x 100 of what is right and kept, their tokens; the same of drawn answers."""

    def shares(of: Callable[[dict[str, Any], str], float]) -> dict[str, Interval]:
        return {
            key: intervals.of([100 * of(record, key) for record in records])
            for key in REASONING
            if key in records[0]["reasoning"]
        }

    def mean(record: dict[str, Any], key: str) -> float:
        return sum(answer[key] for answer in record["drawn"]) / len(record["drawn"])

    tokens = intervals.of([record["reasoning"]["tokens"] for record in records])
    parts: dict[str, Any] = {"reasoning": {**shares(lambda record, key: record["reasoning"][key]), "tokens": tokens}}
    if "drawn" in records[0]:
        any_right = [100.0 * any(answer["right"] for answer in record["drawn"]) for record in records]
        parts["drawn"] = {**shares(mean), "any_right": intervals.of(any_right)}
        parts["answers"] = len(records[0]["drawn"])
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


def table(evaluation: dict[str, Column]) -> str:
    """The before/after table as plain text, one column a model."""
    models = list(evaluation.values())
    first = models[0]
    lines = [["", *evaluation]]
    if not first.reasoning:
        lines += [[name, *(cell(model.scores[key]) for model in models)] for key, name in NAMES.items()]
    for key, name in REASONING.items():
        if key in first.reasoning:
            lines.append([name, *(cell(model.reasoning.get(key)) for model in models)])
    for key, name in (REASONING | {"any_right": "any right"}).items():
        if key in first.drawn:
            lines.append([f"{name}, {first.answers} drawn", *(cell(model.drawn.get(key)) for model in models)])
    if first.reasoning:
        lines.append(["tokens, not x 100", *(cell(model.reasoning["tokens"]) for model in models)])
    if all(model.reward for model in models):
        lines.append(["mean reward, not x 100", *(cell(model.reward, 2) for model in models)])
        lines += [[f"  {name}", *(cell(model.rewards[name], 2) for model in models)] for name in first.rewards]
    if first.by:
        lines.append([f"{headline(first)[0]} by part", *[""] * len(models)])
        for name, part in first.by.items():
            hits = (f"{model.by[name].hit:.1f}" if name in model.by else "-" for model in models)
            lines.append([f"  {name} ({part.questions})", *hits])
    return f"{first.questions} held-out questions, scores x 100 [95 % interval]\n{columns(lines)}"


def cell(interval: Interval | None, places: int = 1) -> str:
    """An interval in a table, such as `80.0 [73.1, 86.2]`; a dash for none."""
    if interval is None:
        return "-"
    return f"{interval.mean:.{places}f} [{interval.low:.{places}f}, {interval.high:.{places}f}]"


def predictions(path: Path, samples: list[Sample]) -> list[str | None]:
    """Answers from a KorQuAD prediction file, `{id: answer}`, in the samples' order; None where one is missing."""
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as problem:
        raise HftError(f"{path}: {problem}", PREDICTIONS) from None
    if not isinstance(given, dict):
        raise HftError(f"{path} holds a {type(given).__name__}, not an object", PREDICTIONS)
    if not given.keys() & {sample.id for sample in samples}:
        raise HftError(
            f"{path}: none of its {len(given)} ids is a question of this recipe (such as {samples[0].id})",
            "is it the right recipe? see: hft prepare NAME",
        )
    return [None if given.get(sample.id) is None else str(given[sample.id]) for sample in samples]


def score_file(loaded: Loaded, path: Path) -> str:
    """The scores of a prediction file on the recipe's held-out rows."""
    samples = prepare.prepare(loaded, rows.read(loaded)).evaluate
    if not samples:
        raise HftError(f"recipe {loaded.name} has no held-out rows", "add data.evaluate or data.held_out to it")
    answers = predictions(path, samples)
    missing = answers.count(None)
    records = scored(samples, answers, loaded.recipe.evaluate.by)
    return table({path.name: summary(records)}) + (f"\n{missing} answers are missing and count 0" if missing else "")
