"""Scores of answers: KorQuAD's official exact match and character F1, and `contains`."""

import string
from collections import Counter
from typing import Any

from hft.evaluate import intervals
from hft.evaluate.intervals import Interval

# “ ” 「 」 『 』 · are kept, as the official scorer does.
QUOTES = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """KorQuAD's normal form: quotes to spaces, lower case, no ASCII punctuation, single spaces."""
    return " ".join(text.translate(QUOTES).lower().translate(PUNCTUATION).split())


def exact_match(answer: str, truth: str) -> float:
    """1.0 when both have the same normal form, else 0.0."""
    return float(normalize(answer) == normalize(truth))


def f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall over the bags of characters, spaces left out; in [0, 1]."""
    given, true = (Counter(normalize(text).replace(" ", "")) for text in (answer, truth))
    common = sum((given & true).values())
    if common == 0:
        return 0.0
    precision, recall = common / given.total(), common / true.total()
    return 2 * precision * recall / (precision + recall)


def contains(answer: str, truth: str) -> float:
    """1.0 when the truth stands anywhere in the answer: the tutorials' check, which a copy of the passage passes."""
    return float(truth.strip() in answer)


SCORES = {"exact_match": exact_match, "f1": f1, "contains": contains}


def score(answer: str | None, truths: list[str]) -> dict[str, float]:
    """Every score of one answer, the best over its truths; a missing answer scores 0."""
    if answer is None:
        return dict.fromkeys(SCORES, 0.0)
    return {name: max(rule(answer, truth) for truth in truths) for name, rule in SCORES.items()}


def summarize(scores: list[dict[str, Any]]) -> dict[str, Interval]:
    """`{score: interval}`, each times 100: shares of the questions; of F1, which may lie between 0 and 1, a mean."""
    values = {name: [score[name] for score in scores] for name in SCORES}
    return {
        name: intervals.mean(given, 100.0, within=(0.0, 1.0)) if name == "f1" else intervals.share(given)
        for name, given in values.items()
    }


def official(scores: list[dict[str, Any]]) -> dict[str, float]:
    """The two numbers of KorQuAD's evaluator, digit by digit: added up one after the other, then times 100."""
    totals = {"exact_match": 0.0, "f1": 0.0}
    for score in scores:
        for name in totals:
            totals[name] += score[name]
    return {name: 100.0 * total / len(scores) for name, total in totals.items()}
