"""`hft rewards NAME`: a recipe's rewards on canned completions, before any GPU is hot: what earns what, and what is wrong with it."""

import json
import time
from pathlib import Path
from typing import NamedTuple

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
    what: str
    text: str
    truth: str
    worthless: bool  # must not earn more than an honest wrong answer


def canned(truth: str, wrong: str, language: str, tags: Tags, question: str) -> list[Trial]:
    """Completions of every kind for one question whose answer is known."""
    reasoning, other = REASONING.get(language, REASONING["en"]), REASONING["en" if language != "en" else "id"]
    start = "" if tags.opened else tags.start

    def said(thought, answer):
        return f"{start}{thought}{tags.end}{answer}"

    return [
        Trial("right", said(reasoning, truth), truth, False),
        Trial("wrong", said(reasoning, wrong), truth, False),
        Trial("right, wrong language", said(other, truth), truth, False),
        Trial("right, without reasoning", truth, truth, False),
        Trial("wrong, without reasoning", wrong, truth, False),
        Trial("empty", "", truth, True),
        Trial("echo of the prompt", question, truth, True),
        Trial("only tags", f"{start}{tags.end}", truth, True),
        Trial("reasoning without end", start + reasoning, truth, True),
        Trial("endless repetition", start + f"{reasoning}. " * 40, truth, True),
        Trial("number stuffed into the reasoning", said(f"{truth} {reasoning}", wrong), truth, True),
    ]


def table(loaded: Loaded, completions: Path | None) -> str:
    """Scores of canned completions, or of those in a file, with range and time of each reward, and warnings.

    Raises HftError for a recipe without rewards.
    """
    if not loaded.recipe.rewards:
        raise HftError(f"recipe {loaded.name} has no rewards", "choose one with method: grpo, such as grpo_quickstart")
    functions, tags = grader.of(loaded.recipe, loaded.code), reasoning.tags(loaded.recipe)
    known = samples(loaded)
    trials = (
        from_file(completions) if completions else canned(*answers(loaded, known), tags, "What is 17 + 17? Explain.")
    )
    weights = [one.weight for one in loaded.recipe.rewards]
    chats = [[{"role": "assistant", "content": one.text}] for one in trials]
    scores, micros = [], []
    for judge in functions:

        def ask(judge=judge):
            columns = {name: [value] * len(trials) for name, value in (known[0].row if known else {}).items()}
            return judge(
                prompts=["?"] * len(trials), completions=chats, **{**columns, "answer": [one.truth for one in trials]}
            )

        scores.append(ask())
        begin = time.perf_counter()
        for _ in range(REPEATS):
            ask()
        micros.append(1e6 * (time.perf_counter() - begin) / REPEATS / len(trials))
    totals = [sum(w * s for w, s in zip(weights, row, strict=True)) for row in zip(*scores, strict=True)]
    lines = [["completion", *(judge.__name__ for judge in functions), "sum"]]
    for i, one in enumerate(trials):
        lines.append([one.what, *(f"{row[i]:g}" for row in scores), f"{totals[i]:g}"])
    lines.append(["range", *(f"{min(row):g} to {max(row):g}" for row in [*scores, totals])])
    lines.append(["microseconds a call", *(f"{one:.0f}" for one in micros), f"{sum(micros):.0f}"])
    return "\n".join([columns(lines), *warnings(trials, totals, [judge.__name__ for judge in functions], scores)])


def samples(loaded: Loaded) -> list:
    """The data's training rows where they can be read; a Hub's are not fetched for this."""
    from hft.data import rows

    try:
        return rows.read(loaded).train if all(one.source != "hub" for one in parts(loaded.recipe.data.train)) else []
    except HftError:
        return []


def answers(loaded: Loaded, known: list) -> tuple[str, str, str]:
    """(a right answer, a wrong one, the language wanted): the first two answers of the data where there are any, else numbers."""
    language = next((str(one.options["wanted"]) for one in loaded.recipe.rewards if "wanted" in one.options), "en")
    found = list(dict.fromkeys(one.answers[0] for one in known))[:2]
    return (found[0], found[1], language) if len(found) == 2 else ("34", "50", language)


def from_file(path: Path) -> list[Trial]:
    """Completions from a .jsonl file with `completion` and `answer`, such as a run's completions.jsonl with answers added."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not rows:
            raise ValueError("no line in it")
        return [
            Trial(str(row.get("what", f"line {number}")), row["completion"], str(row.get("answer", "")), False)
            for number, row in enumerate(rows, 1)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise HftError(
            f"{path}: {type(problem).__name__}: {problem}", 'each line is {"completion": "...", "answer": "..."}'
        ) from None


def warnings(trials: list[Trial], totals: list[float], names: list[str], scores: list[list[float]]) -> list[str]:
    """What would mislead a training: worthless completions that pay, rewards that never differ."""
    said = []
    honest = [total for one, total in zip(trials, totals, strict=True) if one.what == "wrong"]
    for one, total in zip(trials, totals, strict=True):
        if honest and one.worthless and total > honest[0]:
            said.append(f"Warning: '{one.what}' earns {total:g}, more than an honest wrong answer ({honest[0]:g})")
    for name, row in zip(names, scores, strict=True):
        if len(row) > 1 and max(row) == min(row):
            said.append(f"Warning: {name} gives every completion {row[0]:g}: from such a reward nothing is learned")
    return said
