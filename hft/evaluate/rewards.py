"""Built-in rewards: a bare name in a recipe's `rewards` is a function here; `file.py:function` lies beside the recipe.

Each takes TRL's arguments (`completions`, and the data's columns by name) and returns one float a completion. With
`compat: seed` it scores as the GRPO guides do, whose rules can be earned without merit; the default closes those ways
(said at each function).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hft import machine
from hft.data.sandbox import verdict
from hft.evaluate.languages import classify, count, language_of, prose
from hft.evaluate.reasoning import Tags, parts, well_formed
from hft.evaluate.scale import Scale, seed_answer, seed_number, sound_answer, sound_number


def text_of(completion: Any) -> str | None:
    """The text of a completion: a string, or a chat's first message; None for anything else."""
    if isinstance(completion, list) and completion and isinstance(completion[0], dict):
        completion = completion[0].get("content")
    return completion if isinstance(completion, str) else None


def format_exact(
    completions: list, *, tags: Tags, compat: str | None = None, score: float = 3.0, **columns: Any
) -> list[float]:
    """`score` for reasoning between its tags and an answer behind it, else 0; in [0, score].

    without tags: 0
    seed: the end tag anywhere is enough, with nothing around it.
    """
    texts = map(text_of, completions)
    if compat == "seed":
        return [score if tags.end in (text or "") else 0.0 for text in texts]
    return [score if well_formed(text, tags) else 0.0 for text in texts]


def format_approximate(
    completions: list, *, tags: Tags, compat: str | None = None, right: float = 0.5, wrong: float = -1.0, **columns: Any
) -> list[float]:
    """`right` or `wrong` for each of the two tags; in [2 wrong, 2 right].

    right: the start tag once (not at all where the template opens it), the end tag once and behind it
    without tags: twice `wrong`
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
    untagged: float = 0.0,
    **columns: Any,
) -> list[float]:
    """The answer behind the reasoning against the truth; in [unreadable, exact].

    exact: the same text, number or mathematics (answers.right); near, close: within 10 % and 20 % of it; far: another
    number; unreadable: no number, or several, or one that is denied; missing: as unreadable, where it is not given
    without tags: `missing`; with `untagged` above 0 that share of what a right or near answer earns (it is looked for
    behind the last end tag, else in the whole text), and what a wrong one earns
    seed: `missing` is -2, better than a wrong answer; text that differs in white space only gets `stripped`; "1,000",
    an end token behind the answer, and a truth of 0 are unreadable
    """
    missed = missing if missing is not None else -2.0 if compat == "seed" else unreadable
    scale = Scale(exact, stripped, near, close, far, unreadable)
    texts = list(zip(map(text_of, completions), answer, strict=True))
    if compat == "seed":
        return [seed_answer(text, truth, tags, scale, missed) for text, truth in texts]
    return [sound_answer(text, truth, tags, scale, missed, untagged) for text, truth in texts]


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

    missing: no answer behind the reasoning, or no single number in it; without tags: missing
    seed: the first number anywhere, so that it may stand in the reasoning; one that cannot be read, such as a lone dot,
    gets 0
    """
    rule = seed_number if compat == "seed" else sound_number
    pairs = zip(map(text_of, completions), answer, strict=True)
    return [rule(text, truth, tags, right, wrong, missing) for text, truth in pairs]


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
    detector: str = "langid",
    **columns: Any,
) -> list[float]:
    """`right` when nearly all of a completion is in the `wanted` language, `other` when not; in [unknown, right].

    All is looked at in pieces of a sentence or two, what stands behind the reasoning too: it would be moved there.
    Mathematics aside, but words between maths marks count. The detector (langid; or py3langid, better at Malay) may
    choose among these languages only.
    unknown: fewer than `letters` letters of reasoning, or a text that repeats itself (languages.language_of);
    without tags: unknown
    seed: langid's guess for the whole text, whatever it is
    """
    scores = []
    for text in map(text_of, completions):
        if compat == "seed":
            guess = classify(text) if text else None
        else:
            split = parts(text, tags)
            enough = split is not None and count(prose(split[0])) >= letters
            guess = language_of("\n".join(split or ()), wanted, tuple(among), letters, detector) if enough else None
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

    unreadable: no JSON object with the wanted key; it is looked for behind the last end tag
    without tags: in the whole text
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
