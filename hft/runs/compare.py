"""`hft compare`: do two runs match? Named is what differs first, in the order in which it matters, and where their curves part."""

import json
import math
from pathlib import Path
from typing import NamedTuple

from hft.errors import HftError
from hft.evaluate import scores as evaluate
from hft.runs import folder as runs
from hft.runs import image
from hft.terminal import columns

MOST, MEAN = (
    2e-2,
    8e-3,
)  # differences of losses that micro-batches, backends and bf16 explain: 0.017 and 0.006 (README, Tested)
# What two runs of one recipe share; another value of these means another run, whatever the curves say.
DECISIVE = ("recipe", "data", "base model", "parent")


class Comparison(NamedTuple):
    """verdict: identical (the same trained weights), match (the same made again, within rounding), differ."""

    verdict: str
    differences: list[tuple[str, str]]  # (what, in words), the most important first
    curve: str
    scores: str


def passport(place: str) -> tuple[str, dict]:
    """(name, passport) of a run folder, a recipe's newest run, or a passport file. Raises HftError for anything else."""
    path = Path(place)
    if path.is_file():
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            return f"{facts['recipe']['name']}/{facts['run']}", facts
        except (ValueError, KeyError, TypeError) as problem:
            raise HftError(
                f"{path} is not a passport: {type(problem).__name__}: {problem}",
                "name a run folder or its passport.json",
            ) from None
    run = runs.find(place).resolve()
    return f"{run.parent.name}/{run.name}", runs.passport(run)


def compare(one: dict, other: dict, most: float = MOST, mean: float = MEAN) -> Comparison:
    """Compare two passports; losses may differ by `most` at a step and by `mean` on average."""
    found = [(what, said) for what, said in differences(one, other) if said]
    curve, together = curves(one["training"].get("losses") or [], other["training"].get("losses") or [], most, mean)
    scores, alike = evaluations(one["evaluation"], other["evaluation"])
    decisive = any(what in DECISIVE for what, _ in found)
    if not decisive and runs.weights(one) and runs.weights(one) == runs.weights(other):
        return Comparison("identical", found, curve, scores)
    return Comparison("match" if together and alike and not decisive else "differ", found, curve, scores)


def differences(one: dict, other: dict):
    """(what, in words or an empty text) in the order that matters."""
    yield (
        "recipe",
        changed(flat(one["recipe"]["values"]), flat(other["recipe"]["values"]), {"description"})
        or ("the Python beside it" if one["recipe"]["python"] != other["recipe"]["python"] else ""),
    )
    rows = (
        "other rows, or in another order" if one["data"]["tokens_in_order"] != other["data"]["tokens_in_order"] else ""
    )
    yield "data", changed(flat(one["data"]["sources"]), flat(other["data"]["sources"])) or rows
    yield "base model", changed(weights_of(one["model"]), weights_of(other["model"]))
    for what, part in (
        ("parent", parent),
        ("libraries", lambda facts: facts["libraries"]),
        ("image", in_image),
        ("machine", machine),
        ("plan", lambda facts: facts["plan"]),
    ):
        yield what, changed(part(one), part(other), {"why", "expected_gib", "correction"})


def parent(facts: dict) -> dict:
    return {key: (facts.get("parent") or {}).get(key) for key in ("recipe", "digest", "weights")}


def in_image(facts: dict) -> dict:
    manifest = facts["machine"].get("image")
    return image.digests(manifest) if manifest else {"image": None}


def machine(facts: dict) -> dict:
    """GPUs, processor, and the C library, whose exponential and logarithm a CPU's training takes."""
    there = facts["machine"]
    return {
        "gpus": [gpu["name"] for gpu in there["gpus"]],
        "cpu": there["cpu"],
        "libc": there.get("system", "").partition("-with-")[2],
    }


def weights_of(model: dict) -> dict:
    """What identifies a base model: its files where they are known, else its commit; not where it lay."""
    return {**model["files"], **({} if model["files"] else {"name": model["name"], "commit": model["commit"]})}


def flat(value, key: str = "") -> dict:
    """`{dotted key: value}` of nested dictionaries and lists."""
    if isinstance(value, (dict, list)) and value:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            path: leaf
            for name, part in inner
            for path, leaf in flat(part, f"{key}.{name}" if key else str(name)).items()
        }
    return {key: value}


def changed(one: dict, other: dict, aside: set[str] = frozenset()) -> str:
    """The first two keys whose values differ, with both values; an empty text when none does."""
    keys = [key for key in {**one, **other} if key not in aside and one.get(key) != other.get(key)]
    said = [f"{key}: {short(one.get(key))} / {short(other.get(key))}" for key in keys[:2]]
    return "; ".join(said) + (f"; and {len(keys) - 2} more" if len(keys) > 2 else "")


def short(value) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def curves(one: list[float], other: list[float], most: float, mean: float) -> tuple[str, bool]:
    """(how two loss curves compare, True when they agree): all steps, none further apart than `most`, on average within `mean`."""
    apart = [
        gap if (gap := abs(a - b)) == gap else math.inf for a, b in zip(one, other, strict=False)
    ]  # NaN is far from all
    if not apart:
        return "no losses to compare", False
    average = sum(apart) / len(apart)
    said = f"{len(apart)} steps, losses at most {max(apart):.2g} and on average {average:.2g} apart"
    parted = next((step for step, gap in enumerate(apart, 1) if not gap <= most), None)
    if parted:
        return f"{said}; they part at step {parted}: {one[parted - 1]:.4f} / {other[parted - 1]:.4f}", False
    if len(one) != len(other):
        return f"{said}; one ends after step {min(len(one), len(other))} of {max(len(one), len(other))}", False
    return (said, True) if average <= mean else (f"{said}, more than {mean:g}", False)


def evaluations(one: dict | None, other: dict | None) -> tuple[str, bool]:
    """(how the trained models' scores compare, True when each lies in the other's interval, or when none was asked)."""
    asked = [
        next((column[name] for name in ("adapter", "model") if name in column), None) if column else None
        for column in (one, other)
    ]
    if asked == [None, None]:
        return "not evaluated", True
    if None in asked:
        return "only one was evaluated", False
    (name, first), (_, second) = map(evaluate.headline, asked)
    said = f"{name} " + " / ".join(
        f"{cell['mean']:.1f} [{cell['low']:.1f}, {cell['high']:.1f}]" for cell in (first, second)
    )
    return said, second["low"] <= first["mean"] <= second["high"] or first["low"] <= second["mean"] <= first["high"]


def text(names: tuple[str, str], found: Comparison) -> str:
    """The comparison as a small table, its verdict last."""
    lines = [
        ["first difference" if i == 0 else "then", f"{what}: {said}"]
        for i, (what, said) in enumerate(found.differences)
    ]
    same = [["differences", "none in recipe, data, weights, libraries, image, machine, plan"]]
    ending = [["curves", found.curve], ["scores", found.scores], ["verdict", found.verdict]]
    return columns([["A", names[0]], ["B", names[1]], *(lines or same), *ending])
