"""Questions that are too long for a model: asked with less of their passage, never left out."""

from collections.abc import Callable
from typing import Any

from hft.data import formats, tokens
from hft.data.rows import Sample
from hft.data.tokens import Tokens
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe

PASSAGE = ("context", "input")  # columns that may lose their end


def questions(samples: list[Sample], loaded: Loaded, tokenizer: Any) -> list[Sample]:
    """Tokenise the held-out rows; one whose prompt and answer have no room in `model.max_tokens` is cut to fit."""
    recipe = loaded.recipe
    encoded = tokenised(samples, recipe, tokenizer, "held-out")
    limit = recipe.model.max_tokens - recipe.evaluate.max_new_tokens
    return [
        item._replace(encoded=text) if len(text.prompt_ids) <= limit else fit(item, text, loaded, tokenizer)
        for item, text in zip(samples, encoded, strict=True)
    ]


def tokenised(samples: list[Sample], recipe: Recipe, tokenizer: Any, side: str) -> list[Tokens]:
    """Prompt and trained answer of each row as the model reads them; `side` is what the progress is called."""
    pairs, names = [(one.prompt, one.answers[0]) for one in samples], [one.id for one in samples]
    return tokens.encode_all(pairs, tokenizer, side, recipe.prompt.prefill, names)


def fit(item: Sample, whole: Tokens, loaded: Loaded, tokenizer: Any) -> Sample:
    """The sample with the end of its passage cut off; without one, as it is where the prompt alone fits.

    A prompt that fills the model by itself, and has no passage, loses its beginning.
    """
    recipe = loaded.recipe
    form = formats.form(item.format or recipe.prompt.format, loaded.code)
    instruction = item.instruction or recipe.prompt.instruction

    def asked(row: dict) -> tuple[Any, Tokens]:
        prompt, answer = form(row, instruction)
        return prompt, tokens.encode(prompt, answer, tokenizer, recipe.prompt.prefill)

    limit = recipe.model.max_tokens - recipe.evaluate.max_new_tokens
    column = next((name for name in PASSAGE if isinstance(item.row.get(name), str) and item.row[name].strip()), None)
    if column:
        passage = item.row[column]
        fits = longest(
            len(passage), lambda size: len(asked({**item.row, column: passage[:size]})[1].prompt_ids) <= limit
        )
        if fits:
            prompt, encoded = asked({**item.row, column: passage[:fits]})
            return item._replace(prompt=prompt, encoded=encoded, cut=True)
    most = recipe.model.max_tokens - 1
    if len(whole.prompt_ids) <= most:  # a shorter answer has room
        return item._replace(encoded=whole)
    return item._replace(encoded=whole._replace(prompt_ids=whole.prompt_ids[-max(limit, 1) :]), cut=True)


def longest(size: int, fits: Callable[[int], bool]) -> int:
    """The most characters, below `size`, that fit; 0 where not even one does."""
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def describe(samples: list[Sample], limit: int) -> str | None:
    """Which questions were cut, in a sentence; None for none."""
    names = [item.id for item in samples if item.cut]
    if not names:
        return None
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"Cut: {len(names)} of {len(samples)} held-out questions are too long for {limit} tokens and are asked with "
        f"less of their passage: {', '.join(names[:3])}{more}"
    )
