"""The mistakes of a recipe in words: where, which key, what to write instead."""

from hft.recipe.catalogue import suggest
from hft.recipe.schema import Recipe
from hft.recipe.sources import Aihub, Codeio, Hub, Jsonl, Korquad, Mixture

Key = tuple[str, ...]
SOURCES = {"korquad": Korquad, "jsonl": Jsonl, "hub": Hub, "aihub": Aihub, "codeio": Codeio, "mixture": Mixture}


def describe(error: dict, origins: dict[Key, str]) -> str:
    """One mistake in one line: where, which key, what to write instead."""
    key = tuple(str(part) for part in error["loc"])
    if key[:1] == ("data",):
        key = tuple(part for part in key if part not in SOURCES)  # pydantic puts the source's name in between
    if error["type"] == "union_tag_invalid":
        key = (*key, "source")
    where = place(key, origins)
    given = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            said = f"unknown key{suggest(key[-1], keys_beside(key))}"
        case "missing":
            said = "is missing"
        case "union_tag_invalid":
            said = f"unknown source '{given.get('source')}'{suggest(str(given.get('source')), SOURCES)}; known: {', '.join(SOURCES)}"
        case "union_tag_not_found":
            said = f"'source' is missing; known: {', '.join(SOURCES)}"
        case "literal_error":
            options = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            said = f"'{given}' is not known{suggest(str(given), options)}; known: {', '.join(options)}"
        case "string_type":
            said = f'{given!r} is not text; put it in quotes: "{given}"'
        case "value_error":
            said = str(error["ctx"]["error"])
        case _:
            said = f"{error['msg'][0].lower()}{error['msg'][1:]}, not {given!r}"
    return f"{where}: {'.'.join(key)}: {said}" if key else f"{where}: {said}"


def place(key: Key, origins: dict[Key, str]) -> str:
    """Where a value, or the nearest section around it, was written: `line 7`, or the --set option."""
    written = next((origins[key[:n]] for n in range(len(key), 0, -1) if key[:n] in origins), "recipe:1")
    return written if written.startswith("--set") else f"line {written.rpartition(':')[2]}"


def keys_beside(key: Key) -> list[str]:
    """The names that are allowed where `key` stands."""
    model = Recipe
    for part in key[:-1]:
        if part in ("train", "evaluate") and key[0] == "data":
            return sorted({name for source in SOURCES.values() for name in source.model_fields})
        if not part.isdigit():  # an item of a list: the list's own section is meant
            model = section_in(model.model_fields[part].annotation)
    return list(model.model_fields)


def section_in(annotation):
    """The section inside an annotation such as `Lora | None` or `list[Reward]`; None where there is none."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := section_in(part))), None)
