"""Which language reasoning is in: mathematics aside, and piece by piece, so that no part stands for the rest."""

import copy
import functools
import re
from collections.abc import Iterator
from typing import Any

from hft.errors import HftError

DETECTORS = ("langid", "py3langid")
FORMULA = re.compile(r"\$\$(.*?)\$\$|\$([^$\n]*)\$|\\\[(.*?)\\\]|\\\((.*?)\\\)", re.DOTALL)
COMMAND = re.compile(r"\\(?:begin|end)\{\w+\*?\}|\\[A-Za-z]+|[\d=+*/^<>|{}\[\]()_%#\\$-]+")
WORD = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{3,}")
PROSE = 12  # letters of words from which on a formula is a text between maths marks
PIECE, LONG = 60, 90  # letters that are judged together: to the end of a sentence, else to the end of a word
SENTENCE = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？])|\n+")
NEARLY_ALL = 0.9  # of the letters stand in pieces in the wanted language
DOUBT = 5  # in log likelihood: an Indonesian sentence taken for Malay is off by 2, an English one by 20 or more
RUN, REPEATED = 12, 0.5  # letters in a row; below this share of different ones, a text repeats itself


def language_of(
    text: str, wanted: str, among: tuple[str, ...], letters: int = 20, detector: str = "langid"
) -> str | None:
    """`wanted` where a text is in it as a whole and nearly all of it by itself, else the likeliest of `among`.

    A piece that may as well be in another language, as Malay may in Indonesian, does not count against the whole.
    None with fewer than `letters` letters besides mathematics, and for a text that repeats itself: one of which less
    than half of all runs of 12 letters differ, such as a sentence written three times.
    """
    words = prose(text)
    if count(words) < letters or repeats(words):
        return None
    scores = {piece: dict(identifier((wanted, *among), detector).rank(piece)) for piece in pieces(words)}
    totals = {language: sum(of[language] for of in scores.values()) for language in (wanted, *among)}
    kept = sum(count(piece) for piece, of in scores.items() if max(of.values()) - of[wanted] <= DOUBT)
    if max(totals, key=totals.__getitem__) == wanted and kept >= NEARLY_ALL * sum(map(count, scores)):
        return wanted
    return max((language for language in totals if language != wanted), key=totals.__getitem__, default=None)


def prose(text: str) -> str:
    """A text without mathematics; what is written in words between maths marks stays."""

    def words(formula: re.Match) -> str:
        inside = "".join(filter(None, formula.groups()))
        return f" {inside} " if sum(map(len, WORD.findall(inside))) >= PROSE else " "

    return COMMAND.sub(" ", FORMULA.sub(words, text))


def count(text: str) -> int:
    """How many letters a text has."""
    return sum(map(str.isalpha, text))


def repeats(text: str) -> bool:
    """Whether a text says the same again and again; see `language_of`."""
    letters = "".join(filter(str.isalpha, text.lower()))
    runs = [letters[start : start + RUN] for start in range(len(letters) - RUN + 1)]
    return len(set(runs)) < REPEATED * len(runs)


def pieces(text: str) -> Iterator[str]:
    """Cut a text at the ends of sentences, or between words where a sentence is long; a short rest joins the last."""
    done: list[str] = []
    piece = ""
    for sentence in SENTENCE.split(text):
        for word in sentence.split():
            piece += f" {word}"
            if count(piece) >= LONG:
                done.append(piece)
                piece = ""
        if count(piece) >= PIECE:
            done.append(piece)
            piece = ""
    if piece and done and count(piece) < PIECE / 2:
        done[-1] += piece
    elif piece:
        done.append(piece)
    yield from done


def classify(text: str, among: tuple[str, ...] | None = None, detector: str = "langid") -> str:
    """A detector's guess of the language, among these only where they are given."""
    return identifier(among or None, detector).classify(text)[0]


@functools.cache
def identifier(among: tuple[str, ...] | None, detector: str = "langid") -> Any:
    """A detector's model, restricted to some languages; loaded once (about 2 s), whatever languages are asked for.

    Raises HftError for py3langid where it is not installed, and for languages that the model does not know.
    """
    if among is None:
        return model(detector)
    restricted = copy.copy(identifier(None, detector))
    known = set(restricted.nb_classes)
    if strange := sorted(set(among) - known):
        raise HftError(f"{detector} knows no language '{strange[0]}'", f"it knows: {', '.join(sorted(known))}")
    restricted.set_languages(list(among))
    return restricted


def model(detector: str) -> Any:
    """The detector's own model of all its languages."""
    if detector == "langid":
        from langid.langid import LanguageIdentifier, model

        return LanguageIdentifier.from_modelstring(model, norm_probs=False)
    try:
        from py3langid.langid import MODEL_FILE
        from py3langid.langid import LanguageIdentifier as Identifier
    except ImportError:
        raise HftError(
            "py3langid, which tells languages apart, is not installed",
            "pip install py3langid==0.4.0, or choose detector: langid",
        ) from None
    return Identifier.from_model_file(MODEL_FILE, norm_probs=False)
