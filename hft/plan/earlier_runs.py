"""What earlier runs took of a card's memory, against the estimate: it corrects the plan of the next one."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from hft.machine import Gpu
from hft.plan.micro_batches import Setting
from hft.recipe.schema import PARENT, Recipe

LEAST, MOST = 0.8, 1.5  # beyond these, something else than the estimate was wrong


def corrections(history: Iterable[dict[str, Any]], recipe: Recipe, card: Gpu, setting: Setting) -> dict[str, float]:
    """`{checkpointing: measured peak / estimate}`: the largest of runs of this model on this kind of card; often empty.

    `history` holds the passports of earlier runs; those of plans alike in setting count, however many
    processes they had.
    """
    largest: dict[str, float] = {}
    if recipe.model.name == PARENT or not card.driver:  # another model for each stage; a card that is not here
        return largest
    for facts in history:
        try:
            ratios = measured(facts, recipe, card, setting)
        except (KeyError, TypeError):  # another version's passport
            continue
        for saving, ratio in ratios:
            largest[saving] = max(largest.get(saving, LEAST), min(MOST, round(ratio, 3)))
    return largest


def measured(facts: dict[str, Any], recipe: Recipe, card: Gpu, setting: Setting) -> list[tuple[str, float]]:
    """(checkpointing, measured peak / estimate) of a run's plans; the card's size where one ran out of memory.

    Raises KeyError or TypeError for a passport that lacks any of it.
    """
    plan, model, training = facts["plan"], facts["recipe"]["values"]["model"], facts["training"]
    alike = {name: value for name, value in asdict(setting).items() if name != "processes"}
    if (
        (model["name"], model["quantization"]) != (recipe.model.name, recipe.model.quantization)
        or {gpu["name"] for gpu in facts["machine"]["gpus"]} != {card.name}
        or {name: plan.get(name, False) for name in alike} != alike
    ):
        return []
    ratios = [
        (tried["checkpointing"], card.memory / tried["expected_gib"] * tried["correction"])
        for tried in training["out_of_memory"]
        if tried["expected_gib"] and plan.get("memory") is None  # else the card was shared, and its size says nothing
    ]
    if training["steps"] == training["of_steps"] and plan["expected_gib"]:
        ratios.append((plan["checkpointing"], training["peak_gib"] / plan["expected_gib"] * plan["correction"]))
    return ratios
