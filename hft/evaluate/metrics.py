"""Scores of answers: KorQuAD's official exact match and character F1, `contains`, and bootstrap intervals."""

import string
from collections import Counter

QUOTES = str.maketrans(
    dict.fromkeys("'\"《》<>〈〉()‘’", " ")
)  # “ ” 「 」 『 』 · are kept, as the official scorer does
PUNCTUATION = str.maketrans("", "", string.punctuation)
RESAMPLES = 2000


def normalize(text: str) -> str:
    """KorQuAD's normal form: quotes to spaces, lower case, no ASCII punctuation, single spaces."""
    return " ".join(text.translate(QUOTES).lower().translate(PUNCTUATION).split())


def exact_match(answer: str, truth: str) -> float:
    """1.0 when both have the same normal form, else 0.0."""
    return float(normalize(answer) == normalize(truth))


def f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall over the bags of characters, spaces left out; in [0, 1]."""
    said, true = (Counter(normalize(text).replace(" ", "")) for text in (answer, truth))
    common = sum((said & true).values())
    if common == 0:
        return 0.0
    precision, recall = common / said.total(), common / true.total()
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


def summarize(scores: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """`{score: {mean, low, high}}`, each times 100, with bootstrapped 95 % intervals."""
    return {name: interval([100 * one[name] for one in scores]) for name in SCORES}


def interval(values: list[float]) -> dict[str, float]:
    """Mean, and the bootstrap's 95 % interval of it (percentile, seed 0)."""
    import numpy

    kept = numpy.array(values)
    draws = numpy.random.default_rng(0).integers(0, len(kept), size=(RESAMPLES, len(kept)))
    low, high = numpy.percentile(kept[draws].mean(axis=1), [2.5, 97.5])
    return {part: round(float(value), 2) for part, value in (("mean", kept.mean()), ("low", low), ("high", high))}
