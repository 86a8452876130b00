"""How one completion is scored against the truth: soundly, and as the GRPO guides do (`compat: seed`)."""

import re
from typing import NamedTuple

from hft.evaluate.answers import right as is_right
from hft.evaluate.answers import the_number, true_number
from hft.evaluate.reasoning import Tags, answer_of, parts

FIRST_NUMBER = re.compile(r".*?\s*(-?[\d.,]+)", re.DOTALL)  # the guides': also "." and "," are numbers to it


class Scale(NamedTuple):
    """What an answer may earn: see `answer`."""

    exact: float
    stripped: float
    near: float
    close: float
    far: float
    unreadable: float


def sound_answer(text: str | None, truth: str, tags: Tags, scale: Scale, missed: float, untagged: float) -> float:
    """One answer as hft scores it."""
    if split := parts(text, tags):
        return compared(split[1], truth, tags.language, scale)
    given = answer_of(text or "", tags)
    if not untagged or not given:
        return missed
    score = compared(given, truth, tags.language, scale)
    return untagged * score if score > 0 else score


def compared(given: str, truth: str, language: str | None, scale: Scale) -> float:
    """What an answer earns against the truth."""
    if is_right(given, truth, language):
        return scale.exact
    number, wanted = the_number(given, language), true_number(truth, language)
    if number is None or wanted is None:
        return scale.unreadable
    apart, true = abs(number - wanted.readings[0]), abs(wanted.readings[0])
    if not 0 < 5 * apart <= true:  # the same number here is one of another unit
        return scale.far
    return scale.near if 10 * apart <= true else scale.close


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


def sound_number(text: str | None, truth: str, tags: Tags, right: float, wrong: float, missing: float) -> float:
    """One number as hft scores it."""
    split = parts(text, tags)
    if split is None or the_number(split[1], tags.language) is None:
        return missing
    known = true_number(truth, tags.language) is not None
    return right if known and is_right(split[1], truth, tags.language) else wrong


def seed_number(text: str | None, truth: str, tags: Tags, right: float, wrong: float, missing: float) -> float:
    """One number as the guides score it."""
    first = FIRST_NUMBER.search(text or "")
    if first is None:
        return missing
    try:
        return right if float(first[1].replace(",", "")) == float(truth.strip()) else wrong
    except ValueError:
        return 0.0
