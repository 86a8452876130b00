"""Before and after on held-out rows: scores, intervals, a table, and every question with its answers."""

import json
from pathlib import Path

from hft import files
from hft.data import prepare, rows
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import metrics
from hft.recipe.file import Loaded
from hft.terminal import columns

NAMES = {"exact_match": "exact match", "f1": "character F1", "contains": "contains"}
FIRST = (
    "base",
    "base-bare",
    "adapter",
    "adapter-bare",
    "model",
    "model-bare",
)  # columns of the training itself; then exports
REASONING = {"right": "answer right", "format": "format kept", "language": "reasoning in its language"}


def scored(samples: list[Sample], answers: list[str | None], by: str | None, judged: list | None = None) -> list[dict]:
    """One record a question: id, question, truths, answer, its scores (0 to 1) and, where judged, its rewards."""
    records = [
        {
            "id": one.id,
            "question": question(one),
            "truths": one.answers,
            "answer": answer,
            **({"by": str(one.row.get(by))} if by else {}),
            **metrics.score(answer, one.answers),
        }
        for one, answer in zip(samples, answers, strict=True)
    ]
    for record, (reward, each) in zip(records, judged or [], strict=bool(judged)):
        record.update(reward=reward, rewards=each)
    return records


def question(one: Sample) -> str:
    return str(one.row.get("question") or one.row.get("instruction") or one.prompt)


def keep(run: Path, column: str, records: list[dict]) -> None:
    """Write answers/COLUMN.jsonl and bring evaluation.json up to date."""
    (run / "answers").mkdir(exist_ok=True)
    files.write_jsonl(run / "answers" / f"{column}.jsonl", records)
    files.write_json(run / "evaluation.json", {name: summary(records) for name, records in kept(run).items()})


def kept(run: Path) -> dict[str, list[dict]]:
    """`{column: records}` of what has been asked in this run: base, adapter, then exports by name."""
    found = {
        path.name.removesuffix(".jsonl"): [
            json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line
        ]
        for path in sorted((run / "answers").glob("*.jsonl"))
    }
    return {name: found[name] for name in sorted(found, key=lambda n: (FIRST.index(n) if n in FIRST else 9, n))}


def summary(records: list[dict]) -> dict:
    """Scores x 100 with 95 % intervals over all questions, and the exact match of each part of the breakdown."""
    parts = sorted({record["by"] for record in records if "by" in record})
    split = {part: [r for r in records if r["by"] == part] for part in parts}
    rewards = (
        {
            "reward": metrics.interval([r["reward"] for r in records]),
            "rewards": {
                name: metrics.interval([r["rewards"][name] for r in records]) for name in records[0]["rewards"]
            },
        }
        if "reward" in records[0]
        else {}
    )
    key, hit = (
        ("right", lambda r: r["reasoning"]["right"])
        if "reasoning" in records[0]
        else ("exact_match", lambda r: r["exact_match"])
    )
    return {
        "questions": len(records),
        **metrics.summarize(records),
        **rewards,
        **reasoning(records),
        **(
            {
                "by": {
                    part: {"questions": len(rows), key: round(100 * sum(map(hit, rows)) / len(rows), 2)}
                    for part, rows in split.items()
                }
            }
            if parts
            else {}
        ),
    }


def reasoning(records: list[dict]) -> dict:
    """Shares x 100 of right answers, of kept formats and of reasoning in its language, tokens; of drawn answers by question."""

    def share(of):
        return {
            key: metrics.interval([100 * of(record, key) for record in records])
            for key in REASONING
            if key in records[0]["reasoning"]
        }

    def mean(record, key):
        return sum(one[key] for one in record["drawn"]) / len(record["drawn"])

    if "reasoning" not in records[0]:
        return {}
    found = {
        "reasoning": {
            **share(lambda record, key: record["reasoning"][key]),
            "tokens": metrics.interval([record["reasoning"]["tokens"] for record in records]),
        }
    }
    if "drawn" in records[0]:
        any_right = [100.0 * any(one["right"] for one in record["drawn"]) for record in records]
        found["drawn"] = {"answers": len(records[0]["drawn"]), **share(mean), "any_right": metrics.interval(any_right)}
    return found


