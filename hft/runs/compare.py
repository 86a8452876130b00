"""`hft compare`: do two runs match? What differs is named in the order that matters, and where the curves part."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hft.errors import HftError
from hft.evaluate import intervals
from hft.evaluate.table import difference
from hft.runs import answers, image
from hft.runs import folder as runs
from hft.runs.answers import Made
from hft.terminal import columns

# Differences of losses that micro-batches, backends and bf16 explain: 0.017 and 0.006 (README, Tested).
MOST, MEAN = 2e-2, 8e-3
# How far apart the rewards of two grpo runs may end, as a share of the range that their steps' rewards went through,
# even where chance does not explain it: a run made again draws other completions as soon as a last digit differs.
MEAN_REWARD = 0.05
# What two runs of one recipe share; another value of these means another run, whatever the curves say.
DECISIVE = ("recipe", "data", "base model", "parent")
# Where a recipe says that its model lies. The same files in another folder are the same model: `base model` tells.
PLACE = ("model.name", "model.revision")


class Comparison(NamedTuple):
    """verdict: identical (the same weights and answers), match (the same made again, within rounding), differ."""

    verdict: str
    differences: list[tuple[str, str]]  # (what, in words), the most important first
    curve: str
    answers: str
    scores: str


def find(place: str) -> Made:
    """A run or reference folder, a recipe's newest run, or a passport file; beside a passport.json its run is at hand.

    Raises HftError for anything else.
    """
    path = Path(place)
    if path.is_file():
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            name = f"{facts['recipe']['name']}/{facts['run']}"
        except (ValueError, KeyError, TypeError) as problem:
            raise HftError(
                f"{path} is not a passport: {type(problem).__name__}: {problem}",
                "name a run folder or its passport.json",
            ) from None
        return Made(name, facts, path.parent if path.name == runs.PASSPORT else None)
    run = runs.find(place).resolve()
    return Made(f"{run.parent.name}/{run.name}", runs.finished_passport(run), run)


def compare(a: Made, b: Made, most: float = MOST, mean: float = MEAN) -> Comparison:
    """Compare two runs; losses may differ by `most` at a step and by `mean` on average.

    Identical are equal weights that gave equal answers. A match is the same recipe, data, base and parent, with curves
    that agree (or equal weights), and scores whose difference chance explains.
    """
    differ = [(what, words) for what, words in differences(a.facts, b.facts) if words]
    curve, together = training(a.facts, b.facts, most, mean)
    said, same_answers = answers.same_words(a, b)
    scores, alike = answers.evaluations(a, b)
    weights = runs.weights(a.facts)
    same_weights = bool(weights) and weights == runs.weights(b.facts)
    verdict = "match" if alike and (together or same_weights) else "differ"
    if same_weights and same_answers:
        verdict = "identical"
    if any(what in DECISIVE for what, _ in differ):
        verdict = "differ"
    return Comparison(verdict, differ, curve, said, scores)


def differences(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, in words or an empty text) in the order that matters."""
    values = changed(decisive(a, b), decisive(b, a))
    python = "the Python beside it" if a["recipe"]["python"] != b["recipe"]["python"] else ""
    yield "recipe", values or python
    order = "other rows, or in another order" if a["data"]["tokens_in_order"] != b["data"]["tokens_in_order"] else ""
    yield "data", changed(flat(a["data"]["sources"]), flat(b["data"]["sources"])) or order
    yield "base model", changed(weights_of(a["model"]), weights_of(b["model"]))
    yield "parent", changed(parent(a), parent(b))
    yield "libraries", changed(a["libraries"], b["libraries"])
    yield "image", changed(in_image(a), in_image(b))
    yield "machine", changed(machine(a), machine(b))
    yield "plan", changed(a["plan"], b["plan"], frozenset({"why", "expected_gib", "correction", "memory"}))


def decisive(facts: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The recipe's values that make a run another one than `other`: exports come after it, and a folder is no model."""
    aside = ("description", "export", *(PLACE if facts["model"]["files"] and other["model"]["files"] else ()))
    return {
        key: value
        for key, value in flat(facts["recipe"]["values"]).items()
        if key not in aside and not key.startswith("export.")
    }


def parent(facts: dict[str, Any]) -> dict[str, Any]:
    """What identifies the stage before; None for each where there is none."""
    return {key: (facts.get("parent") or {}).get(key) for key in ("recipe", "digest", "weights")}


def in_image(facts: dict[str, Any]) -> dict[str, Any]:
    """What identifies the image that a run was made in; None outside of one."""
    manifest = facts["machine"].get("image")
    return image.digests(manifest) if manifest else {"image": None}


def machine(facts: dict[str, Any]) -> dict[str, Any]:
    """GPUs, processor, and the C library, whose exponential and logarithm a CPU's training takes."""
    there = facts["machine"]
    return {
        "gpus": [gpu["name"] for gpu in there["gpus"]],
        "cpu": there["cpu"],
        "libc": there.get("system", "").partition("-with-")[2],
    }


def weights_of(model: dict[str, Any]) -> dict[str, Any]:
    """What identifies a base model: its files where they are known, else its commit; not where it lay."""
    return {**model["files"], **({} if model["files"] else {"name": model["name"], "commit": model["commit"]})}


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """`{dotted key: value}` of nested dictionaries and lists."""
    if isinstance(value, (dict, list)) and value:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            path: leaf
            for name, part in inner
            for path, leaf in flat(part, f"{key}.{name}" if key else str(name)).items()
        }
    return {key: value}


