"""Built-in rewards: a bare name in a recipe's `rewards` is a function here; `file.py:function` lies beside the recipe.

Each takes TRL's arguments (`completions`, and the data's columns by name) and returns one float a completion. With
`compat: seed` it scores as the GRPO guides do, whose rules can be earned without merit; the default closes those ways
(said at each function).
"""

import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from hft import machine
from hft.data.sandbox import verdict
from hft.evaluate.reasoning import Tags, classify, language_of, parts, same, the_number, true_number

FIRST_NUMBER = re.compile(r".*?\s*(-?[\d.,]+)", re.DOTALL)  # the guides': also "." and "," are numbers to it


def text_of(completion: Any) -> str | None:
    """The text of a completion: a string, or a chat's first message; None for anything else."""
    if isinstance(completion, list) and completion and isinstance(completion[0], dict):
        completion = completion[0].get("content")
    return completion if isinstance(completion, str) else None


def format_exact(
    completions: list, *, tags: Tags, compat: str | None = None, score: float = 3.0, **columns: Any
) -> list[float]:
    """`score` for reasoning between its tags and an answer behind it, else 0; in [0, score].

    seed: the end tag anywhere is enough, with nothing around it.
    """
    texts = map(text_of, completions)
    if compat == "seed":
        return [score if tags.end in (text or "") else 0.0 for text in texts]
    return [score if parts(text, tags) else 0.0 for text in texts]


def format_approximate(
    completions: list, *, tags: Tags, compat: str | None = None, right: float = 0.5, wrong: float = -1.0, **columns: Any
) -> list[float]:
    """`right` or `wrong` for each of the two tags; in [2 wrong, 2 right].

    right: the start tag once (not at all where the template opens it), the end tag once and behind it
    seed: each once, anywhere
    """
    scores = []
    for text in map(text_of, completions):
        text = text or ""
        starts, ends = text.count(tags.start), text.count(tags.end)
        if compat == "seed":
            scores.append((right if starts == 1 else wrong) + (right if ends == 1 else wrong))
            continue
        begun = starts == (0 if tags.opened else 1) or (
            tags.opened and text.lstrip().startswith(tags.start) and starts == 1
        )
        behind = ends == 1 and text.find(tags.start) < text.find(tags.end)
        scores.append((right if begun else wrong) + (right if behind else wrong))
    return scores


class Scale(NamedTuple):
    """What an answer may earn: see `answer`."""

    exact: float
    stripped: float
    near: float
    close: float
    far: float
    unreadable: float


def answer(
    completions: list,
    answer: list[str],
    *,
    tags: Tags,
    compat: str | None = None,
    exact: float = 5.0,
    stripped: float = 3.5,
    near: float = 2.0,
    close: float = 1.5,
    far: float = -2.5,
    unreadable: float = -4.5,
    missing: float | None = None,
    **columns: Any,
) -> list[float]:
    """The answer behind the reasoning against the truth; in [unreadable, exact].

    exact: the same text or number; near, close: within 10 % and 20 % of it; far: another number
    unreadable: no number; missing: no answer at all (as unreadable, where it is not given)
    seed: `missing` is -2, better than a wrong answer; text that differs in white space only gets `stripped`; "1,000",
    an end token behind the answer, and a truth of 0 are unreadable
    """
    missed = missing if missing is not None else -2.0 if compat == "seed" else unreadable
    rule = seed_answer if compat == "seed" else sound_answer
    scale = Scale(exact, stripped, near, close, far, unreadable)
    texts = zip(map(text_of, completions), answer, strict=True)
    return [rule(text, truth, tags, scale, missed) for text, truth in texts]


def sound_answer(text: str | None, truth: str, tags: Tags, scale: Scale, missed: float) -> float:
    """One answer as hft scores it."""
    split = parts(text, tags)
    if split is None:
        return missed
    given, wanted = the_number(split[1]), true_number(truth)
    if same(split[1], truth) or (given is not None and given == wanted):
        return scale.exact
    if given is None or wanted is None:
        return scale.unreadable
    apart = abs(given - wanted) / abs(wanted) if wanted else math.inf
    return scale.near if apart <= 0.1 else scale.close if apart <= 0.2 else scale.far


