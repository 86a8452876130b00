"""How much of the held-out rows stands in the training rows: the same row, passage or question, and near copies.

Texts are compared as they read: after NFKC, in one case, without white space and characters of no width. So neither a
typist's spaces nor a language without any (Chinese, Japanese, Korean compounds) hides a copy.
"""

import re
import unicodedata
from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from hft.data.messages import words

GRAM = 24  # characters: about 8 Korean or 5 English words; on GSM8K it is as strict as 8 words are
# A held-out row with at least this share of its grams in the training rows is a near copy, such as a passage with one
# word changed. Rows made from one pattern (another name, the same question) share up to three quarters.
SUSPECT = 0.8
FEW = 0.05  # so many near copies are borne: what a score could gain by them is less than its interval
PASSAGE = 40  # characters: a shorter context, such as `<noinput>`, may stand beside any question and gives nothing away
WORST = 3  # pairs that are shown
SHOWN = 60  # characters of each of their rows

UNSEEN = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]+")


class Pair(NamedTuple):
    """A held-out row and the training row nearest to it."""

    held_out: str  # its id
    train: str
    share: float  # of the held-out row's grams that this training row has
    texts: list[str]  # how the two begin


class Overlap(NamedTuple):
    """Counts of held-out rows, out of `rows`; `ngrams` is the mean share of their grams that training rows have."""

    rows: int
    same_row: int
    same_context: int
    same_question: int
    suspect: int
    ngrams: float
    worst: list[Pair] = []  # noqa: RUF012  a tuple's default is never written to

    @property
    def leaks(self) -> bool:
        """Whether the held-out rows say little about new ones."""
        return bool(self.same_row or self.same_context or self.suspect > FEW * self.rows)

    def describe(self) -> str:
        """The counts in a sentence, and the worst pairs in a line each."""
        counts = (
            f"of {self.rows} held-out rows {self.same_row} are training rows, "
            f"{self.same_context} have a trained context, "
            f"{self.suspect} have {SUSPECT:.0%} or more of their {GRAM}-character pieces in training rows "
            f"(mean {self.ngrams:.0%}); {self.same_question} repeat a question's wording"
        )
        pairs = [
            f"  held-out row {pair.held_out} has {pair.share:.1%} of its pieces in training row {pair.train}:\n"
            + "\n".join(f"    {text}" for text in pair.texts)
            for pair in self.worst
        ]
        return "\n".join([counts, *pairs])

    def facts(self) -> dict[str, Any]:
        """The counts, and which rows are nearest to which: not their texts, which may not be for everyone's eyes."""
        worst = [{"held_out": pair.held_out, "train": pair.train, "share": pair.share} for pair in self.worst]
        return {**self._asdict(), "worst": worst}


def texts(row: dict) -> tuple[str, str]:
    """(context, question) of a row, as they are compared; what is absent is empty."""
    context, asked = said(row)
    return plain(context), plain(asked)


def said(row: dict) -> tuple[str, str]:
    """(context, question) of a row as they are written; a conversation is what comes before its answer."""
    turns = row.get("messages")
    if turns and isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
        return "", "\n".join(words(turn.get("content")) for turn in turns[:-1] if turn.get("role") != "system")
    context = row.get("context") or row.get("input") or ""
    asked = row.get("question") or row.get("Question") or row.get("instruction") or ""
    return str(context), str(asked)


def plain(text: str) -> str:
    """What a reader sees of a text, in small letters and without white space."""
    return UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())


def compared(context: str, asked: str, known: Container[str] = ()) -> str:
    """What near copies are looked for in: the passage, or all of a row without one.

    Of a question that is `known` only the context counts, however short: it is an instruction that many rows share.
    """
    return context if len(context) >= PASSAGE or (context and asked in known) else context + asked


def grams(text: str) -> set[str]:
    """The text's pieces of GRAM characters; a shorter text has none: it is compared as a whole."""
    return {text[start : start + GRAM] for start in range(len(text) - GRAM + 1)}


