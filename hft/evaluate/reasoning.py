"""What an answer that reasons consists of: tags, the reasoning between them, the answer behind; how it is measured."""

from typing import Any, NamedTuple

from hft.evaluate.answers import EOS_TEXT, right
from hft.evaluate.languages import language_of
from hft.recipe.schema import Recipe


class Tags(NamedTuple):
    """What surrounds the reasoning, and the language that numbers are written in."""

    start: str = "<think>"
    end: str = "</think>"
    opened: bool = False  # True when the chat template has written the first one into the prompt already
    language: str | None = None  # such as id, which writes 1.234,5; None for 1,234.5


def tags(recipe: Recipe, tokenizer: Any = None) -> Tags:
    """What surrounds the reasoning of a recipe's answers.

    The recipe's tags, else the think tokens of the tokenizer's added vocabulary, else <think>; `opened` where the chat
    template itself writes the start tag at the end of a prompt. The language is evaluate.reasoning.language, else the
    `wanted` one of the recipe's `language` reward.
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
    told = recipe.evaluate.reasoning
    wanted = [reward.options["wanted"] for reward in recipe.rewards or [] if "wanted" in reward.options]
    language = (told.language if told else None) or next(map(str, wanted), None)
    return Tags(start, end, (prompt + recipe.prompt.prefill).rstrip().endswith(start), language)


def parts(text: str | None, tags: Tags) -> tuple[str, str] | None:
    """(reasoning, answer) of a completion: what stands before and behind the last end tag; None without text in both.

    What stands before the start tag is reasoning too; tags that are mentioned in the reasoning do no harm. None also
    where the start tag is missing that the prompt has not opened, and where it stands behind the last end tag.
    """
    before, ended, answer = (text or "").rpartition(tags.end)
    start = before.find(tags.start)
    thought = before[start + len(tags.start) :] if start >= 0 else before
    begun = start >= 0 or tags.opened
    answer = EOS_TEXT.sub("", answer).strip()
    if not (ended and begun and answer) or tags.start in answer or not without(thought, tags):
        return None
    return without(before, tags), answer


def without(text: str, tags: Tags) -> str:
    """A text without its tags, each of which ends a line."""
    return text.replace(tags.start, "\n").replace(tags.end, "\n").strip()


def well_formed(text: str | None, tags: Tags) -> bool:
    """True for one pair of tags in the right order, with text in it and behind it."""
    split = parts(text, tags)
    if text is None or split is None or text.count(tags.end) != 1:
        return False
    return text.count(tags.start) <= 1


def answer_of(text: str, tags: Tags) -> str:
    """What stands behind the last end tag; the whole text where there is none."""
    return EOS_TEXT.sub("", text.rpartition(tags.end)[2]).strip()


def measured(
    text: str, truths: list[str], tags: Tags, language: str | None, among: tuple[str, ...], detector: str = "langid"
) -> dict[str, float]:
    """`{right, format, language}` of one answer, each 0 or 1; `language` only where one is wanted.

    right: what stands behind the last end tag (the whole text where there is none) is the truth: answers.right
    format: one pair of tags with text in it and behind it
    language: nearly all of it is in the wanted one: languages.language_of; what stands behind the end tag too, where
    reasoning would be moved to, and with or without tags, which `format` is about
    """
    given = answer_of(text, tags)
    wanted = [answer_of(truth, tags) for truth in truths]  # a row's own answer may reason too
    measures = {
        "right": float(any(right(given, truth, tags.language) for truth in wanted)),
        "format": float(well_formed(text, tags)),
    }
    if language:
        said = without(EOS_TEXT.sub("", text), tags)
        measures["language"] = float(language_of(said, language, among, detector=detector) == language)
    return measures
