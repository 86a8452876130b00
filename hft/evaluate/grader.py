"""A recipe's rewards as TRL calls them, built-in and beside the recipe, with their options; and what they judged."""

import inspect
import json
import math
from collections.abc import Callable, Iterable
from numbers import Real
from pathlib import Path
from typing import Any

from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import languages, reasoning, rewards
from hft.evaluate.reasoning import Tags
from hft.recipe import beside
from hft.recipe.catalogue import suggest
from hft.recipe.file import Loaded
from hft.recipe.schema import Grpo, Recipe, Reward

OWN = (
    "it is called as  def right(completions, answer, **columns)  and returns a list with one finite number for each "
    "completion"
)
BUILT_IN = "look at its options in the recipe, and at the columns that it reads: hft prepare NAME"


def of(recipe: Recipe, folder: Path, tokenizer: Any = None) -> list[Callable[..., list[float]]]:
    """One function a reward, named as in the recipe. Raises HftError for one that is not there."""
    around = reasoning.tags(recipe, tokenizer)
    judges = [judge(told, folder, around) for told in recipe.rewards or []]
    names = [function.__name__ for function in judges]
    for position, function in enumerate(judges):  # scores are kept by name: the second `answer` is answer_2
        if before := names[:position].count(names[position]):
            function.__name__ += f"_{before + 1}"
    return judges


def judge(told: Reward, folder: Path, around: Tags) -> Callable[..., list[float]]:
    """One reward with its options bound; `folder` is where the recipe's own Python lies.

    What it returns raises HftError unless every completion gets a finite number. NumPy's and torch's numbers are taken
    for what they say, True for 1 and False for 0.
    """
    own = ":" in told.name
    function = beside.load(told.name, folder) if own else rewards.BUILT_IN[told.name]
    bound = {**told.options, "compat": told.compat, "tags": around}
    known = inspect.signature(function).parameters
    if own and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        bound = {name: value for name, value in bound.items() if name in known}

    def scores(prompts: list, completions: list, completion_ids: list | None = None, **columns: Any) -> list[float]:
        try:
            given = function(completions=completions, prompts=prompts, **{**columns, **bound})
            return floats(given, len(completions))
        except HftError:
            raise
        except Exception as problem:  # the recipe's own function may raise anything
            if isinstance(problem, OSError) and not own:  # the disk is to blame, not the recipe
                raise
            reason = str(problem) if isinstance(problem, Wrong) else f"{type(problem).__name__}: {problem}"
            raise HftError(f"the reward {told.name}: {reason}", OWN if own else BUILT_IN) from problem

    scores.__name__ = told.name.rpartition(":")[2]
    return scores


class Wrong(ValueError):
    """What a reward gave is not one finite number a completion."""


def floats(given: Any, count: int) -> list[float]:
    """A reward's `count` scores. Raises Wrong."""
    scores = given.tolist() if hasattr(given, "tolist") else given  # an array of NumPy or torch
    if not isinstance(scores, (list, tuple)) or len(scores) != count:
        raise Wrong(f"it gave {str(given)[:80]} for {count} completions")
    values = []
    for number, score in enumerate(scores, 1):
        if (value := finite(score)) is None:
            raise Wrong(f"it gave {str(score)[:80]} for completion {number} of {count}")
        values.append(value)
    return values


def finite(score: Any) -> float | None:
    """A score as a float; None for what is no finite number."""
    try:
        if not isinstance(score, Real) and hasattr(score, "item"):  # NumPy's or torch's, of one number
            score = score.item()
        value = float(score) if isinstance(score, Real) else math.nan
    except (ValueError, RuntimeError, OverflowError):  # several numbers, or one that no float holds
        return None
    return value if math.isfinite(value) else None


def mistakes(recipe: Recipe, folder: Path) -> list[tuple[int, str]]:
    """(position, mistake) of rewards that do not exist or have no such option; runs nothing."""
    reasons = [(position, mistake(told, folder)) for position, told in enumerate(recipe.rewards or [])]
    return [(position, reason) for position, reason in reasons if reason]