def seed_answer(text: str | None, truth: str, tags: Tags, scale: Scale, missed: float) -> float:
    """One answer as the guides score it."""
    behind = re.search(f"{re.escape(tags.end)}(.*)", text or "", re.DOTALL)
    if behind is None:
        return missed
    if behind[1] == truth:
        return scale.exact
    if behind[1].strip() == truth.strip():
        return scale.stripped
    try:
        ratio = float(behind[1]) / float(truth)
    except (ValueError, ZeroDivisionError):
        return scale.unreadable
    return scale.near if 0.9 <= ratio <= 1.1 else scale.close if 0.8 <= ratio <= 1.2 else scale.far


def number(
    completions: list,
    answer: list[str],
    *,
    tags: Tags,
    compat: str | None = None,
    right: float = 3.5,
    wrong: float = -1.5,
    missing: float = -2.5,
    **columns: Any,
) -> list[float]:
    """The number in the answer against the true one; in [missing, right].

    missing: no answer behind the reasoning, or no single number in it
    seed: the first number anywhere, so that it may stand in the reasoning; one that cannot be read, such as a lone dot,
    gets 0
    """
    rule = seed_number if compat == "seed" else sound_number
    pairs = zip(map(text_of, completions), answer, strict=True)
    return [rule(text, truth, tags, right, wrong, missing) for text, truth in pairs]


def sound_number(text: str | None, truth: str, tags: Tags, right: float, wrong: float, missing: float) -> float:
    """One number as hft scores it."""
    split = parts(text, tags)
    given = the_number(split[1]) if split else None
    if given is None:
        return missing
    return right if given == true_number(truth) else wrong


def seed_number(text: str | None, truth: str, tags: Tags, right: float, wrong: float, missing: float) -> float:
    """One number as the guides score it."""
    first = FIRST_NUMBER.search(text or "")
    if first is None:
        return missing
    try:
        return right if float(first[1].replace(",", "")) == float(truth.strip()) else wrong
    except ValueError:
        return 0.0


def language(
    completions: list,
    *,
    tags: Tags,
    wanted: str,
    compat: str | None = None,
    among: tuple[str, ...] = ("en", "zh"),
    right: float = 5.0,
    other: float = -3.0,
    unknown: float = -5.0,
    letters: int = 20,
    **columns: Any,
) -> list[float]:
    """`right` when the reasoning is in the `wanted` language, `other` for one of `among`; in [unknown, right].

    unknown: no reasoning, or fewer than `letters` letters in it besides mathematics; the reasoning alone is looked at,
    and langid may choose among these languages only
    seed: langid's guess for the whole text, whatever it is
    """
    scores = []
    for text in map(text_of, completions):
        if compat == "seed":
            guess = classify(text) if text else None
        else:
            split = parts(text, tags)
            guess = language_of(split[0], (wanted, *among), letters) if split else None
        scores.append(right if guess == wanted else other if guess in among else unknown)
    return scores


def codeio(
    completions: list,
    kind: list[str],
    code: list[str],
    name: list[str],
    input_json: list[str],
    output_json: list[str],
    *,
    tags: Tags,
    compat: str | None = None,
    right: float = 1.0,
    wrong: float = 0.0,
    unreadable: float = -0.5,
    **columns: Any,
) -> list[float]:
    """A prediction for rows of `source: codeio`, compared or run in the sandbox; one of its three scores.

    unreadable: no JSON object with the wanted key; with reasoning tags in the completion it must stand behind them
    """
    rows = zip(kind, code, name, input_json, output_json, strict=True)
    names = ("kind", "code", "name", "input_json", "output_json")
    answers = [(text or "").rpartition(tags.end)[2] for text in map(text_of, completions)]
    with ThreadPoolExecutor(machine.cores()) as pool:
        verdicts = list(pool.map(verdict.judge, (dict(zip(names, row, strict=True)) for row in rows), answers))
    return [{"correct": right, "unreadable": unreadable}.get(one.status, wrong) for one in verdicts]


BUILT_IN: dict[str, Callable] = {
    one.__name__: one for one in (format_exact, format_approximate, answer, number, language, codeio)
}
