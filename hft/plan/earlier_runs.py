"""What earlier runs took of a card's memory, against the estimate: it corrects the plan of the next one."""

from hft.machine import Gpu
from hft.recipe.schema import PARENT, Recipe
from hft.runs import folder as runs

# What of a plan two runs share whose peaks are comparable, as a plan is by itself on a GPU.
USUAL = {"backend": "unsloth", "padding_free": True, "by_length": True, "deterministic": False, "sharded": False}
LEAST, MOST = 0.8, 1.5  # beyond these, something else than the estimate was wrong


def corrections(recipe: Recipe, card: Gpu, **how) -> dict[str, float]:
    """`{checkpointing: measured peak / estimate}`: the largest of all runs of this model on this kind of card; often empty.

    `how` is what differs from USUAL in the plan that is being made.
    """
    found = {}
    if (
        recipe.model.name == PARENT or not card.driver
    ):  # whose model is another one for each stage; a card that is not here
        return found
    for facts in filter(None, map(runs.passport, runs.every())):
        try:
            ratios = measured(facts, recipe, card, USUAL | how)
        except (KeyError, TypeError):  # another version's passport
            continue
        for saving, ratio in ratios:
            found[saving] = max(found.get(saving, LEAST), min(MOST, round(ratio, 3)))
    return found


def measured(facts: dict, recipe: Recipe, card: Gpu, how: dict) -> list[tuple[str, float]]:
    """(checkpointing, measured peak / estimate) of a run's plans, at least the card's size where one ran out of memory.

    Raises KeyError or TypeError for a passport that lacks any of it.
    """
    plan, model, training = facts["plan"], facts["recipe"]["values"]["model"], facts["training"]
    there = (
        model["name"],
        model["quantization"],
        {gpu["name"] for gpu in facts["machine"]["gpus"]},
        {name: plan.get(name, False) for name in how},
    )
    if there != (recipe.model.name, recipe.model.quantization, {card.name}, how):
        return []
    found = [
        (one["checkpointing"], card.memory / one["expected_gib"] * one["correction"])
        for one in training["out_of_memory"]
        if one["expected_gib"]
    ]
    if runs.whole(facts) and plan["expected_gib"]:
        found.append((plan["checkpointing"], training["peak_gib"] / plan["expected_gib"] * plan["correction"]))
    return found
