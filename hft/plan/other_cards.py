"""`hft plan`: what a recipe takes on each of the lab's cards, before one is rented or waited for."""

from hft import machine
from hft.data import order, prepare, rows
from hft.errors import HftError
from hft.machine import Gpu
from hft.plan import earlier_runs, estimate, generator, micro_batches, processes, shape
from hft.plan.micro_batches import Choice
from hft.plan.shape import Shape
from hft.recipe.file import Loaded, load
from hft.recipe.schema import Recipe
from hft.recipe.sources import parts
from hft.terminal import columns

SMALLER = (
    "model.quantization=nf4",
    "lora.rank=8",
    "model.max_tokens=1024",
    "model.max_tokens=512",
)  # tried one after the other


def table(loaded: Loaded, card: str | None, row_tokens: int | None) -> str:
    """All cards (or one of them, by part), for rows of so many tokens; by default the longest that the recipe allows.

    Raises HftError for a recipe that no estimate covers, or an unknown card.
    """
    recipe = loaded.recipe
    found = shape.of(recipe)
    if not recipe.lora or found is None:
        why, fix = (
            ("it trains all weights", "choose a recipe with lora")
            if not recipe.lora
            else (
                f"the shape of {recipe.model.name} is not known here",
                f"hf download {recipe.model.name} config.json   (for dense models of {', '.join(shape.FAMILIES)})",
            )
        )
        raise HftError(f"no estimate for recipe {loaded.name}: {why}", fix)
    if row_tokens and row_tokens > recipe.model.max_tokens:
        raise HftError(
            f"rows of {row_tokens} tokens are longer than the recipe allows",
            f"--row-tokens {recipe.model.max_tokens} or less",
        )
    known = cards()
    if card and card not in known:
        raise HftError(f"no card '{card}' is known", f"choose one of: {', '.join(known)}")
    lengths = [row_tokens or recipe.model.max_tokens] * recipe.train.batch_size
    steps = total_steps(loaded)
    best = {name: first(recipe, found, gpu, lengths) for name, gpu in known.items()}
    lines = [["card", "fits", "peak GiB", "rows at once", "checkpointing", "s/step", "training"]]
    for name in [card] if card else known:
        one = best[name]
        lines.append(
            [
                name,
                "yes" if one.fits else "no",
                f"{one.gib:.1f} of {known[name].memory:.0f}",
                f"{one.rows} x {recipe.train.batch_size // one.rows}",
                one.checkpointing,
                f"{one.seconds:.2f}" if one.fits and one.seconds else "-",
                duration(one.seconds * steps) if one.fits and one.seconds and steps else "-",
            ]
        )
    said = [
        f"{loaded.name} by estimate, {found.linear + found.other:,} weights, {lengths[0]} tokens a row, "
        f"{recipe.train.batch_size} {'completions' if recipe.method == 'grpo' else 'rows'} a step, "
        f"{steps or 'unknown (data not read)'} steps, evaluation and export not counted:",
        columns(lines),
    ]
    if card:
        said.append(
            columns([["part", "GiB"], *([part, f"{size:.2f}"] for part, size in best[card].memory.items() if size)])
        )
    for name, one in best.items():
        if not one.fits and card in (None, name):
            shared = together(recipe, found, name, known[name], lengths)
            said += [
                advice(loaded, found, name, known[name], one, row_tokens, "more of them, " * bool(shared)),
                *shared,
            ]
    return "\n".join(said)


def first(recipe: Recipe, found: Shape, gpu: Gpu, lengths: list[int]) -> Choice:
    """What the plan would choose on this card by itself: with Unsloth, and with vLLM beside the model for method: grpo."""
    if recipe.method == "grpo":
        return generator.fits(recipe, found, gpu)
    return micro_batches.choices(
        recipe, found, gpu, "unsloth", False, lengths, corrections=earlier_runs.corrections(recipe, gpu)
    )[0]


def cards() -> dict[str, Gpu]:
    """The lab's cards, and this machine's own."""
    found = {name: Gpu(name, memory, "", "") for name, (_, memory) in estimate.CARDS.items()}
    mine = machine.cards()
    return {**found, "here": mine[0]} if mine else found


def total_steps(loaded: Loaded) -> int | None:
    """Optimizer steps; None where the rows would have to be fetched or made, or are not here."""
    recipe = loaded.recipe
    if recipe.train.steps:
        return recipe.train.steps
    if any(part.source not in ("jsonl", "aihub") for part in parts(recipe.data.train)):
        return None
    try:
        return order.steps(recipe, len(prepare.prepare(loaded, rows.read(loaded)).train))
    except HftError:
        return None


def advice(loaded: Loaded, found: Shape, name: str, gpu: Gpu, best: Choice, row_tokens: int | None, more: str) -> str:
    """What would fit on one such card: the first change of the recipe that does."""
    for change in SMALLER:
        recipe = load(loaded.name, (*loaded.overrides, change)).recipe
        lengths = [min(row_tokens or recipe.model.max_tokens, recipe.model.max_tokens)] * recipe.train.batch_size
        one = first(recipe, found, gpu, lengths)
        if one.fits:
            seconds = f", {one.seconds:.2f} s/step" if one.seconds else ""
            return f"{name}: --set {change} would fit ({one.gib:.1f} GiB{seconds}); it changes the result"
    return (
        f"{name}: the weights alone take {best.memory['weights']:.1f} GiB; take {more}a smaller model or a larger card"
    )


def together(recipe: Recipe, found: Shape, name: str, gpu: Gpu, lengths: list[int]) -> list[str]:
    """How many of these cards would fit the recipe as it is by sharing the weights: a line, or none."""
    if recipe.method != "sft":
        return []
    corrections = earlier_runs.corrections(recipe, gpu, sharded=True)
    most = len(machine.cards()) if name == "here" else recipe.train.batch_size
    for count in (n for n in micro_batches.divisors(recipe.train.batch_size) if 1 < n <= most):
        one = micro_batches.choices(
            recipe, found, gpu, "unsloth", False, lengths, count, corrections=corrections, shards=count
        )[0]
        if one.fits:
            unset = processes.to_unset(recipe, found, gpu.memory)
            how = f"--processes {count} --sharded {unset}".rstrip()
            result = "the same weights" if not (unset and recipe.data.held_out) else "the rows held out are trained too"
            return [
                f"{name}: {count} of them would fit ({one.needs:.1f} GiB each) with {how}; {result}"
                + ", without evaluation, which one card alone cannot carry" * bool(unset)
            ]
    return []


def duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds > 5400
        else f"{seconds / 60:.0f} min"
        if seconds > 90
        else f"{seconds:.0f} s"
    )
