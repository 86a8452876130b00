"""Prompt and rewards of grpo_quickstart."""

import re

WORDS = ("positive", "negative")


def review(row, instruction):
    """A review -> (a chat that asks for its verdict, the verdict)."""
    return [{"role": "user", "content": f"{instruction}\n\nReview: {row['review']}"}], row["verdict"]


def one_word(completions, **columns):
    """1.0 for nothing but one of the two words, 0.3 for both or one of them among others, else 0."""
    scores = []
    for chat in completions:
        text = chat[0]["content"].strip().lower()
        found = [word for word in WORDS if word in text]
        scores.append(1.0 if re.fullmatch(r"(positive|negative)\.?", text) else 0.3 * bool(found))
    return scores


def right(completions, answer, **columns):
    """1.0 when the only verdict in the completion is the right one, else 0."""
    return [float([word for word in WORDS if word in chat[0]["content"].lower()] == [truth])
            for chat, truth in zip(completions, answer, strict=True)]
