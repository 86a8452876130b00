"""The dry draw: some groups of completions before method grpo makes its first step, to see whether rewards differ."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hft.data import order
from hft.data.rows import Sample
from hft.evaluate import grader, reasoning
from hft.model.generate import Sampling, stop_ids
from hft.recipe.schema import Recipe
from hft.train import flat
from hft.train.methods import grpo

# Groups. Half of a good recipe's may be flat, and 7 of 8 are so by chance in one draw of 28: then it draws more.
FEW, MANY = 8, 24
SAME = 1e-6  # sums that are no further apart are equal


def wanted(run: Path, recipe: Recipe) -> bool:
    """True where a run learns by reward and has not drawn yet."""
    return bool(recipe.grpo) and not flat.kept(run)


def draw(run: Path, opened: Any) -> None:
    """Draw the first groups of the training, keep them in draw.json, and raise HftError where too many are flat.

    opened: a train.session.Opened. Training draws anew, from random numbers of its own.
    """
    recipe = opened.loaded.recipe
    chosen = [opened.prepared.train[i] for i in order.order(recipe, len(opened.prepared.train))]
    limit, records = recipe.grpo.max_flat, drawn(opened, chosen[:FEW], 0)
    if flat_groups(records) > limit * FEW and chosen[FEW:]:
        records += drawn(opened, chosen[FEW:MANY], FEW)
    sums = group_sums(records)
    means = [mean(each) for each in sums]
    flat.keep(
        run,
        {
            "limit": limit,
            "completions": records,
            "groups": len(sums),
            "flat": flat_groups(records),
            "names": list(records[0]["rewards"]),
            "tags": list(reasoning.tags(recipe, opened.tokenizer)),
            "groups_a_step": order.rows_per_step(recipe),
            # a mean reward above this is no chance: two standard errors over the mean
            "risen_above": mean(means) + 2 * (stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0),
        },
    )
    flat.check(run, opened.loaded)


def group_sums(records: list[dict[str, Any]]) -> list[list[float]]:
    """The weighted sums of each group."""
    sums: dict[int, list[float]] = {}
    for record in records:
        sums.setdefault(record["group"], []).append(record["sum"])
    return list(sums.values())


def flat_groups(records: list[dict[str, Any]]) -> int:
    """How many groups have the same sum for all of their completions."""
    return sum(max(sums) - min(sums) <= SAME for sums in group_sums(records))


def drawn(opened: Any, samples: list[Sample], first: int) -> list[dict[str, Any]]:
    """One record a completion of each sample's group, as flat.py describes them; `first` numbers the first group."""
    recipe, told = opened.loaded.recipe, opened.loaded.recipe.grpo
    repeated = [sample for sample in samples for _ in range(told.generations)]
    seed = recipe.train.seed + first * told.generations
    how = Sampling(told.temperature, told.top_p, seed, told.top_k, told.min_p)
    with ending_at(opened.model, opened.tokenizer, told.stop):
        texts = opened.backend.generate(
            opened.model,
            opened.tokenizer,
            [sample.tokens.prompt_ids for sample in repeated],
            told.completion_tokens,
            opened.plan,
            "drawing before training (completions)",
            how,
        )
    scores = grader.judged(opened.loaded, repeated, texts, opened.tokenizer) or []
    return [
        {
            "group": first + number // told.generations,
            "prompt": repeated[number].prompt,
            "completion": text,
            "rewards": given,
            "sum": total,
            # its tokens, read again, may be one or two fewer than were written
            "cut": len(opened.tokenizer(text, add_special_tokens=False)["input_ids"]) >= told.completion_tokens - 2,
        }
        for number, (text, (total, given)) in enumerate(zip(texts, scores, strict=True))
    ]


@contextmanager
def ending_at(model: Any, tokenizer: Any, stop: list[str]) -> Iterator[None]:
    """Let the model's completions end at the recipe's stop tokens too, until the block ends."""
    if not stop:
        yield
        return
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [*stop_ids(model, tokenizer), *grpo.stop_tokens(tokenizer, stop)]
    try:
        yield
    finally:
        model.generation_config.eos_token_id = before
