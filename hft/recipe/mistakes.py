"""The mistakes of a recipe in words: where, which key, what to write instead."""

from typing import Any, get_args

from pydantic_core import ErrorDetails

from hft.recipe.catalogue import suggest
from hft.recipe.schema import Recipe
from hft.recipe.section import Section
from hft.recipe.sources import SOURCES

Key = tuple[str, ...]


def describe(error: ErrorDetails, origins: dict[Key, str]) -> str:
    """One mistake in one line: where, which key, what to write instead."""
    key = tuple(str(part) for part in error["loc"])
    if key[:1] == ("data",):
        key = tuple(part for part in key if part not in SOURCES)  # pydantic puts the source's name in between
    if error["type"] == "union_tag_invalid":
        key = (*key, "source")
    where = place(key, origins)
    return f"{where}: {'.'.join(key)}: {reason(error, key)}" if key else f"{where}: {reason(error, key)}"


def reason(error: ErrorDetails, key: Key) -> str:
    """What is wrong with the value of a key, and what may stand there."""
    given = error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{suggest(key[-1], keys_beside(key))}"
        case "missing":
            return "is missing"
        case "union_tag_invalid":
            source = str(given["source"])
            return f"unknown source '{source}'{suggest(source, SOURCES)}; known: {', '.join(SOURCES)}"
        case "union_tag_not_found":
            return f"'source' is missing; known: {', '.join(SOURCES)}"
        case "literal_error":
            options = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            return f"'{given}' is not known{suggest(str(given), options)}; known: {', '.join(options)}"
        case "string_type":
            return f'{given!r} is not text; put it in quotes: "{given}"'
        case "value_error":
            return str(error["ctx"]["error"])
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {given!r}"


def place(key: Key, origins: dict[Key, str]) -> str:
    """Where a value, or the nearest section around it, was written: `line 7`, or the --set option."""
    written = next((origins[key[:n]] for n in range(len(key), 0, -1) if key[:n] in origins), "recipe:1")
    return written if written.startswith("--set") else f"line {written.rpartition(':')[2]}"


def keys_beside(key: Key) -> list[str]:
    """The names that are allowed where `key` stands."""
    section: type[Section] = Recipe
    for part in key[:-1]:
        if part in ("train", "evaluate") and key[0] == "data":
            return sorted({name for source in SOURCES.values() for name in source.model_fields})
        if not part.isdigit():  # an item of a list: the list's own section is meant
            section = section_in(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def section_in(annotation: Any) -> type[Section] | None:
    """The section inside an annotation such as `Lora | None` or `list[Reward]`; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := section_in(part))), None)