def mistake(told: Reward, folder: Path) -> str | None:
    """What is wrong with a reward as the recipe writes it; None when nothing is."""
    if ":" in told.name:
        return beside.problem(told.name, folder)
    if told.name not in rewards.BUILT_IN:
        return (
            f"unknown reward '{told.name}'{suggest(told.name, rewards.BUILT_IN)}; "
            f"known: {', '.join(rewards.BUILT_IN)}, or file.py:function beside the recipe"
        )
    return wrong_options(told)


def wrong_options(told: Reward) -> str | None:
    """What is wrong with the options of a built-in reward."""
    known = {
        name: p
        for name, p in inspect.signature(rewards.BUILT_IN[told.name]).parameters.items()
        if p.kind is p.KEYWORD_ONLY and name not in ("tags", "compat")
    }
    if strange := sorted(set(told.options) - set(known)):
        return f"{told.name} has no option '{strange[0]}'; it has: {', '.join(known)}"
    if absent := [name for name, p in known.items() if p.default is p.empty and name not in told.options]:
        return f"{told.name} needs options.{absent[0]}"
    if (detector := told.options.get("detector", "langid")) not in languages.DETECTORS:
        return f"options.detector is one of {', '.join(languages.DETECTORS)}, not {detector!r}"
    return None


def recorded(judges: list[Callable[..., list[float]]], path: Path, told: Grpo) -> list[Callable[..., list[float]]]:
    """The same rewards, with a record of what they judge.

    Every `keep_completions` steps the first prompt's completions and their scores are appended to `path`.
    """
    seen: dict[str, list[float]] = {}

    def keep(step: int, prompts: list, completions: list) -> None:
        with path.open("a", encoding="utf-8") as out:
            for i in range(min(told.generations, len(completions))):
                record = {
                    "step": step,
                    "prompt": prompts[i],
                    "completion": rewards.text_of(completions[i]),
                    "rewards": {name: round(scores[i], 4) for name, scores in seen.items()},
                }
                out.write(json.dumps(record, ensure_ascii=False) + "\n")

    def watched(function: Callable[..., list[float]], last: bool) -> Callable[..., list[float]]:
        def scores(prompts: list, completions: list, trainer_state: Any = None, **columns: Any) -> list[float]:
            given = function(prompts=prompts, completions=completions, trainer_state=trainer_state, **columns)
            seen[function.__name__] = given
            step = trainer_state.global_step if trainer_state else 0
            if last and step % told.keep_completions == 0:
                keep(step, prompts, completions)
            return given

        scores.__name__ = function.__name__
        return scores

    return [watched(function, function is judges[-1]) for function in judges]


def weighted(told: list[Reward], scores: Iterable[float]) -> float:
    """The sum of a completion's scores, in the order of the recipe's rewards, that training compares."""
    return sum(reward.weight * score for reward, score in zip(told, scores, strict=True))


def judged(
    loaded: Loaded, samples: list[Sample], answers: list[str], tokenizer: Any
) -> list[tuple[float, dict[str, float]]] | None:
    """(weighted sum, `{reward: score}`) of each answer to a row's prompt; None for a recipe without rewards."""
    told = loaded.recipe.rewards
    if not told:
        return None
    names = dict.fromkeys(name for sample in samples for name in sample.row)
    columns = {name: [sample.row.get(name) for sample in samples] for name in names}
    columns |= {"answer": [sample.answers[0] for sample in samples]}
    chat = isinstance(samples[0].prompt, list)
    completions = [[{"role": "assistant", "content": text}] if chat else text for text in answers]
    prompts = [sample.prompt for sample in samples]
    each = {
        function.__name__: function(prompts=prompts, completions=completions, **columns)
        for function in of(loaded.recipe, loaded.code, tokenizer)
    }
    rows = [dict(zip(each, row, strict=True)) for row in zip(*each.values(), strict=True)]
    return [(weighted(told, row.values()), row) for row in rows]