def measure(train: list[dict], evaluate: list[dict]) -> Overlap:
    """Compare two lists of rows by their contexts and questions; a row's `id` names it, else its place from 1."""
    known, held = [texts(row) for row in train], [texts(row) for row in evaluate]
    rows, questions = first(known), first(asked for _, asked in known)
    passages = first(context if len(context) >= PASSAGE else "" for context, _ in known)
    bodies = [compared(*pair, questions) for pair in held]
    whole = {body for row, body in zip(evaluate, bodies, strict=True) if row.get("compare_whole")}
    trained = first(compared(*pair) for pair in known)
    shares = dict.fromkeys(whole, 0.0) | shared(set(bodies) - whole, trained)
    copies = [rows.get(pair, passages.get(pair[0])) for pair in held]
    return Overlap(
        len(evaluate),
        sum(pair in rows for pair in held),
        sum(context in passages for context, _ in held),
        sum(asked in questions for _, asked in held),
        sum(shares[body] >= SUSPECT for body in bodies),
        sum(shares[body] for body in bodies) / len(bodies) if bodies else 0.0,
        [
            Pair(name(evaluate[one], one), name(train[other], other), share, beginnings(evaluate[one], train[other]))
            for one, other, share in worst(bodies, copies, shares, trained)
        ],
    )


def worst(
    bodies: list[str], copies: list[int | None], shares: dict[str, float], trained: dict[str, int]
) -> list[tuple[int, int, float]]:
    """(place of a held-out row, of the training row nearest to it, share) of the closest, each text once."""
    close = [1.0 if copy is not None else shares[body] for copy, body in zip(copies, bodies, strict=True)]
    once = {body: place for place, body in reversed([*enumerate(bodies)]) if close[place] >= SUSPECT}
    chosen = sorted(once.values(), key=lambda place: (-close[place], place))[:WORST]
    near = nearest([bodies[place] for place in chosen if copies[place] is None], trained)
    pairs = []
    for place in chosen:
        copy = copies[place]
        share, other = near[bodies[place]] if copy is None else (1.0, copy)
        pairs.append((place, other, share))
    return pairs


def first(items: Iterable[Any]) -> dict[Any, int]:
    """The place of each item's first occurrence; blank ones are left out."""
    places: dict[Any, int] = {}
    for place, item in enumerate(items):
        if item and item != ("", ""):
            places.setdefault(item, place)
    return places


def shared(asked: Iterable[str], trained: Iterable[str]) -> dict[str, float]:
    """The share of each held-out text's grams that stand anywhere in the trained ones; 0 for a text without any."""
    own = {text: grams(text) for text in asked}
    wanted: set[str] = set().union(*own.values())
    seen: set[str] = set()
    for text in trained if wanted else ():
        seen |= wanted & grams(text)
    return {text: len(pieces & seen) / len(pieces) if pieces else 0.0 for text, pieces in own.items()}


def nearest(asked: list[str], trained: dict[str, int]) -> dict[str, tuple[float, int]]:
    """(share of its grams, place) of the one trained text that has most of each of these."""
    best = dict.fromkeys(asked, (0.0, 0))
    own = {text: grams(text) for text in asked}
    for text, place in trained.items() if asked else ():
        pieces = grams(text)
        for wanted, parts in own.items():
            best[wanted] = max(best[wanted], (len(parts & pieces) / len(parts), -place))
    return {text: (share, -place) for text, (share, place) in best.items()}


def name(row: dict, place: int) -> str:
    """What a row is called."""
    return str(place + 1 if row.get("id") is None else row["id"])


def beginnings(*rows: dict) -> list[str]:
    """How each row begins, on one line."""
    whole = [" ".join(" ".join(said(row)).split()) for row in rows]
    return [text if len(text) <= SHOWN else f"{text[:SHOWN]}..." for text in whole]
