"""Whether a model writes its thoughts in front of an answer, and what stands behind them."""

from typing import Any

from hft.evaluate.reasoning import EOS_TEXT, Tags


def written(tokenizer: Any, tags: Tags) -> bool:
    """Whether the tokenizer or its chat template knows these tags: then an answer may begin with thoughts."""
    return tags.end in tokenizer.get_added_vocab() or tags.end in str(tokenizer.chat_template or "")


def behind(text: str, tags: Tags) -> str:
    """What stands behind the last end tag; nothing where the reasoning has begun and does not end.

    tags.opened: the prompt has written the start tag
    """
    _, ended, answer = text.rpartition(tags.end)
    if not ended and (tags.opened or tags.start in text):
        return ""
    return EOS_TEXT.sub("", answer).strip()
