"""`hft rewards NAME`: a recipe's rewards on canned completions: what earns what, and what would mislead a training."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hft.data import rows
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import grader, reasoning
from hft.evaluate.reasoning import Tags
from hft.recipe.file import Loaded
from hft.recipe.sources import parts
from hft.terminal import columns

REASONING = {
    "id": "Pertama kita hitung jumlah semua bilangan itu lalu kita bagi hasilnya dengan dua",
    "en": "First we add all of the numbers together and then we divide the result by two",
    "ko": "먼저 모든 수를 더한 다음 그 결과를 둘로 나누면 우리가 찾는 답을 얻을 수 있습니다",
}
REPEATS = 20  # calls that the time of one is the mean of


class Trial(NamedTuple):
    """A completion to judge."""

    what: str
    text: str
    truth: str
    worthless: bool  # must not earn more than an honest wrong answer


def canned(truth: str, wrong: str, language: str, tags: Tags, question: str) -> list[Trial]:
    """Completions of every kind for one question whose answer is known."""
    reasoning, other = REASONING.get(language, REASONING["en"]), REASONING["en" if language != "en" else "id"]
    start = "" if tags.opened else tags.start

    def text(thought: str, answer: str) -> str:
        return f"{start}{thought}{tags.end}{answer}"

    return [
        Trial("right", text(reasoning, truth), truth, False),
        Trial("wrong", text(reasoning, wrong), truth, False),
        Trial("right, wrong language", text(other, truth), truth, False),
        Trial("right, without reasoning", truth, truth, False),
        Trial("wrong, without reasoning", wrong, truth, False),
        Trial("empty", "", truth, True),
        Trial("echo of the prompt", question, truth, True),
        Trial("only tags", f"{start}{tags.end}", truth, True),
        Trial("reasoning without end", start + reasoning, truth, True),
        Trial("endless repetition", start + f"{reasoning}. " * 40, truth, True),
        Trial("number stuffed into the reasoning", text(f"{truth} {reasoning}", wrong), truth, True),
    ]


def table(loaded: Loaded, completions: Path | None) -> str:
    """Scores of canned completions, or of those in a file, with range and time of each reward, and warnings.

    Raises HftError for a recipe without rewards, and for a reward that does not give one number a completion.
    """
    if not loaded.recipe.rewards:
        raise HftError(f"recipe {loaded.name} has no rewards", "choose one with method: grpo, such as grpo_quickstart")
    functions, tags = grader.of(loaded.recipe, loaded.code), reasoning.tags(loaded.recipe)
    known = samples(loaded)
    trials = (
        from_file(completions) if completions else canned(*answers(loaded, known), tags, "What is 17 + 17? Explain.")
    )
    row = known[0].row if known else {}
    scores, micros = zip(*(tried(function, trials, row) for function in functions), strict=True)
    names = [function.__name__ for function in functions]
    totals = [grader.weighted(loaded.recipe.rewards, each) for each in zip(*scores, strict=True)]
    lines = [["completion", *names, "sum"]]
    for trial, total, *each in zip(trials, totals, *scores, strict=True):
        lines.append([trial.what, *(f"{score:g}" for score in each), f"{total:g}"])
    lines.append(["range", *(f"{min(column):g} to {max(column):g}" for column in [*scores, totals])])
    lines.append(["microseconds a call", *(f"{spent:.0f}" for spent in micros), f"{sum(micros):.0f}"])
    said = [*without_tags(trials, names, list(scores)), *warnings(trials, totals, names, list(scores))]
    return "\n".join([columns(lines), *said])


def tried(judge: Callable[..., list[float]], trials: list[Trial], row: dict[str, Any]) -> tuple[list[float], float]:
    """(a reward's scores of the trials, microseconds that one of them takes).

    row: one of the data's, for its columns
    """
    count = len(trials)
    told = {
        **{name: [value] * count for name, value in row.items()},
        "answer": [trial.truth for trial in trials],
        "prompts": ["?"] * count,
        "completions": [[{"role": "assistant", "content": trial.text}] for trial in trials],
    }
    scores = judge(**told)
    begin = time.perf_counter()
    for _ in range(REPEATS):
        judge(**told)
    return scores, 1e6 * (time.perf_counter() - begin) / REPEATS / count


def samples(loaded: Loaded) -> list[Sample]:
    """The data's training rows where they can be read; a Hub's are not fetched for this."""
    if any(part.source == "hub" for part in parts(loaded.recipe.data.train)):
        return []
    try:
        return rows.read(loaded).train
    except HftError:
        return []


def answers(loaded: Loaded, known: list[Sample]) -> tuple[str, str, str]:
    """(a right answer, a wrong one, the language wanted).

    The answers are the first two of the data where there are any, else numbers.
    """
    wanted = (str(told.options["wanted"]) for told in loaded.recipe.rewards or [] if "wanted" in told.options)
    language = next(wanted, "en")
    first = list(dict.fromkeys(sample.answers[0] for sample in known))[:2]
    return (first[0], first[1], language) if len(first) == 2 else ("34", "50", language)


def from_file(path: Path) -> list[Trial]:
    """Completions from a .jsonl file with `completion` and `answer`; a run's completions.jsonl lacks the answers.

    Raises HftError for any other file.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise ValueError("no line in it")
        return [
            Trial(str(line.get("what", f"line {number}")), line["completion"], str(line.get("answer", "")), False)
            for number, line in enumerate(lines, 1)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise HftError(
            f"{path}: {type(problem).__name__}: {problem}", 'each line is {"completion": "...", "answer": "..."}'
        ) from None


def without_tags(trials: list[Trial], names: list[str], scores: list[list[float]]) -> list[str]:
    """What a right answer earns with the tags around its reasoning and without, for each reward that needs them."""
    place = {trial.what: number for number, trial in enumerate(trials)}
    if not {"right", "right, without reasoning"} <= set(place):
        return []
    earned = [
        (name, row[place["right"]], row[place["right, without reasoning"]])
        for name, row in zip(names, scores, strict=True)
    ]
    return [
        f"{name}: a right answer earns {tagged:g}, one without tags {bare:g}"
        for name, tagged, bare in earned
        if bare < tagged
    ]


def warnings(trials: list[Trial], totals: list[float], names: list[str], scores: list[list[float]]) -> list[str]:
    """What would mislead a training: worthless completions that pay, rewards that never differ."""
    lines = []
    honest = next((total for trial, total in zip(trials, totals, strict=True) if trial.what == "wrong"), math.inf)
    for trial, total in zip(trials, totals, strict=True):
        if trial.worthless and total > honest:
            lines.append(f"Warning: '{trial.what}' earns {total:g}, more than an honest wrong answer ({honest:g})")
    for name, row in zip(names, scores, strict=True):
        if len(row) > 1 and max(row) == min(row):
            lines.append(f"Warning: {name} gives every completion {row[0]:g}: from such a reward nothing is learned")
    return lines
