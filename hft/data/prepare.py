"""Rows ready to train on: filtered by length, sampled, split, compared. Nothing is dropped without being counted."""

import random
from collections import Counter
from typing import Any, NamedTuple

from hft.data import fitting, order
from hft.data.overlap import Overlap, measure, texts
from hft.data.rows import Counts, Read, Sample, describe, sample
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe


class Also(NamedTuple):
    """The held-out questions of another recipe that a recipe asks too, in that one's form."""

    loaded: Loaded  # that recipe
    samples: list[Sample]
    overlap: Overlap  # with what is trained on


class Prepared(NamedTuple):
    """Both sides of a recipe's rows."""

    train: list[Sample]
    evaluate: list[Sample]
    counts: dict[str, Counts]  # of each side, and of each part of a mixture
    overlap: Overlap
    baseline: list[Sample] = []  # noqa: RUF012  the rows of `evaluate` as the base is asked fairly; none: it is not
    also: dict[str, Also] = {}  # noqa: RUF012  by the names of `evaluate.also`; a tuple's default is never written to


def prepare(loaded: Loaded, given: Read, tokenizer: Any = None) -> Prepared:
    """Filter, sample, split and compare; without a tokenizer the length filter is left out.

    Raises HftError when nothing is left, or when held-out rows are also trained on and the recipe does not say so.
    """
    wanted, counts = loaded.recipe.data, {side: dict(count) for side, count in given.counts.items()}
    train, evaluate = filtered(loaded, given, tokenizer, counts)
    for side, kept in (("train", train), ("evaluate", evaluate)):
        if side in counts:
            counts[side]["kept"] = len(kept)
            if not kept:
                limit = loaded.recipe.model.max_tokens
                raise HftError(
                    f"no {side} row is left: {describe(counts[side])}",
                    f"look at the filters (model.max_tokens = {limit}, first, sample): hft prepare {loaded.name}",
                )
    overlap = measure([compared(s) for s in train], [compared(s) for s in evaluate])
    if overlap.leaks and not wanted.memorise:
        raise HftError(
            f"{loaded.name}: held-out rows are also trained on: {overlap.describe()}",
            "choose other rows, split by a column (data.held_out, data.train.group), "
            "or say you mean it: data.memorise: true",
        )
    return Prepared(train, evaluate, counts, overlap)


def filtered(
    loaded: Loaded, given: Read, tokenizer: Any, counts: dict[str, Counts]
) -> tuple[list[Sample], list[Sample]]:
    """(train, held out): split and sampled, training rows filtered by length; each in `counts`.

    Of the rows that are asked none is dropped: what is too long is asked with less of its passage.
    """
    recipe = loaded.recipe
    wanted, seed = recipe.data, recipe.train.seed
    train, asked = sides(loaded, given, counts)
    if tokenizer is not None:
        train = short_enough(train, recipe, tokenizer, counts["train"])
        asked = fitting.questions(asked, loaded, tokenizer)
        if recipe.grpo and recipe.grpo.prompt_quantile:
            train = short_prompts(train, recipe.grpo.prompt_quantile, counts["train"])
    if not wanted.held_out:
        train = sample(train, wanted.train.sample, seed, counts["train"])
    return train, asked


def sides(loaded: Loaded, given: Read, counts: dict[str, Counts]) -> tuple[list[Sample], list[Sample]]:
    """(train, held out): split, and what is asked sampled; no tokenizer has a say in which rows are asked."""
    recipe, (train, evaluate, _) = loaded.recipe, given
    wanted, seed = recipe.data, recipe.train.seed
    if wanted.held_out:
        train = sample(train, wanted.train.sample, seed, counts["train"])
        train, evaluate = split(train, wanted.held_out, wanted.train.group, seed)
        counts["train"]["held out"] = -len(evaluate)
        counts["evaluate"] = {"held out": len(evaluate)}
    elif wanted.evaluate:
        evaluate = sample(evaluate, wanted.evaluate.sample, seed, counts["evaluate"])
    return train, sample(evaluate, recipe.evaluate.rows, seed, counts.get("evaluate", {}))


def compared(item: Sample) -> dict:
    """What is looked at for overlap: the row, or its prompt where a recipe's own format reads other columns."""
    row = item.row if any(texts(item.row)) else {"question": str(item.prompt), "compare_whole": True}
    return {**row, "id": item.id}


def short_enough(samples: list[Sample], recipe: Recipe, tokenizer: Any, count: Counts) -> list[Sample]:
    """Tokenise; drop and count what is longer than `model.max_tokens`: cutting would remove the answer."""
    kept, limit = [], recipe.model.max_tokens
    encoded = fitting.tokenised(samples, recipe, tokenizer, "train")
    for item, text in zip(samples, encoded, strict=True):
        if len(text.prompt_ids) + order.room(recipe, text.completion_ids) > limit:
            count["too long"] = count.get("too long", 0) - 1
        else:
            kept.append(item._replace(encoded=text))
    return kept


def short_prompts(samples: list[Sample], quantile: float, count: Counts) -> list[Sample]:
    """Drop and count prompts with more tokens than this quantile of all, rounded down, as the GRPO guides do."""
    import numpy

    lengths = [len(one.tokens.prompt_ids) for one in samples]
    limit = int(numpy.quantile(lengths, quantile)) if samples else 0
    kept = [one for one, length in zip(samples, lengths, strict=True) if length <= limit]
    if len(kept) < len(samples):
        count[f"prompt over {limit} tokens"] = len(kept) - len(samples)
    return kept


def split(samples: list[Sample], share: float, group: str | None, seed: int) -> tuple[list[Sample], list[Sample]]:
    """A seeded split into (train, held out) by whole groups; without a group column each row is its own group.

    Groups are shuffled and held out until `share` of the rows is reached. Raises HftError when one side stays empty.
    """

    def group_of(item: Sample) -> str:
        if group and group not in item.row:
            raise HftError(
                f"row {item.id} has no column '{group}' to split by; it has: {', '.join(item.row)}",
                "mend data.train.group",
            )
        return str(item.row[group]) if group else item.id

    if len(samples) < 2:
        return samples, []
    sizes = Counter(map(group_of, samples))
    groups = sorted(sizes)
    random.Random(seed).shuffle(groups)
    held: set[str] = set()
    rows = 0
    for name in groups:
        if rows >= share * len(samples):
            break
        if rows + sizes[name] < len(samples):  # a group that would take all that is left to train on is passed over
            held.add(name)
            rows += sizes[name]
    if not held:
        raise HftError(
            f"{len(groups)} group(s) of '{group}' cannot be split: nothing would be left to train on",
            "choose another data.train.group",
        )
    return [s for s in samples if group_of(s) not in held], [s for s in samples if group_of(s) in held]
