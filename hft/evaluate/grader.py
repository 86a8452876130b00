"""A recipe's rewards as TRL calls them: built-in ones and those beside the recipe, with their options; and what they judged."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

from hft.errors import HftError
from hft.evaluate import reasoning, rewards
from hft.evaluate.reasoning import Tags
from hft.recipe import beside as hooks
from hft.recipe.file import Loaded
from hft.recipe.schema import Grpo, Recipe, Reward

OWN = (
    "it is called as  def right(completions, answer, **columns)  and returns a list with one number for each completion"
)


def of(recipe: Recipe, beside: Path, tokenizer=None) -> list[Callable]:
    """One function a reward, named as in the recipe. Raises HftError for one that is not there or has no such option."""
    around = reasoning.tags(recipe, tokenizer)
    made = [judge(one, beside, around) for one in recipe.rewards]
    names = [one.__name__ for one in made]
    for position, one in enumerate(made):  # scores are kept by name: the second `answer` is answer_2
        if before := names[:position].count(names[position]):
            one.__name__ += f"_{before + 1}"
    return made


def judge(told: Reward, beside: Path, around: Tags) -> Callable:
    """One reward with its options bound; every completion must get a finite number."""
    function = hooks.load(told.name, beside) if ":" in told.name else rewards.BUILT_IN[told.name]
    bound = {**told.options, "compat": told.compat, "tags": around}
    known = inspect.signature(function).parameters
    if ":" in told.name and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        bound = {name: value for name, value in bound.items() if name in known}

    def scores(prompts, completions, completion_ids=None, **columns):
        try:
            given = function(completions=completions, prompts=prompts, **{**columns, **bound})
            wrong = (
                None
                if isinstance(given, (list, tuple)) and len(given) == len(completions) and all(map(is_number, given))
                else (f"it gave {str(given)[:80]} for {len(completions)} completions")
            )
        except Exception as problem:  # the recipe's own function may raise anything
            if ":" not in told.name:
                raise
            wrong = f"{type(problem).__name__}: {problem}"
        if wrong and ":" in told.name:
            raise HftError(f"the reward {told.name}: {wrong}", OWN)
        return given

    scores.__name__ = told.name.rpartition(":")[2]
    return scores


def is_number(score) -> bool:
    return score is None or isinstance(score, (int, float))


def mistakes(recipe: Recipe, beside: Path) -> list[tuple[int, str]]:
    """(position, mistake) of rewards that do not exist or have no such option; runs nothing."""
    found = []
    for position, one in enumerate(recipe.rewards):
        if ":" in one.name:
            said = hooks.problem(one.name, beside)
        elif one.name not in rewards.BUILT_IN:
            from hft.recipe.catalogue import suggest

            said = (
                f"unknown reward '{one.name}'{suggest(one.name, rewards.BUILT_IN)}; known: {', '.join(rewards.BUILT_IN)}, "
                "or file.py:function beside the recipe"
            )
        else:
            said = wrong_options(one)
        if said:
            found.append((position, said))
    return found


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
    return None


def recorded(judges: list[Callable], path: Path, told: Grpo) -> list[Callable]:
    """The same rewards; every `keep_completions` steps the first prompt's completions and their scores are appended to `path`."""
    seen = {}

    def watched(function, last):
        def scores(prompts, completions, trainer_state=None, **columns):
            given = function(prompts=prompts, completions=completions, trainer_state=trainer_state, **columns)
            if any(one is None or one != one or one in (float("inf"), float("-inf")) for one in given):
                raise HftError(
                    f"the reward {function.__name__} gave a score that is not a finite number: {given}",
                    "mend it, then look at it with: hft rewards NAME",
                )
            seen[function.__name__] = given
            step = trainer_state.global_step if trainer_state else 0
            if last and step % told.keep_completions == 0:
                with path.open("a", encoding="utf-8") as out:
                    for i in range(min(told.generations, len(completions))):
                        out.write(
                            json.dumps(
                                {
                                    "step": step,
                                    "prompt": prompts[i],
                                    "completion": rewards.text_of(completions[i]),
                                    "rewards": {name: round(s[i], 4) for name, s in seen.items()},
                                },
                                ensure_ascii=False,
                            )
                            + "\n"
                        )
            return given

        scores.__name__ = function.__name__
        return scores

    return [watched(function, function is judges[-1]) for function in judges]


def judged(loaded: Loaded, samples: list, answers: list[str], tokenizer) -> list[tuple[float, dict]] | None:
    """(weighted sum, `{reward: score}`) of each answer to a held-out prompt; None for a recipe without rewards."""
    told = loaded.recipe.rewards
    if not told:
        return None
    columns = {name: [one.row.get(name) for one in samples] for name in samples[0].row}
    columns |= {"answer": [one.answers[0] for one in samples]}
    chat = isinstance(samples[0].prompt, list)
    completions = [[{"role": "assistant", "content": text}] if chat else text for text in answers]
    each = {
        judge.__name__: judge(prompts=[one.prompt for one in samples], completions=completions, **columns)
        for judge in of(loaded.recipe, loaded.code, tokenizer)
    }
    return [
        (
            sum(one.weight * scores[i] for one, scores in zip(told, each.values(), strict=True)),
            {name: scores[i] for name, scores in each.items()},
        )
        for i in range(len(samples))
    ]
