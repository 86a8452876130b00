"""`hft compare`: do two runs match? What differs is named in the order that matters, and where the curves part."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hft.errors import HftError
from hft.evaluate.scores import cell, headline_of_json
from hft.runs import folder as runs
from hft.runs import image
from hft.terminal import columns

# Differences of losses that micro-batches, backends and bf16 explain: 0.017 and 0.006 (README, Tested).
MOST, MEAN = 2e-2, 8e-3
# What two runs of one recipe share; another value of these means another run, whatever the curves say.
DECISIVE = ("recipe", "data", "base model", "parent")


class Comparison(NamedTuple):
    """verdict: identical (the same trained weights), match (the same made again, within rounding), differ."""

    verdict: str
    differences: list[tuple[str, str]]  # (what, in words), the most important first
    curve: str
    scores: str


def passport(place: str) -> tuple[str, dict[str, Any]]:
    """(name, passport) of a run folder, a recipe's newest run, or a passport file.

    Raises HftError for anything else.
    """
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
    return f"{run.parent.name}/{run.name}", runs.finished_passport(run)


def compare(a: dict[str, Any], b: dict[str, Any], most: float = MOST, mean: float = MEAN) -> Comparison:
    """Compare two passports; losses may differ by `most` at a step and by `mean` on average."""
    differ = [(what, words) for what, words in differences(a, b) if words]
    curve, together = curves(a["training"].get("losses") or [], b["training"].get("losses") or [], most, mean)
    scores, alike = evaluations(a["evaluation"], b["evaluation"])
    decisive = any(what in DECISIVE for what, _ in differ)
    if not decisive and runs.weights(a) and runs.weights(a) == runs.weights(b):
        return Comparison("identical", differ, curve, scores)
    return Comparison("match" if together and alike and not decisive else "differ", differ, curve, scores)


def differences(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, in words or an empty text) in the order that matters."""
    values = changed(flat(a["recipe"]["values"]), flat(b["recipe"]["values"]), frozenset({"description"}))
    python = "the Python beside it" if a["recipe"]["python"] != b["recipe"]["python"] else ""
    yield "recipe", values or python
    order = "other rows, or in another order" if a["data"]["tokens_in_order"] != b["data"]["tokens_in_order"] else ""
    yield "data", changed(flat(a["data"]["sources"]), flat(b["data"]["sources"])) or order
    yield "base model", changed(weights_of(a["model"]), weights_of(b["model"]))
    yield "parent", changed(parent(a), parent(b))
    yield "libraries", changed(a["libraries"], b["libraries"])
    yield "image", changed(in_image(a), in_image(b))
    yield "machine", changed(machine(a), machine(b))
    yield "plan", changed(a["plan"], b["plan"], frozenset({"why", "expected_gib", "correction"}))


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
    """A value in few characters; of a hash its beginning."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def curves(a: list[float], b: list[float], most: float, mean: float) -> tuple[str, bool]:
    """(how two loss curves compare, True when they agree).

    They agree with all steps in both, none further apart than `most`, on average within `mean`; NaN is far from all.
    """
    gaps = [abs(x - y) for x, y in zip(a, b, strict=False)]
    apart = [math.inf if math.isnan(gap) else gap for gap in gaps]
    if not apart:
        return "no losses to compare", False
    average = sum(apart) / len(apart)
    words = f"{len(apart)} steps, losses at most {max(apart):.2g} and on average {average:.2g} apart"
    if parted := next((step for step, gap in enumerate(apart, 1) if gap > most), None):
        return f"{words}; they part at step {parted}: {a[parted - 1]:.4f} / {b[parted - 1]:.4f}", False
    if len(a) != len(b):
        return f"{words}; one ends after step {min(len(a), len(b))} of {max(len(a), len(b))}", False
    return (words, True) if average <= mean else (f"{words}, more than {mean:g}", False)


def evaluations(a: dict[str, Any] | None, b: dict[str, Any] | None) -> tuple[str, bool]:
    """(how the trained models' scores compare, True when each lies in the other's interval, or when none was asked)."""
    before, after = trained(a), trained(b)
    if before is None and after is None:
        return "not evaluated", True
    if before is None or after is None:
        return "only one was evaluated", False
    (name, first), (_, second) = headline_of_json(before), headline_of_json(after)
    alike = second.low <= first.mean <= second.high or first.low <= second.mean <= first.high
    return f"{name} {cell(first)} / {cell(second)}", alike


def trained(evaluation: dict[str, Any] | None) -> dict[str, Any] | None:
    """The trained model's column of a passport's evaluation; None where it was not asked."""
    return next((evaluation[name] for name in ("adapter", "model") if name in evaluation), None) if evaluation else None


def text(names: tuple[str, str], comparison: Comparison) -> str:
    """The comparison as a small table, its verdict last."""
    lines = [
        ["first difference" if i == 0 else "then", f"{what}: {words}"]
        for i, (what, words) in enumerate(comparison.differences)
    ]
    same = [["differences", "none in recipe, data, weights, libraries, image, machine, plan"]]
    ending = [["curves", comparison.curve], ["scores", comparison.scores], ["verdict", comparison.verdict]]
    return columns([["A", names[0]], ["B", names[1]], *(lines or same), *ending])
