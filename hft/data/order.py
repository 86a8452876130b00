"""Which row stands where in training, and for how many steps: it depends on the recipe alone, never on a plan."""

import math
import random
from typing import Any

from hft.recipe.schema import Recipe


def rows_per_step(recipe: Recipe) -> int:
    """Rows of an optimizer step; for reinforcement learning its prompts, where batch_size counts completions."""
    return recipe.train.batch_size // (recipe.grpo.generations if recipe.grpo else 1)


def steps(recipe: Recipe, rows: int) -> int:
    """Optimizer steps of a run over this many training rows."""
    if recipe.train.steps:
        return recipe.train.steps
    assert recipe.train.epochs, "the schema has one of steps and epochs"
    return math.ceil(recipe.train.epochs * rows / rows_per_step(recipe))


def order(recipe: Recipe, rows: int) -> list[int]:
    """Which row stands where, `steps x rows per step` places: pass after pass, each shuffled by the recipe's seed.

    A plan only cuts each step into micro-batches.
    """
    places = steps(recipe, rows) * rows_per_step(recipe)
    shuffle = random.Random(recipe.train.seed)
    chosen: list[int] = []
    while len(chosen) < places:
        once = list(range(rows))
        shuffle.shuffle(once)
        chosen += once
    return chosen[:places]


def lengths(recipe: Recipe, samples: list[Any]) -> list[int] | None:
    """Tokens of each tokenised sample, in the order of training; None before completions are written (grpo)."""
    if recipe.grpo:
        return None
    sizes = [sample.tokens.length for sample in samples]
    return [sizes[place] for place in order(recipe, len(samples))]


def room(recipe: Recipe, completion_ids: list[int]) -> int:
    """Tokens that a row needs beside its prompt: its answer's, or those that a completion may have."""
    return recipe.grpo.completion_tokens if recipe.grpo else len(completion_ids)
