"""The base's answers, kept between runs by all that they depend on: what it was asked once, it is not asked again."""

import hashlib
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hft import __version__, files, libraries, machine
from hft.model import base as models
from hft.model import generate, patches
from hft.model.backends import plain, unsloth
from hft.model.generate import Sampling
from hft.plan.plan import Plan
from hft.recipe.schema import Recipe
from hft.terminal import say

VERSION = 1  # raise it when what is kept changes its form
PLANNED = (  # the choices of a plan that may change an answer: what computes, and in which order it sums
    "backend",
    "device",
    "generator",
    "vllm_memory",
    "standby",
    "precision",
    "weights",
    "generate_rows",
    "deterministic",
)
CODE = (generate, patches, plain, unsloth)
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "bitsandbytes",
    "unsloth",
    "unsloth_zoo",
    "xformers",
    "triton",
    "vllm",
)


class Asked(NamedTuple):
    """What a model is asked at once."""

    prompts: list[list[int]]  # token ids, in their order: a batch is padded to its longest
    max_new_tokens: int
    drawn: Sampling | None
    one_line: bool


def goes_on(recipe: Recipe) -> bool:
    """Whether the adapter of the stage before is trained on: it is part of what this stage calls its base."""
    return recipe.parent is not None and recipe.parent.weights == "adapter"


def base_of(opened: Any) -> dict[str, Any] | None:
    """All that the base's answers depend on besides the questions; None where its files do not say what it is.

    opened: a train.session.Opened
    """
    recipe, plan = opened.loaded.recipe, opened.plan
    if goes_on(recipe):
        return None
    source = models.resolve(recipe.model)._replace(gguf=None)  # the converted weights say it all
    return {
        "files": models.facts(source)["files"],
        "quantization": recipe.model.quantization,
        "max_tokens": recipe.model.max_tokens,  # Unsloth and vLLM load the model for so many
        "stops": generate.stop_ids(opened.model, opened.tokenizer),
        "plan": {name: getattr(plan, name) for name in PLANNED},
        "chip": chip(plan),
        "libraries": {name: libraries.version(name) for name in LIBRARIES},
        "hft": [__version__, VERSION, *map(inspect.getsource, CODE)],
    }


def chip(plan: Plan) -> list[Any]:
    """The card's name; of a CPU how many threads there are too: its sums are split among them."""
    if plan.device == "cuda":
        return [machine.usable().gpus[0].name]
    return [machine.look().cpu, os.environ.get("OMP_NUM_THREADS") or machine.cores()]


def answers(
    name: str, base: dict[str, Any] | None, asked: Asked, ask: Callable[[], list[str]], again: bool = False
) -> list[str]:
    """The answer to each prompt: that of an earlier run where it is known, else what `ask` returns, which is kept.

    base: what `base_of` says; None for a model whose answers are not kept
    again: ask, whatever is known
    """
    if base is None:
        return ask()
    place = folder() / f"{hashlib.sha256(json.dumps([base, asked], sort_keys=True).encode()).hexdigest()}.json"
    if not again and (known := read(place, len(asked.prompts))):
        what = ("drawn answer" if asked.drawn else "answer") + "s" * (len(known) != 1)
        say(f"{name}: {len(known):,} {what} known from an earlier run")
        return known
    made = ask()
    keep(place, made)
    return made


def folder() -> Path:
    """Each user's own, as tokenised rows have it: the answers may not be for everyone's eyes."""
    return files.cache() / f"answers-{os.getuid()}"


def read(place: Path, count: int) -> list[str] | None:
    """So many texts as are kept there; None for nothing, or a damaged file."""
    try:
        texts = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(texts, list) and len(texts) == count and all(isinstance(text, str) for text in texts)
    return texts if whole else None


def keep(place: Path, texts: list[str]) -> None:
    """Write them in one step; a cache that cannot be written to is no reason to end a run."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_json(place, texts)
    except OSError as problem:
        say(f"Warning: these answers are not kept for other runs: {problem}")
