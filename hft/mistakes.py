"""The mistakes of a recipe in words: where, which key, what to write instead."""

from pathlib import Path

from hft.catalogue import catalogue, suggest
from hft.recipe import Recipe
from hft.recipe_data import Aihub, Codeio, Hub, Jsonl, Korquad, Mixture, parts

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
            said = f"{given!r} is not text; put it in quotes: \"{given}\""
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


def references(loaded) -> list[str]:
    """Mistakes in what a loaded recipe points to: models, prompt formats, functions beside it, file names."""
    mistakes, recipe = [], loaded.recipe
    if recipe.model.quantization == "none" and recipe.model.name.endswith("-bnb-4bit"):
        mistakes.append(f"{place(('model', 'quantization'), loaded.origins)}: model.quantization: {recipe.model.name} is stored in 4 bits; "
                        "name the model in 16 bits, without -bnb-4bit")
    named = [(("prompt", "format"), recipe.prompt.format)]
    for side in ("train", "evaluate"):
        source = getattr(recipe.data, side)
        for number, part in enumerate(parts(source)):
            key = ("data", side, *(("parts", str(number)) if source.source == "mixture" else ()))
            if part.format:
                named.append(((*key, "format"), part.format))
            name = "folder" if part.source == "aihub" else "file"
            file = getattr(part, name, None)
            if file and (Path(file).is_absolute() or ".." in Path(file).parts):
                mistakes.append(f"{place((*key, name), loaded.origins)}: {'.'.join((*key, name))}: a recipe holds no paths of one machine; "
                                "give the name inside the data folder, and the folder as DATA=/path (hft: HFT_DATA=/path)")
    for key, written in named:
        if said := wrong_format(written, loaded.code):
            mistakes.append(f"{place(key, loaded.origins)}: {'.'.join(key)}: {said}")
    if recipe.parent:
        mistakes += wrong_parent(loaded)
    if loaded.recipe.rewards:
        from hft import judges

        for position, said in judges.mistakes(loaded.recipe, loaded.code):
            mistakes.append(f"{place(('rewards', str(position)), loaded.origins)}: rewards: {said}")
    return mistakes


def wrong_format(written: str, folder: Path) -> str | None:
    """What is wrong with the name of a prompt format."""
    from hft import hooks, prompts

    if ":" in written:
        return hooks.problem(written, folder)
    if written not in prompts.FORMATS:
        return (f"unknown format '{written}'{suggest(written, prompts.FORMATS)}; known: {', '.join(prompts.FORMATS)}, "
                "or file.py:function beside the recipe")
    return None


def wrong_parent(loaded) -> list[str]:
    """The mistake of a parent that there is no recipe of, or of stages in a circle."""
    from hft.recipe_file import read

    known, seen, name = catalogue(), [loaded.name], loaded.recipe.parent.recipe
    where = f"{place(('parent',), loaded.origins)}: parent"
    while name:
        if name in seen:
            return [f"{where}: a circle: {' -> '.join([*seen, name])}"]
        if name not in known:
            return [f"{where}: no recipe '{name}'{suggest(name, known)}"]
        seen.append(name)
        parent = read(known[name].read_text(encoding="utf-8-sig", errors="replace"))[1].get("parent")
        name = parent.get("recipe") if isinstance(parent, dict) else parent
    return []
