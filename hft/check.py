"""A recipe against the world: the models, formats, files, parents and rewards that it names."""

from pathlib import Path

from hft.recipe import file as recipe_file
from hft.recipe.catalogue import catalogue, suggest
from hft.recipe.file import Loaded
from hft.recipe.mistakes import place
from hft.recipe.sources import parts


def load(name: str, overrides: tuple[str, ...] = ()) -> Loaded:
    """Find a recipe and check it, with all that it points to. Raises HftError that names every mistake."""
    loaded = recipe_file.load(name, overrides)
    if mistakes := references(loaded):
        raise recipe_file.refused(name, loaded.path, mistakes)
    return loaded


def references(loaded: Loaded) -> list[str]:
    """Mistakes in what a loaded recipe points to: models, prompt formats, functions beside it, file names."""
    mistakes, recipe = [], loaded.recipe
    if recipe.model.quantization == "none" and recipe.model.name.endswith("-bnb-4bit"):
        mistakes.append(
            f"{place(('model', 'quantization'), loaded.origins)}: model.quantization: {recipe.model.name} is stored in 4 bits; "
            "name the model in 16 bits, without -bnb-4bit"
        )
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
                mistakes.append(
                    f"{place((*key, name), loaded.origins)}: {'.'.join((*key, name))}: a recipe holds no paths of one machine; "
                    "give the name inside the data folder, and the folder as DATA=/path (hft: HFT_DATA=/path)"
                )
    for key, written in named:
        if said := wrong_format(written, loaded.code):
            mistakes.append(f"{place(key, loaded.origins)}: {'.'.join(key)}: {said}")
    if recipe.parent:
        mistakes += wrong_parent(loaded)
    if loaded.recipe.rewards:
        from hft.evaluate import grader

        for position, said in grader.mistakes(loaded.recipe, loaded.code):
            mistakes.append(f"{place(('rewards', str(position)), loaded.origins)}: rewards: {said}")
    return mistakes


def wrong_format(written: str, folder: Path) -> str | None:
    """What is wrong with the name of a prompt format."""
    from hft.data import formats
    from hft.recipe import beside

    if ":" in written:
        return beside.problem(written, folder)
    if written not in formats.FORMATS:
        return (
            f"unknown format '{written}'{suggest(written, formats.FORMATS)}; known: {', '.join(formats.FORMATS)}, "
            "or file.py:function beside the recipe"
        )
    return None


def wrong_parent(loaded) -> list[str]:
    """The mistake of a parent that there is no recipe of, or of stages in a circle."""
    from hft.recipe.file import read

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
