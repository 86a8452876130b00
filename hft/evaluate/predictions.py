"""Scores of a prediction file, as KorQuAD's official evaluator counts them: every question of the held-out file."""

import json
from pathlib import Path

from hft.data import prepare, rows
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import metrics, scores
from hft.evaluate.table import table
from hft.recipe.file import Loaded

FORM = 'a prediction file is {"question id": "answer", ...}'


def predictions(path: Path, samples: list[Sample]) -> list[str | None]:
    """Answers from a KorQuAD prediction file, `{id: answer}`, in the samples' order; None where one is missing."""
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as problem:
        raise HftError(f"{path}: {problem}", FORM) from None
    if not isinstance(given, dict):
        raise HftError(f"{path} holds a {type(given).__name__}, not an object", FORM)
    if not given.keys() & {sample.id for sample in samples}:
        raise HftError(
            f"{path}: none of its {len(given)} ids is a question of this recipe (such as {samples[0].id})",
            "is it the right recipe? see: hft prepare NAME",
        )
    return [None if given.get(sample.id) is None else str(given[sample.id]) for sample in samples]


def held_out(loaded: Loaded) -> list[Sample]:
    """Every question that the recipe holds out; without its training rows where it has a file of questions.

    Raises HftError where it holds out none.
    """
    if wanted := loaded.recipe.data.evaluate:
        samples = rows.read_side(loaded, wanted, "evaluate", {})
    else:
        whole = loaded.recipe.evaluate.model_copy(update={"rows": None})
        every = loaded._replace(recipe=loaded.recipe.model_copy(update={"evaluate": whole}))
        samples = prepare.prepare(every, rows.read(every)).evaluate
    if not samples:
        raise HftError(f"recipe {loaded.name} has no held-out rows", "add data.evaluate or data.held_out to it")
    return samples


def score_file(loaded: Loaded, path: Path) -> str:
    """The official two numbers of a prediction file as JSON, all digits, and the table of its scores."""
    samples = held_out(loaded)
    answers = predictions(path, samples)
    missing = answers.count(None)
    records = scores.scored(samples, answers, loaded.recipe.evaluate.by)
    lines = [json.dumps(metrics.official(records)), table({path.name: scores.summary(records)})]
    if missing:
        lines.append(f"{missing:,} of {len(samples):,} answers are missing and count 0")
    return "\n".join(lines)
