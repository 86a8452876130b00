"""`hft plan --gpu`: what a recipe takes on each of the lab's cards, before one is rented or waited for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hft.data import order, prepare, rows, sources
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan import earlier_runs, estimate, generator, micro_batches, processes, shape
from hft.plan.micro_batches import Candidate, Setting
from hft.plan.shape import Shape
from hft.recipe.file import Loaded, load
from hft.recipe.schema import Recipe
from hft.recipe.sources import parts
from hft.terminal import columns

# Changes of a recipe that take less memory, tried one after the other.
SMALLER = ("model.quantization=nf4", "lora.rank=8", "model.max_tokens=1024", "model.max_tokens=512")


class Question(NamedTuple):
    """What is asked of every card."""

    loaded: Loaded
    shape: Shape
    machine: Machine
    history: Sequence[dict[str, Any]]  # the passports of earlier runs
    row_tokens: int | None  # of a usual row

    def lengths(self, recipe: Recipe) -> list[int]:
        """Tokens of the rows of a step: of usual ones, else of the longest that the recipe allows."""
        longest = recipe.model.max_tokens
        return [min(self.row_tokens or longest, longest)] * recipe.train.batch_size


def table(
    loaded: Loaded, card: str | None, row_tokens: int | None, machine: Machine, history: Sequence[dict[str, Any]]
) -> str:
    """All cards, or one of them by part, for rows of so many tokens; by default the longest that the recipe allows.

    Raises HftError for a recipe that no estimate covers, or an unknown card.
    """
    recipe = loaded.recipe
    known = cards(machine)
    question = Question(loaded, shape_of(loaded), machine, history, row_tokens)
    if row_tokens and row_tokens > recipe.model.max_tokens:
        raise HftError(
            f"rows of {row_tokens} tokens are longer than the recipe allows",
            f"--row-tokens {recipe.model.max_tokens} or less",
        )
    if card and card not in known:
        raise HftError(f"no card '{card}' is known", f"choose one of: {', '.join(known)}")
    steps = total_steps(loaded)
    best = {name: first(question, recipe, gpu) for name, gpu in known.items()}
    shown = {name: best[name] for name in ([card] if card else known)}
    paragraphs = [
        f"{loaded.name} by estimate, {question.shape.linear + question.shape.other:,} weights, "
        f"{question.lengths(recipe)[0]} tokens a row, "
        f"{recipe.train.batch_size} {'completions' if recipe.method == 'grpo' else 'rows'} a step, "
        f"{steps or 'unknown (data not read)'} steps, evaluation and export not counted:",
        columns([HEAD, *(line(name, known[name], shown[name], recipe, steps) for name in shown)]),
    ]
    if card:
        memory = best[card].memory
        paragraphs.append(columns([["part", "GiB"], *([part, f"{size:.2f}"] for part, size in memory.items() if size)]))
    for name, candidate in shown.items():
        if not candidate.fits:
            shared = together(question, name, known[name])
            paragraphs += [advice(question, name, known[name], candidate, bool(shared)), *shared]
    return "\n".join(paragraphs)


HEAD = ["card", "fits", "peak GiB", "rows at once", "checkpointing", "s/step", "training"]


def line(name: str, gpu: Gpu, best: Candidate, recipe: Recipe, steps: int | None) -> list[str]:
    """A card's line of the table."""
    timed = best.seconds if best.fits else None
    return [
        name,
        "yes" if best.fits else "no",
        f"{best.gib:.1f} of {gpu.memory:.0f}",
        f"{best.rows} x {recipe.train.batch_size // best.rows}",
        best.checkpointing,
        f"{timed:.2f}" if timed else "-",
        duration(timed * steps) if timed and steps else "-",
    ]


def shape_of(loaded: Loaded) -> Shape:
    """The shape of the recipe's model. Raises HftError where no estimate covers the recipe."""
    model = loaded.recipe.model.name
    if not loaded.recipe.lora:
        raise HftError(f"no estimate for recipe {loaded.name}: it trains all weights", "choose a recipe with lora")
    if known := shape.of(loaded.recipe):
        return known
    raise HftError(
        f"no estimate for recipe {loaded.name}: the shape of {model} is not known here",
        f"hf download {model} config.json   (for dense models of {', '.join(shape.FAMILIES)})",
    )


def first(question: Question, recipe: Recipe, gpu: Gpu) -> Candidate:
    """What the plan would choose on this card by itself: with Unsloth, for method: grpo with vLLM beside the model."""
    if recipe.method == "grpo":
        return generator.fits(recipe, question.shape, gpu)
    setting = Setting()
    factors = earlier_runs.corrections(question.history, recipe, gpu, setting)
    lengths = question.lengths(recipe)
    return micro_batches.candidates(recipe, question.shape, gpu, setting, lengths, corrections=factors)[0]


def cards(machine: Machine) -> dict[str, Gpu]:
    """The lab's cards, and this machine's own."""
    known = {name: Gpu(name, memory, "", "") for name, (_, memory) in estimate.CARDS.items()}
    return {**known, "here": machine.gpus[0]} if machine.gpus else known


def total_steps(loaded: Loaded) -> int | None:
    """Optimizer steps; None where the rows would have to be fetched or made, or are not here."""
    recipe = loaded.recipe
    if recipe.train.steps:
        return recipe.train.steps
    if not all(sources.module(part).CHEAP for part in parts(recipe.data.train)):
        return None
    try:
        return order.steps(recipe, len(prepare.prepare(loaded, rows.read(loaded)).train))
    except HftError:
        return None


def advice(question: Question, name: str, gpu: Gpu, best: Candidate, shareable: bool) -> str:
    """What would fit on one such card: the first change of the recipe that does."""
    for change in SMALLER:
        recipe = load(question.loaded.name, (*question.loaded.overrides, change)).recipe
        smaller = first(question, recipe, gpu)
        if smaller.fits:
            seconds = f", {smaller.seconds:.2f} s/step" if smaller.seconds else ""
            return f"{name}: --set {change} would fit ({smaller.gib:.1f} GiB{seconds}); it changes the result"
    more = "more of them, " * shareable
    weights = best.memory["weights"]
    return f"{name}: the weights alone take {weights:.1f} GiB; take {more}a smaller model or a larger card"


def together(question: Question, name: str, gpu: Gpu) -> list[str]:
    """How many of these cards would fit the recipe as it is by sharing the weights: a line, or none."""
    recipe = question.loaded.recipe
    if recipe.method != "sft":
        return []
    factors = earlier_runs.corrections(question.history, recipe, gpu, Setting(sharded=True))
    most = len(question.machine.gpus) if name == "here" else recipe.train.batch_size
    for count in (n for n in micro_batches.divisors(recipe.train.batch_size) if 1 < n <= most):
        setting, lengths = Setting(sharded=True, processes=count), question.lengths(recipe)
        shared = micro_batches.candidates(recipe, question.shape, gpu, setting, lengths, corrections=factors)[0]
        if shared.fits:
            unset = processes.to_unset(recipe, question.shape, gpu.memory)
            how = f"--processes {count} --sharded {unset}".rstrip()
            result = "the rows held out are trained too" if unset and recipe.data.held_out else "the same weights"
            blind = ", without evaluation, which one card alone cannot carry" * bool(unset)
            return [f"{name}: {count} of them would fit ({shared.needs:.1f} GiB each) with {how}; {result}{blind}"]
    return []


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
