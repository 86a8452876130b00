"""What writes the completions of reinforcement learning: transformers, or vLLM beside the model, which shares its weights."""

import importlib.util

from hft.errors import HftError
from hft.machine import Gpu
from hft.plan import estimate
from hft.plan.micro_batches import Choice, by_rule, tokens_allowed
from hft.plan.shape import Shape
from hft.plan.wishes import Choices
from hft.recipe.schema import Recipe

SHARE = {
    True: 75,
    False: 50,
}  # percent of the card for vLLM: where its cache makes room while the model trains, and where it does not
CACHE = 2.0  # GiB that vLLM needs beside the weights at the least: its activations, and a few completions of 8B models


def tight(recipe: Recipe, shape: Shape | None, memory: float) -> bool:
    """Whether the usual share of a card of `memory` GiB cannot hold the weights and vLLM's cache, so that it must stand by."""
    weights = estimate.memory(shape, recipe, 0, True, "offloaded")["weights"] if shape else 0
    return SHARE[False] / 100 * memory - weights < CACHE


def choose(
    choice: Choices, recipe: Recipe, device: str, backend: str, shape: Shape | None, memory: float
) -> tuple[str, bool, float | None]:
    """(generator, whether vLLM stands by while the model trains, vLLM's share of a card of `memory` GiB).

    Raises HftError where vLLM is asked for and cannot be.
    """
    can = (
        recipe.method == "grpo"
        and (device, backend) == ("cuda", "unsloth")
        and importlib.util.find_spec("vllm") is not None
    )
    usual = (
        ("vllm", "installed, and much faster")
        if can
        else ("transformers", "vLLM needs method: grpo, a GPU and the unsloth backend")
    )  # beside plain, vLLM 0.26 fails
    generator = choice.of("generator", *usual, ("transformers", "vllm"))
    if generator == "transformers":
        return generator, False, None
    if not can:
        raise HftError(
            "vLLM writes completions for method: grpo on a GPU with the unsloth backend only", "leave out --generator"
        )
    standby = choice.flag(
        "standby",
        *(
            (True, f"{memory:.0f} GiB are too few for both at once")
            if tight(recipe, shape, memory)
            else (False, "the card has room for both at once")
        ),
    )
    why = "all but the weights is free while training" if standby else "the rest trains"
    return generator, standby, choice.of("vllm_memory", SHARE[standby], f"percent of the card; {why}", most=95) / 100


def fits(recipe: Recipe, shape: Shape, card: Gpu) -> Choice:
    """What training takes on this card with vLLM beside it: the larger of writing completions and of learning from them.

    Not measured on cards below 140 GiB; completions are as long as allowed. Seconds depend on them and are not estimated.
    """
    rows, saving, _ = by_rule(recipe, recipe.train.batch_size, "cuda", "unsloth", tokens_allowed(card.memory))
    tokens = rows * recipe.model.max_tokens
    learning = estimate.memory(shape, recipe, tokens, True, saving)
    standby = tight(recipe, shape, card.memory)
    cache = SHARE[standby] / 100 * card.memory - learning["weights"]
    learning["vllm"] = 0 if standby else max(0, cache)
    writing = {
        **{part: learning[part] for part in ("weights", "adapter", "optimizer", "workspace")},
        "vllm": max(0, cache),
    }
    memory = max(learning, writing, key=lambda parts: sum(parts.values()))
    return Choice(
        rows, saving, tokens, memory, 1.0, None, cache >= CACHE and sum(memory.values()) <= estimate.room(card.memory)
    )
