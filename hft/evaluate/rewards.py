"""Built-in rewards: a bare name in a recipe's `rewards` is a function here; `file.py:function` is one beside the recipe.

Each takes TRL's arguments (`completions`, and the data's columns by name) and returns one float a completion. With `compat: seed`
it scores as the GRPO guides do, whose rules can be earned without merit; the default closes those ways (said at each function).
"""

import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hft import machine
from hft.data.sandbox import verdict
from hft.evaluate.reasoning import Tags, classify, language_of, parts, same, the_number, true_number

FIRST_NUMBER = re.compile(r".*?\s*(-?[\d.,]+)", re.DOTALL)  # the guides': also "." and "," are numbers to it


def text_of(completion) -> str | None:
    """The text of a completion: a string, or a chat's first message; None for anything else."""
    if isinstance(completion, list) and completion and isinstance(completion[0], dict):
        completion = completion[0].get("content")
    return completion if isinstance(completion, str) else None


def format_exact(completions, *, tags: Tags, compat: str | None = None, score: float = 3.0, **columns) -> list[float]:
    """`score` for reasoning between its tags and an answer behind it, else 0; in [0, score].

    seed: the end tag anywhere is enough, with nothing around it.
    """
    texts = [text_of(one) for one in completions]
    if compat == "seed":
        return [score if tags.end in (text or "") else 0.0 for text in texts]
    return [score if parts(text, tags) else 0.0 for text in texts]


def format_approximate(
    completions, *, tags: Tags, compat: str | None = None, right: float = 0.5, wrong: float = -1.0, **columns
) -> list[float]:
    """`right` or `wrong` for each of the two tags; in [2 wrong, 2 right].

    right: the start tag once (not at all where the template opens it), the end tag once and behind it. seed: each once, anywhere.
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


def answer(
    completions,
    answer,
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
    **columns,
) -> list[float]:
    """The answer behind the reasoning against the truth; in [unreadable, exact].

    `exact` for the same text or number, `near` and `close` within 10 % and 20 % of it, `far` for another number, `unreadable` for
    no number, `missing` (default: as unreadable) for no answer at all. seed: `missing` is -2, better than a wrong answer; text that
    differs in white space only gets `stripped`; "1,000", an end token behind the answer, and a truth of 0 are unreadable.
    """
    scores = []
    for text, truth in zip(map(text_of, completions), answer, strict=True):
        if compat == "seed":
            found = re.search(f"{re.escape(tags.end)}(.*)", text or "", re.DOTALL)
            missed = -2.0 if missing is None else missing
            scores.append(
                missed if found is None else seed_answer(found[1], truth, exact, stripped, near, close, far, unreadable)
            )
            continue
        found = parts(text, tags)
        if found is None:
            scores.append(unreadable if missing is None else missing)
            continue
        given, wanted = the_number(found[1]), true_number(truth)
        if same(found[1], truth) or (given is not None and given == wanted):
            scores.append(exact)
        elif given is None or wanted is None:
            scores.append(unreadable)
        else:
            apart = abs(given - wanted) / abs(wanted) if wanted else math.inf
            scores.append(near if apart <= 0.1 else close if apart <= 0.2 else far)
    return scores


def seed_answer(guess, truth, exact, stripped, near, close, far, unreadable) -> float:
    """One answer as the guides score it."""
    if guess == truth:
        return exact
    if guess.strip() == truth.strip():
        return stripped
    try:
        ratio = float(guess) / float(truth)
    except (ValueError, ZeroDivisionError):
        return unreadable
    return near if 0.9 <= ratio <= 1.1 else close if 0.8 <= ratio <= 1.2 else far


def number(
    completions,
    answer,
    *,
    tags: Tags,
    compat: str | None = None,
    right: float = 3.5,
    wrong: float = -1.5,
    missing: float = -2.5,
    **columns,
) -> list[float]:
    """The number in the answer against the true one; in [missing, right].

    `missing`: no answer behind the reasoning, or no single number in it. seed: the first number anywhere, so that it may stand in the
    reasoning; one that cannot be read, such as a lone dot, gets 0.
    """
    scores = []
    for text, truth in zip(map(text_of, completions), answer, strict=True):
        if compat == "seed":
            found = FIRST_NUMBER.search(text or "")
            try:
                scores.append(
                    missing
                    if found is None
                    else right
                    if float(found[1].replace(",", "")) == float(truth.strip())
                    else wrong
                )
            except ValueError:
                scores.append(0.0)
            continue
        found = parts(text, tags)
        given, wanted = the_number(found[1]) if found else None, true_number(truth)
        scores.append(missing if given is None else right if given == wanted else wrong)
    return scores


def language(
    completions,
    *,
    tags: Tags,
    wanted: str,
    compat: str | None = None,
    among: tuple[str, ...] = ("en", "zh"),
    right: float = 5.0,
    other: float = -3.0,
    unknown: float = -5.0,
    letters: int = 20,
    **columns,
) -> list[float]:
    """`right` when the reasoning is in the `wanted` language, `other` for one of `among`; in [unknown, right].

    `unknown`: no reasoning, or fewer than `letters` letters in it besides mathematics. The reasoning alone is looked at, and langid
    may choose among these languages only. seed: langid's guess for the whole text, whatever it is.
    """
    scores = []
    for text in map(text_of, completions):
        if compat == "seed":
            found = classify(text) if text else None
        else:
            split = parts(text, tags)
            found = language_of(split[0], (wanted, *among), letters) if split else None
        scores.append(right if found == wanted else other if found in among else unknown)
    return scores


def codeio(
    completions,
    kind,
    code,
    name,
    input_json,
    output_json,
    *,
    tags: Tags,
    compat: str | None = None,
    right: float = 1.0,
    wrong: float = 0.0,
    unreadable: float = -0.5,
    **columns,
) -> list[float]:
    """A prediction for rows of `source: codeio`, verified by comparison or by running the code in the sandbox; one of its three scores.

    `unreadable`: no JSON object with the wanted key; with reasoning tags in the completion it must stand behind them.
    """
    rows = zip(kind, code, name, input_json, output_json, strict=True)
    names = ("kind", "code", "name", "input_json", "output_json")
    answers = [(text_of(one) or "").rpartition(tags.end)[2] for one in completions]
    with ThreadPoolExecutor(machine.cores()) as pool:
        verdicts = list(pool.map(verdict.judge, (dict(zip(names, row, strict=True)) for row in rows), answers))
    return [{"correct": right, "unreadable": unreadable}.get(one.status, wrong) for one in verdicts]


BUILT_IN: dict[str, Callable] = {
    one.__name__: one for one in (format_exact, format_approximate, answer, number, language, codeio)
}
