"""How many rows a forward pass takes, and which activations it keeps: the fastest that the estimate says fits."""

from dataclasses import dataclass
from typing import NamedTuple

from hft.machine import Gpu
from hft.plan import estimate
from hft.plan.shape import Shape
from hft.recipe.schema import Recipe

SAVING = {"unsloth": ("none", "offloaded"), "plain": ("full",)}  # what a plan chooses from


@dataclass(frozen=True)
class Setting:
    """What all candidates of a plan share; the defaults are those of a plan that is left to itself on a GPU."""

    backend: str = "unsloth"
    padding_free: bool = True
    by_length: bool = True
    deterministic: bool = False
    sharded: bool = False
    processes: int = 1

    @property
    def shards(self) -> int:
        """Processes that share the weights."""
        return self.processes if self.sharded else 1


class Candidate(NamedTuple):
    """One way to carry out a step, with what the estimate says of it."""

    rows: int
    checkpointing: str
    tokens: int  # of the largest micro-batch, padding counted
    memory: dict[str, float]  # GiB by part
    correction: float  # by earlier runs, part of memory
    seconds: float | None  # per optimizer step
    fits: bool
    loading: float = 0.0  # GiB before processes share the weights

    @property
    def gib(self) -> float:
        """At the peak of training."""
        return sum(self.memory.values())

    @property
    def needs(self) -> float:
        """GiB that the card must have."""
        return max(self.gib, self.loading)


def divisors(number: int) -> list[int]:
    """The divisors of a number, the smallest first."""
    return [n for n in range(1, number + 1) if number % n == 0]


def arrange(lengths: list[int], batch: int, rows: int, padded: bool, by_length: bool) -> list[list[int]]:
    """Micro-batches of `rows` rows as places in `lengths`, in the order of training.

    The rows of a step of `batch` rows stay together. By length, padded rows stand with those of like length, so that
    little is padded; rows end to end so that micro-batches are of like size, which keeps the peak low and several GPUs
    from waiting for one (the longest row first, each to the smallest that has room).
    """
    if not by_length:
        return [list(range(start, min(start + rows, len(lengths)))) for start in range(0, len(lengths), rows)]
    arranged: list[list[int]] = []
    for start in range(0, len(lengths), batch):
        step = range(start, min(start + batch, len(lengths)))
        cut: list[list[int]] = [[] for _ in range(0, len(step), rows)]
        sizes = [0] * len(cut)
        for count, place in enumerate(sorted(step, key=lambda one: -lengths[one])):
            with_room = [number for number in range(len(cut)) if len(cut[number]) < rows]
            chosen = count // rows if padded else min(with_room, key=sizes.__getitem__)
            cut[chosen].append(place)
            sizes[chosen] += lengths[place]
        arranged += [sorted(one) for one in cut]
    return arranged


def tokens(lengths: list[int], cut: list[list[int]], padded: bool) -> list[int]:
    """Tokens of each micro-batch, padding counted."""
    sizes = [[lengths[place] for place in one] for one in cut]
    return [len(one) * max(one) if padded else sum(one) for one in sizes]


def candidates(
    recipe: Recipe,
    shape: Shape,
    card: Gpu,
    setting: Setting,
    lengths: list[int] | None = None,
    savings: tuple[str, ...] = (),
    corrections: dict[str, float] | None = None,
) -> list[Candidate]:
    """Every candidate for this card, the best first: those that fit, then the faster, then the smaller.

    `lengths` are the tokens of the rows in training order; without them every row counts as the longest that the recipe
    allows. `savings` are the kinds of checkpointing to choose from, `corrections` those of earlier_runs.py.
    """
    batch, shards = recipe.train.batch_size, setting.shards
    lengths = lengths or [recipe.model.max_tokens] * batch
    loading = estimate.loading(shape, recipe, shards) if shards > 1 else 0.0
    made = []
    for rows in divisors(batch // setting.processes):
        largest, busiest = sizes_of(lengths, batch, rows, setting)
        for saving in savings or SAVING[setting.backend]:
            memory = estimate.memory(shape, recipe, largest, not setting.padding_free, saving, setting.backend, shards)
            factor = (corrections or {}).get(saving, 1.0)
            memory["earlier runs"] = (factor - 1) * sum(memory.values())
            passes = batch // rows // setting.processes
            seconds = estimate.seconds(shape, busiest, passes, saving, estimate.rate(card.name) or 100)
            fits = max(loading, sum(memory.values())) <= estimate.room(card.memory)
            made.append(Candidate(rows, saving, largest, memory, factor, seconds, fits, loading))
    return sorted(made, key=lambda one: (not one.fits, one.seconds if one.fits else one.gib, one.gib))


def sizes_of(lengths: list[int], batch: int, rows: int, setting: Setting) -> tuple[int, float]:
    """(tokens of the largest micro-batch, mean tokens a step of the busiest process), padding counted."""
    padded, passes = not setting.padding_free, batch // rows
    sizes = tokens(lengths, arrange(lengths, batch, rows, padded, setting.by_length), padded)
    steps = [sizes[start : start + passes] for start in range(0, len(sizes), passes)]
    busiest = [max(sum(step[one :: setting.processes]) for one in range(setting.processes)) for step in steps]
    return max(sizes), sum(busiest) / len(steps)


def tokens_allowed(memory: float) -> int:
    """Tokens of a forward pass on a card of so many GiB, where there is no estimate.

    256 a GiB: an 8B model in 4 bits with checkpointing takes 6 GiB and at most 2 GiB a 1,000 tokens on an H200.
    """
    return int(256 * memory)


def by_rule(recipe: Recipe, batch: int, device: str, backend: str, budget: int) -> tuple[int, str, str]:
    """(rows, checkpointing, reason) where there is no estimate.

    The most of a step's `batch` rows that stay within `budget` tokens.
    """
    longest = recipe.model.max_tokens
    rows = max(n for n in divisors(batch) if n == 1 or n * longest <= budget)
    saved = "none" if device == "cpu" else "offloaded" if backend == "unsloth" else "full"
    return rows, saved, f"{rows} x {longest} tokens within {budget}"
