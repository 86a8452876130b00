"""Whether a model writes its thoughts in front of an answer, and what stands behind them."""

from typing import Any

from hft.evaluate.reasoning import Tags, answer_of


def written(tokenizer: Any, tags: Tags) -> bool:
    """Whether the tokenizer or its chat template knows these tags: then an answer may begin with thoughts."""
    return tags.end in tokenizer.get_added_vocab() or tags.end in str(tokenizer.chat_template or "")


def behind(text: str, tags: Tags) -> str:
    """What stands behind the last end tag; nothing where the reasoning has begun and does not end.

    tags.opened: the prompt has written the start tag
    """
    unfinished = tags.end not in text and (tags.opened or tags.start in text)
    return "" if unfinished else answer_of(text, tags)
