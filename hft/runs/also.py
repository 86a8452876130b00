"""`evaluate.also`: the held-out questions of other recipes, asked too: what a stage keeps, or forgets, of another.

A recipe of the chain asks as its run was trained, with that run's settings; any other as it is written now.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from hft import files
from hft.data import fitting, prepare, rows, sources
from hft.data.overlap import measure
from hft.data.prepare import Also, Prepared
from hft.data.rows import Counts, Read
from hft.errors import HftError
from hft.model import base as models
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.runs import stages

Asking = list[tuple[Loaded, Read]]  # recipes that ask, with their rows


def read(loaded: Loaded, before: Path | None) -> Asking:
    """The recipes that ask too, with their rows; `before` is the run that a stage starts from."""
    chain: dict[str, Loaded] = {}
    names = dict.fromkeys(loaded.recipe.evaluate.also or [])
    while names and before and (before / "recipe.json").exists():  # one that is gone no longer says how it was trained
        made, parent = recipe_file.load_run(before), stages.of_run(before)
        chain[made.name] = made
        before = before.resolve().parents[1] / parent.recipe / parent.run if parent else None
    asking = [chain.get(name) or recipe_file.load(name) for name in names]
    return [(asker, of_one(asker)) for asker in asking]


def of_one(asker: Loaded) -> Read:
    """The rows that a recipe's questions are among; its training rows only where they are held out of those."""
    evaluate = asker.recipe.data.evaluate
    if not evaluate:
        return rows.read(asker)
    counts: dict[str, Counts] = {}
    return Read([], rows.read_side(asker, evaluate, "evaluate", counts), counts)


def prepared(own: Prepared, loaded: Loaded, asking: Asking, tokenised: bool = True) -> Prepared:
    """The rows of a recipe, and the questions of those that ask too: the very ones that each asks itself.

    tokenised: as this recipe's model reads them. Raises HftError when they are also trained on and the recipe does not
    say so.
    """
    tokenizer = models.tokenizer(models.resolve(loaded.recipe.model)) if asking and tokenised else None
    also: dict[str, Also] = {}
    counts = dict(own.counts)
    for asker, given in asking:
        count = {side: dict(one) for side, one in given.counts.items()}
        samples = prepare.sides(asker, given, count)[1]
        if not samples:
            raise HftError(
                f"{loaded.name} asks the questions of {asker.name} too (evaluate.also), which has none",
                f"add data.evaluate or data.held_out to {asker.name}, or leave it out",
            )
        overlap = measure([prepare.compared(one) for one in own.train], [prepare.compared(one) for one in samples])
        if overlap.leaks and not loaded.recipe.data.memorise:
            raise HftError(
                f"{loaded.name}: held-out rows of {asker.name} (evaluate.also) are trained on: {overlap.describe()}",
                "choose other rows to train on, leave it out, or say you mean it: data.memorise: true",
            )
        counts[f"also {asker.name}"] = {**count["evaluate"], "kept": len(samples)}
        asked = fitting.questions(samples, asker, tokenizer) if tokenizer else samples
        also[asker.name] = Also(asker, asked, overlap)
    return own._replace(counts=counts, also=also)


def same(run: Path, own: Prepared) -> dict[str, Any]:
    """`{also: facts}` of what is asked too, kept in data.json; nothing for a recipe that asks its own rows alone.

    Raises HftError when the questions are others now.
    """
    if not own.also:
        return {}
    path, now = run / "data.json", {name: facts(one) for name, one in own.also.items()}
    kept = json.loads(path.read_text(encoding="utf-8"))
    if "also" not in kept:
        files.write_json(path, {**kept, "also": now})
        return {"also": now}
    if other := [name for name in now if kept["also"].get(name, {}).get("questions") != now[name]["questions"]]:
        raise HftError(
            f"the questions of {other[0]} (evaluate.also) have changed since {run} began",
            "put the old recipe and files back, or train anew without --resume",
        )
    return {"also": now}


def facts(one: Also) -> dict[str, Any]:
    """What a passport keeps of another recipe's questions; `questions`: SHA-256 of their tokens and right answers."""
    asked, seen = one.loaded.recipe, hashlib.sha256()
    for sample in one.samples:
        seen.update(json.dumps([sample.tokens.prompt_ids, sample.answers]).encode())
    source = asked.data.evaluate or asked.data.train
    return {
        "digest": one.loaded.digest,
        "source": sources.facts(source, one.loaded.path.parent),
        "questions": seen.hexdigest(),
        "overlap": one.overlap.facts(),
    }
