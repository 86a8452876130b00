"""What every source, format, reward, backend and method keeps: each check returns the violations of one as text."""

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import get_args

from hft.errors import HftError
from hft.evaluate.reasoning import Tags
from hft.recipe.section import Section

SOURCE = {  # function: its arguments
    "rows": ["source", "beside"],
    "locate": ["source"],
    "facts": ["source", "beside"],
}
BACKEND = {
    "load": ["spec", "plan", "rank"],
    "add_lora": ["model", "spec", "plan", "seed"],
    "generate": ["model", "tokenizer", "prompts", "max_new_tokens", "plan", "what", "drawn", "one_line"],
}
METHOD = {"train": ["model", "tokenizer", "samples", "recipe", "plan", "run", "stop_after"]}
COMPLETIONS = ["", None, [{"role": "assistant", "content": "<think>a</think>b"}]]
RANGE = re.compile(r"in \[(.+), (.+)\]")


def has(module: ModuleType, functions: dict[str, list[str]]) -> list[str]:
    """Functions that are missing, or have other arguments, or no docstring of one sentence first."""
    wrong = []
    for name, wanted in functions.items():
        function = getattr(module, name, None)
        if not inspect.isfunction(function):
            wrong.append(f"{name}: missing")
        elif (given := list(inspect.signature(function).parameters)) != wanted:
            wrong.append(f"{name}({', '.join(given)}): its arguments are {', '.join(wanted)}")
        else:
            wrong += sentence(name, function)
    return wrong


def sentence(name: str, thing: object) -> list[str]:
    """A docstring begins with a line that is a sentence."""
    first = (getattr(thing, "__doc__", None) or "").strip().partition("\n")[0]
    return [] if first.endswith(".") else [f"{name}: its docstring does not begin with a line that is a sentence"]


def source(module: ModuleType, empty: Path) -> list[str]:
    """A source: its section, what is known of its rows, and a clear error where they are not (`empty` has no data)."""
    name = module.__name__.rpartition(".")[2]
    wrong = has(module, SOURCE)
    if not isinstance(getattr(module, "LICENCE", ...), str | None):
        wrong.append("LICENCE: what a model card says of its rows, or None where it has to be asked for")
    if not isinstance(getattr(module, "CHEAP", None), bool):
        wrong.append("CHEAP: True or False")
    spec = getattr(module, "Spec", None)
    if not (isinstance(spec, type) and issubclass(spec, Section)):
        return [*wrong, "Spec: a Section, with what a recipe says of it"]
    if get_args(spec.model_fields["source"].annotation) != (name,):
        wrong.append(f"Spec.source: only '{name}'")
    wrong += [
        f"Spec.{field}: no description"
        for field, about in spec.model_fields.items()
        if field != "source" and not about.description
    ]
    if not wrong and module.CHEAP:
        needed = [field for field, about in spec.model_fields.items() if about.is_required()]
        given = spec(**{field: name if field == "source" else "nothing" for field in needed})
        for function in (module.rows, module.facts):
            try:
                list(function(given, empty))
            except HftError:
                continue
            except Exception as error:
                wrong.append(f"{function.__name__}: {type(error).__name__} instead of HftError where there is no data")
            else:
                wrong.append(f"{function.__name__}: no error where there is no data")
    return wrong


def format(function: Callable) -> list[str]:
    """A format: (row, told) -> (prompt, answer); a KeyError names each column that a row lacks."""
    wrong = sentence(function.__name__, function)
    if (given := list(inspect.signature(function).parameters)) != ["row", "told"]:
        return [*wrong, f"{function.__name__}({', '.join(given)}): its arguments are row, told"]
    for told in (None, "Do this."):
        row: dict[str, str] = {}
        while True:
            try:
                made = function(dict(row), told)
                break
            except KeyError as error:
                words = re.findall(r"'(\w+)'", repr(error).partition(";")[0])
                named = [name for name in words if name not in row]
                if not named:
                    return [*wrong, f"{function.__name__}: {error!r} names no column that the row {row} lacks"]
                row[named[0]] = "text"
        if not row:
            wrong.append(f"{function.__name__}: no error for a row without columns")
        if not (
            isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], str | list) and isinstance(made[1], str)
        ):
            wrong.append(f"{function.__name__}: {made!r} is no (prompt, answer)")
    return wrong


def reward(function: Callable) -> list[str]:
    """A reward: (completions, its columns, *, tags, compat, options, **columns) -> scores in the range it states."""
    name, parameters = function.__name__, inspect.signature(function).parameters
    wrong = sentence(name, function)
    kinds = {parameter: about.kind for parameter, about in parameters.items()}
    if list(kinds)[:1] != ["completions"]:
        wrong.append(f"{name}: its first argument is not 'completions'")
    wrong += [
        f"{name}: '{n}' is not keyword-only"
        for n in ("tags", "compat")
        if kinds.get(n) != inspect.Parameter.KEYWORD_ONLY
    ]
    if kinds.get("columns") != inspect.Parameter.VAR_KEYWORD:
        wrong.append(f"{name}: no **columns for the columns that it does not read")
    wrong += [
        f"{name}: '{n}' has a default, so it is an option: keyword-only"
        for n, about in parameters.items()
        if about.default is not about.empty and about.kind != about.KEYWORD_ONLY
    ]
    stated = RANGE.search(function.__doc__ or "")
    if not stated and "one of its three scores" not in (function.__doc__ or ""):
        wrong.append(f"{name}: its docstring has no range, such as: in [0, 1]")
    if wrong:
        return wrong
    columns = [n for n, kind in kinds.items() if kind == inspect.Parameter.POSITIONAL_OR_KEYWORD][1:]
    options = [
        n for n, about in parameters.items() if about.kind == about.KEYWORD_ONLY and about.default is about.empty
    ]
    scores = function(
        COMPLETIONS,
        **{column: ["text"] * len(COMPLETIONS) for column in columns},
        **{option: Tags() if option == "tags" else "en" for option in options},
        another_column=[None] * len(COMPLETIONS),
    )
    if not (isinstance(scores, list) and len(scores) == len(COMPLETIONS) and all(map(finite, scores))):
        return [f"{name}: {scores} is not {len(COMPLETIONS)} finite floats"]
    if stated:
        defaults = {n: about.default for n, about in parameters.items()}
        low, high = (eval(re.sub(r"(\d) (\w)", r"\1 * \2", bound), {}, defaults) for bound in stated.groups())
        wrong += [
            f"{name}: {score} is not in its range [{low}, {high}]" for score in scores if not low <= score <= high
        ]
    return wrong


def finite(score: object) -> bool:
    """A float that is a number."""
    return isinstance(score, float) and math.isfinite(score)


def backend(module: ModuleType) -> list[str]:
    """A backend: twins, so that all else can use either; merging is not theirs."""
    return has(module, BACKEND) + (["merge: no backend merges"] if hasattr(module, "merge") else [])


def method(module: ModuleType) -> list[str]:
    """A method: one function that trains."""
    return has(module, METHOD)