def changed(a: dict[str, Any], b: dict[str, Any], aside: frozenset[str] = frozenset()) -> str:
    """The first two keys whose values differ, with both values; an empty text when none does."""
    keys = [key for key in {**a, **b} if key not in aside and a.get(key) != b.get(key)]
    shown = [f"{key}: {short(a.get(key))} / {short(b.get(key))}" for key in keys[:2]]
    return "; ".join(shown) + (f"; and {len(keys) - 2} more" if len(keys) > 2 else "")


def short(value: Any) -> str:
    """A value in few characters, on one line; of a hash its beginning."""
    text = str(value).replace("\n", "\\n") or "''"
    return text if len(text) <= 40 else f"{text[:12]}..."


def training(a: dict[str, Any], b: dict[str, Any], most: float = MOST, mean: float = MEAN) -> tuple[str, bool]:
    """(how the curves of two passports compare, True when they agree): losses, or the rewards of method grpo.

    A GRPO loss is near 0 by construction, whatever is learned: where a passport lacks its steps' rewards, it says so.
    """
    first, second = a["training"], b["training"]
    losses = curves(first.get("losses") or [], second.get("losses") or [], most, mean)
    if a["recipe"]["values"].get("method") != "grpo":
        return losses
    if first.get("rewards") and second.get("rewards"):
        return rewards(first["rewards"], second["rewards"])
    words, together = losses
    lacks = " and ".join(name for name, one in (("A", first), ("B", second)) if not one.get("rewards"))
    return f"{words}; grpo's losses say little, and the passport of {lacks} has no rewards of the steps", together


def curves(a: list[float], b: list[float], most: float, mean: float) -> tuple[str, bool]:
    """(how two loss curves compare, True when they agree).

    They agree with all steps in both, none further apart than `most`, on average within `mean`; NaN is far from all,
    from NaN too.
    """
    gaps = [abs(x - y) for x, y in zip(a, b, strict=False)]
    apart = [math.inf if math.isnan(gap) else gap for gap in gaps]
    if not apart:
        return "no losses to compare", False
    average = sum(apart) / len(apart)
    words = f"{len(apart)} steps, losses at most {max(apart):.2g} and on average {average:.2g} apart"
    if lost := no_number(a, b):
        words += f"; {lost}"
    if parted := next((step for step, gap in enumerate(apart, 1) if gap > most), None):
        return f"{words}; they part at step {parted}: {a[parted - 1]:.4f} / {b[parted - 1]:.4f}", False
    if len(a) != len(b):
        return f"{words}; one ends after step {min(len(a), len(b))} of {max(len(a), len(b))}", False
    return (words, True) if average <= mean else (f"{words}, more than {mean:g}", False)


def no_number(a: list[float], b: list[float]) -> str:
    """The first step at which one or both have NaN or infinity, in words; an empty text when there is none."""
    for step, pair in enumerate(zip(a, b, strict=False), 1):
        lost = {name: value for name, value in zip("AB", pair, strict=True) if not math.isfinite(value)}
        if lost:
            what = dict.fromkeys("NaN" if math.isnan(value) else f"{value:g}" for value in lost.values())
            who = "both have" if len(lost) == 2 else f"{next(iter(lost))} has"
            return f"{who} {' and '.join(what)} at step {step}"
    return ""


def rewards(a: list[float], b: list[float]) -> tuple[str, bool]:
    """(how the mean rewards of two grpo runs' steps compare, True when they agree).

    They agree with all steps in both, and means over the last third of the steps that differ by no more than the
    steps' spread explains (95 %, bootstrap), or than MEAN_REWARD of the range that both went through.
    """
    whole, last = len(a), max(1, len(a) // 3)
    if len(a) != len(b):
        return f"rewards: one ends after step {min(len(a), len(b))} of {max(len(a), len(b))}", False
    if lost := no_number(a, b):
        return f"{whole} steps, rewards: {lost}", False
    if a == b:
        return f"{whole} steps, the same mean reward at each", True
    parted = next(step for step, (x, y) in enumerate(zip(a, b, strict=True), 1) if x != y)
    first, second = (intervals.mean(values[-last:]) for values in (a, b))
    points = intervals.unpaired(first, second)
    words = (
        f"{whole} steps, mean reward over the last {last} {first.mean:.3f} / {second.mean:.3f}, "
        f"difference {difference(points, 3)}; other rewards from step {parted}"
    )
    allowed = MEAN_REWARD * (max(a + b) - min(a + b))
    return words, abs(points.mean) <= allowed or not intervals.excludes_zero(points)


def text(names: tuple[str, str], comparison: Comparison) -> str:
    """The comparison as a small table, its verdict last."""
    lines = [
        ["first difference" if i == 0 else "then", f"{what}: {words}"]
        for i, (what, words) in enumerate(comparison.differences)
    ]
    same = [["differences", "none in recipe, data, weights, libraries, image, machine, plan"]]
    ending = [
        ["curves", comparison.curve],
        ["answers", comparison.answers],
        ["scores", comparison.scores],
        ["verdict", comparison.verdict],
    ]
    return columns([["A", names[0]], ["B", names[1]], *(lines or same), *ending])
