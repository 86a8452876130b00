"""What writes completions for reinforcement learning: transformers, or vLLM beside the model, sharing its weights."""

import importlib.util
import math
from typing import NamedTuple

from hft.errors import HftError
from hft.machine import Gpu
from hft.plan import estimate
from hft.plan.micro_batches import Candidate, by_rule, tokens_allowed
from hft.plan.room import Room
from hft.plan.shape import Shape
from hft.plan.wishes import Decision, Wishes, decide
from hft.recipe.schema import Recipe

# Percent for vLLM, of what the plan is made for: where its cache makes room while the model trains, else.
SHARE = {True: 75, False: 50}
CACHE = 2.0  # GiB that vLLM needs beside the weights at the least: its activations, and a few completions of 8B models


class Generation(NamedTuple):
    """Who writes, whether vLLM stands by while the model trains, and its percent (None without vLLM).

    It is a percent of what is free of the card when the model is loaded: so Unsloth reads it.
    """

    generator: Decision[str]
    standby: Decision[bool]
    vllm_memory: Decision[int | None]


def tight(recipe: Recipe, shape: Shape | None, memory: float) -> bool:
    """Whether vLLM must stand by: its usual share of a card of `memory` GiB cannot hold the weights and its cache."""
    weights = estimate.memory(shape, recipe, 0, True, "offloaded")["weights"] if shape else 0
    return SHARE[False] / 100 * memory - weights < CACHE


def choose(wishes: Wishes, recipe: Recipe, device: str, backend: str, shape: Shape | None, room: Room) -> Generation:
    """Who writes completions on this card. Raises HftError where vLLM is asked for and cannot be, or for too much."""
    here = recipe.method == "grpo" and (device, backend) == ("cuda", "unsloth")  # beside plain, vLLM 0.26 fails
    if here and importlib.util.find_spec("vllm") is not None:
        usual = Decision("vllm", "installed, and much faster")
    else:
        usual = Decision("transformers", "vLLM needs method: grpo, a GPU and the unsloth backend")
    generator = decide(wishes, "generator", *usual, known=("transformers", "vllm"))
    if generator.value == "transformers":
        return Generation(generator, Decision(False), Decision(None))
    if usual.value != "vllm":
        raise HftError(
            "vLLM writes completions for method: grpo on a GPU with the unsloth backend only", "leave out --generator"
        )
    too_small = tight(recipe, shape, room.memory)
    both = "both at once"
    reason = f"{room.memory:.0f} GiB are too few for {both}" if too_small else f"the card has room for {both}"
    standby = decide(wishes, "standby", too_small, reason)
    rest = "all but the weights is free while training" if standby.value else "the rest trains"
    part = room.memory / room.free if room.free else 1.0
    usual_share = max(1, math.floor(SHARE[standby.value] * part))
    share = decide(wishes, "vllm_memory", usual_share, f"percent of what is free; {rest}")
    if share.value > 100 * part:
        raise HftError(
            f"{share.why}: {share.value} percent of {room.free:.1f} GiB are more than the {room.memory:g} of "
            f"{room.choice.why}",
            f"{math.floor(100 * part)} percent at most, or leave it out",
        )
    return Generation(generator, standby, Decision(*share))


def fits(recipe: Recipe, shape: Shape, card: Gpu) -> Candidate:
    """What training takes on this card with vLLM beside it: the more of writing completions and of learning from them.

    Not measured on cards below 140 GiB; completions are as long as allowed. Seconds depend on them and are not
    estimated.
    """
    rows, saving, _ = by_rule(recipe, recipe.train.batch_size, "cuda", "unsloth", tokens_allowed(card.memory))
    tokens = rows * recipe.model.max_tokens
    learning = estimate.memory(shape, recipe, tokens, True, saving)
    standby = tight(recipe, shape, card.memory)
    cache = SHARE[standby] / 100 * card.memory - learning["weights"]
    learning["vllm"] = 0 if standby else max(0, cache)
    beside = {part: learning[part] for part in ("weights", "adapter", "optimizer", "workspace")}
    memory = max(learning, {**beside, "vllm": max(0, cache)}, key=lambda parts: sum(parts.values()))
    enough = cache >= CACHE and sum(memory.values()) <= estimate.room(card.memory)
    return Candidate(rows, saving, tokens, memory, 1.0, None, enough)
