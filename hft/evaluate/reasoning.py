"""What an answer that reasons consists of: tags, the reasoning between them, the answer behind, number, language."""

import copy
import functools
import math
import re
from typing import Any, NamedTuple

from hft.recipe.schema import Recipe

NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?\.?\d*"  # 1,234.5 is one number; a lone dot or sign is none
MATHS = re.compile(
    r"\$\$.*?\$\$|\$[^$\n]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\[A-Za-z]+|[\d=+*/^<>|{}\[\]()_.,:;%#-]+", re.DOTALL
)
EOS_TEXT = re.compile(r"<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</s>")  # end tokens that a tokenizer writes as text


class Tags(NamedTuple):
    """What surrounds the reasoning."""

    start: str = "<think>"
    end: str = "</think>"
    opened: bool = False  # True when the chat template has written the first one into the prompt already


def tags(recipe: Recipe, tokenizer: Any = None) -> Tags:
    """What surrounds the reasoning of a recipe's answers.

    The recipe's tags, else the think tokens of the tokenizer's added vocabulary, else <think>; `opened` where the chat
    template itself writes the start tag at the end of a prompt.
    """
    if recipe.prompt.tags:
        start, end = recipe.prompt.tags
    else:
        added = sorted(tokenizer.get_added_vocab()) if tokenizer is not None else []
        thinking = [token for token in added if "think" in token]
        start = next((token for token in thinking if "/" not in token), Tags().start)
        end = next((token for token in thinking if "/" in token), Tags().end)
    prompt = ""
    if tokenizer is not None and tokenizer.chat_template:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True
        )
    return Tags(start, end, opened=prompt.rstrip().endswith(start))


def parts(text: str | None, tags: Tags) -> tuple[str, str] | None:
    """(reasoning, answer) of a completion with one pair of tags in the right order and text in both; else None."""
    if text is None or text.count(tags.end) != 1:
        return None
    before, _, answer = text.partition(tags.end)
    starts = before.count(tags.start)
    if tags.start in answer or starts > 1 or (starts == 0 and not tags.opened):
        return None
    reasoning, answer = before.partition(tags.start)[2] if starts else before, EOS_TEXT.sub("", answer).strip()
    return (reasoning.strip(), answer) if reasoning.strip() and answer else None


def measured(
    text: str, truths: list[str], tags: Tags, language: str | None, among: tuple[str, ...]
) -> dict[str, float]:
    """`{right, format, language}` of one answer, each 0 or 1; `language` only where one is wanted.

    right: what stands behind the last end tag (the whole text where there is none) is the truth or says its number
    format: one pair of tags with text in it and behind it
    language: the reasoning between the tags is in the wanted one
    """
    split = parts(text, tags)
    given = EOS_TEXT.sub("", text.rpartition(tags.end)[2])
    number = the_number(given)
    wanted = [truth.rpartition(tags.end)[2] for truth in truths]  # a row's own answer may reason too
    right = any(same(given, truth) or (number is not None and number == true_number(truth)) for truth in wanted)
    measures = {"right": float(right), "format": float(split is not None)}
    if language:
        measures["language"] = float(split is not None and language_of(split[0], (language, *among)) == language)
    return measures


def language_of(reasoning: str, among: tuple[str, ...], letters: int = 20) -> str | None:
    """Which of these languages it is, mathematics aside; None with fewer than `letters` letters."""
    words = MATHS.sub(" ", reasoning)
    return classify(words, among) if sum(map(str.isalpha, words)) >= letters else None


def the_number(text: str) -> float | None:
    """The finite number that a text says; None for none or several.

    Of a text with \\boxed{} it is what the last one holds, else the only number in it.
    """
    boxed = re.findall(r"\\boxed\{([^{}]*)\}", text)
    numbers = {
        number
        for word in re.findall(NUMBER, (boxed[-1] if boxed else text).replace("−", "-"))
        if (number := read(word)) is not None
    }
    return numbers.pop() if len(numbers) == 1 else None


def true_number(truth: str) -> float | None:
    """The number that a truth is; None for one with words in it, where a number alone decides nothing."""
    return None if any(map(str.isalpha, re.sub(r"\\[A-Za-z]+", "", truth))) else the_number(truth)


def read(word: str) -> float | None:
    """A number with or without thousands commas; None for anything else, and for what is not finite."""
    try:
        number = float(word.replace(",", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def same(guess: str, truth: str) -> bool:
    """Equal texts, white space around them aside."""
    return guess.strip() == truth.strip()


def classify(text: str, among: tuple[str, ...] | None = None) -> str:
    """langid's guess of the language, among these only where they are given."""
    return identifier(among or None).classify(text)[0]


@functools.cache
def identifier(among: tuple[str, ...] | None) -> Any:
    """langid's model, restricted to some languages; loaded once (about 2 s), whatever languages are asked for."""
    from langid.langid import LanguageIdentifier, model

    if among is None:
        return LanguageIdentifier.from_modelstring(model, norm_probs=False)
    restricted = copy.copy(identifier(None))
    restricted.set_languages(list(among))
    return restricted
