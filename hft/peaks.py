"""What earlier runs took of a card's memory, against the estimate: it corrects the plan of the next one."""

from hft import runs
from hft.machine import Gpu
from hft.recipe import Recipe

LEAST, MOST = 0.8, 1.5  # beyond these, something else than the estimate was wrong


def corrections(recipe: Recipe, card: Gpu, backend: str, padding_free: bool) -> dict[str, float]:
    """`{checkpointing: measured peak / estimate}`: the largest of all whole runs of this model on this kind of card; often empty."""
    found = {}
    for facts in filter(None, map(runs.passport, runs.every())):
        try:
            saving, ratio = measured(facts, recipe, card, backend, padding_free)
        except (KeyError, TypeError, ValueError):  # another kind of run, or another version's passport
            continue
        found[saving] = max(found.get(saving, LEAST), min(MOST, round(ratio, 3)))
    return found


def measured(facts: dict, recipe: Recipe, card: Gpu, backend: str, padding_free: bool) -> tuple[str, float]:
    """(checkpointing, measured peak / estimate) of one run. Raises ValueError, KeyError or TypeError where it says nothing of this plan."""
    plan, model = facts["plan"], facts["recipe"]["values"]["model"]
    there = (model["name"], model["quantization"], plan["backend"], plan["padding_free"], {gpu["name"] for gpu in facts["machine"]["gpus"]})
    if there != (recipe.model.name, recipe.model.quantization, backend, padding_free, {card.name}) or not runs.whole(facts):
        raise ValueError("of another kind")
    return plan["checkpointing"], facts["training"]["peak_gib"] / plan["expected_gib"] * plan["correction"]
