"""Rows ready to train on: filtered by length, sampled, split, compared. Nothing is dropped without being counted."""

import random
from typing import NamedTuple

from hft.data import order
from hft.data import tokens as tokenised
from hft.data.overlap import Overlap, measure, texts
from hft.data.rows import Read, Sample, describe, sample
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe


class Prepared(NamedTuple):
    train: list[Sample]
    evaluate: list[Sample]
    counts: dict[str, dict[str, int]]  # per side: rows read, dropped by each filter, kept
    overlap: Overlap


def prepare(loaded: Loaded, given: Read, tokenizer=None) -> Prepared:
    """Filter, sample, split and compare; without a tokenizer the length filter is left out.

    Raises HftError when nothing is left, or when held-out rows are also trained on and the recipe does not say so.
    """
    recipe, counts = loaded.recipe, {side: dict(count) for side, count in given.counts.items()}
    wanted, seed, limit = recipe.data, recipe.train.seed, recipe.model.max_tokens
    train, evaluate = given.train, given.evaluate
    if tokenizer is not None:
        train = short_enough(train, recipe, tokenizer, counts["train"], "train")
        evaluate = short_enough(evaluate, recipe, tokenizer, counts.get("evaluate"), "held-out")
        if recipe.grpo and recipe.grpo.prompt_quantile:
            train = short_prompts(train, recipe.grpo.prompt_quantile, counts["train"])
    train = sample(train, wanted.train.sample, seed, counts["train"])
    if wanted.held_out:
        train, evaluate = split(train, wanted.held_out, wanted.train.group, seed)
        counts["train"]["held out"] = -len(evaluate)
        counts["evaluate"] = {"held out": len(evaluate)}
    elif wanted.evaluate:
        evaluate = sample(evaluate, wanted.evaluate.sample, seed, counts["evaluate"])
    evaluate = sample(evaluate, recipe.evaluate.rows, seed, counts.get("evaluate"))
    for side, kept in (("train", train), ("evaluate", evaluate)):
        if side in counts:
            counts[side]["kept"] = len(kept)
            if not kept:
                raise HftError(
                    f"no {side} row is left: {describe(counts[side])}",
                    f"look at the filters (model.max_tokens = {limit}, first, sample): hft prepare {loaded.name}",
                )
    overlap = measure([compared(s) for s in train], [compared(s) for s in evaluate])
    if overlap.leaks and not wanted.memorise:
        raise HftError(
            f"{loaded.name}: held-out rows are also trained on: {overlap.describe()}",
            "choose other rows, split by a column (data.held_out, data.train.group), or say you mean it: data.memorise: true",
        )
    return Prepared(train, evaluate, counts, overlap)


def compared(one: Sample) -> dict:
    """What is looked at for overlap: the row, or its prompt where a recipe's own format reads other columns."""
    return one.row if any(texts(one.row)) else {"question": str(one.prompt), "compare_whole": True}


def short_enough(samples: list[Sample], recipe: Recipe, tokenizer, count: dict, side: str) -> list[Sample]:
    """Tokenise; drop and count what is longer than `model.max_tokens`: cutting would remove the answer."""
    kept, limit = [], recipe.model.max_tokens
    encoded = tokenised.encode_all([(one.prompt, one.answers[0]) for one in samples], tokenizer, side)
    for one, tokens in zip(samples, encoded, strict=True):
        if len(tokens.prompt_ids) + order.room(recipe, tokens.completion_ids) > limit:
            count["too long"] = count.get("too long", 0) - 1
        else:
            kept.append(one._replace(tokens=tokens))
    return kept


def short_prompts(samples: list[Sample], quantile: float, count: dict) -> list[Sample]:
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

    def group_of(one: Sample) -> str:
        if group and group not in one.row:
            raise HftError(
                f"row {one.id} has no column '{group}' to split by; it has: {', '.join(one.row)}",
                "mend data.train.group",
            )
        return str(one.row[group]) if group else one.id

    if len(samples) < 2:
        return samples, []
    groups = sorted({group_of(one) for one in samples})
    random.Random(seed).shuffle(groups)
    sizes = {}
    for one in samples:
        sizes[group_of(one)] = sizes.get(group_of(one), 0) + 1
    held, rows = set(), 0
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