def headline(column: dict) -> tuple[str, dict]:
    """(name, mean and interval) of the score that stands for the others: exact match, or the right answers of a reasoning recipe."""
    return (
        ("answer right", column["reasoning"]["right"])
        if "reasoning" in column
        else ("exact match", column["exact_match"])
    )


def table(evaluation: dict[str, dict]) -> str:
    """The before/after table as plain text, one column a model."""
    models = list(evaluation)
    lines = [["", *models]]
    first = evaluation[models[0]]

    def line(name, cells):
        lines.append(
            [
                name,
                *(
                    "-" if cell is None else f"{cell['mean']:.1f} [{cell['low']:.1f}, {cell['high']:.1f}]"
                    for cell in cells
                ),
            ]
        )

    if "reasoning" not in first:
        for key, name in NAMES.items():
            line(name, [evaluation[c][key] for c in models])
    for part, name in (("reasoning", ""), ("drawn", f", {first.get('drawn', {}).get('answers')} drawn")):
        for key, said in (REASONING | {"any_right": "any right"}).items():
            if key in first.get(part, {}):
                line(said + name, [evaluation[c].get(part, {}).get(key) for c in models])
    if "reasoning" in first:
        line("tokens, not x 100", [evaluation[c]["reasoning"]["tokens"] for c in models])
    if all("reward" in evaluation[name] for name in models):
        lines.append(["mean reward, not x 100", *(spread(evaluation[name]["reward"]) for name in models)])
        for reward in first["rewards"]:
            lines.append([f"  {reward}", *(spread(evaluation[name]["rewards"][reward]) for name in models)])
    parts = first.get("by", {})
    if parts:
        lines.append([f"{headline(first)[0]} by part", *[""] * len(models)])
        lines += [
            [f"  {part} ({row['questions']})", *(part_score(evaluation[c], part) for c in models)]
            for part, row in parts.items()
        ]
    head = f"{first['questions']} held-out questions, scores x 100 [95 % interval]"
    return f"{head}\n{columns(lines)}"


def spread(cell: dict) -> str:
    return f"{cell['mean']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]"


def part_score(column: dict, part: str) -> str:
    found = column.get("by", {}).get(part)
    return f"{found.get('right', found.get('exact_match')):.1f}" if found else "-"


def predictions(path: Path, samples: list[Sample]) -> list[str | None]:
    """Answers from a KorQuAD prediction file, `{id: answer}`, in the samples' order; None where one is missing."""
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as problem:
        raise HftError(f"{path}: {problem}", 'a prediction file is {"question id": "answer", ...}') from None
    if not isinstance(given, dict):
        raise HftError(
            f"{path} holds a {type(given).__name__}, not an object",
            'a prediction file is {"question id": "answer", ...}',
        )
    known = {one.id for one in samples}
    if not known & given.keys():
        raise HftError(
            f"{path}: none of its {len(given)} ids is a question of this recipe (such as {samples[0].id})",
            "is it the right recipe? see: hft prepare NAME",
        )
    return [None if given.get(one.id) is None else str(given[one.id]) for one in samples]


def score_file(loaded: Loaded, path: Path) -> str:
    """The scores of a prediction file on the recipe's held-out rows."""
    samples = prepare.prepare(loaded, rows.read(loaded)).evaluate
    if not samples:
        raise HftError(f"recipe {loaded.name} has no held-out rows", "add data.evaluate or data.held_out to it")
    answers = predictions(path, samples)
    missing = answers.count(None)
    records = scored(samples, answers, loaded.recipe.evaluate.by)
    return table({path.name: summary(records)}) + (f"\n{missing} answers are missing and count 0" if missing else "")
