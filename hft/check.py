"""A recipe against the world: the models, formats, files, parents and rewards that it names; nothing is run."""

from collections.abc import Iterator
from pathlib import Path

from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.catalogue import catalogue, suggest
from hft.recipe.file import Loaded
from hft.recipe.mistakes import place
from hft.recipe.sources import parts

Key = tuple[str, ...]


def load(name: str, overrides: tuple[str, ...] = ()) -> Loaded:
    """Find a recipe and check it, with all that it points to. Raises HftError that names every mistake."""
    loaded = recipe_file.load(name, overrides)
    if mistakes := references(loaded):
        raise recipe_file.refused(name, loaded.path, mistakes)
    return loaded


def references(loaded: Loaded) -> list[str]:
    """Mistakes in what a loaded recipe points to, each with its place and key."""
    mistakes = []
    for look in (wrong_model, tied_targets, wrong_paths, wrong_formats, wrong_parent, wrong_also, wrong_rewards):
        for key, mistake in look(loaded):
            name = "rewards" if key[0] == "rewards" else ".".join(key)  # its line says which one
            mistakes.append(f"{place(key, loaded.origins)}: {name}: {mistake}")
    return mistakes


def wrong_model(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of a model in 4 bits that is to be trained in 16."""
    model = loaded.recipe.model
    if model.quantization == "none" and model.name.endswith("-bnb-4bit"):
        mistake = f"{model.name} is stored in 4 bits; name the model in 16 bits, without -bnb-4bit"
        yield ("model", "quantization"), mistake


def tied_targets(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of an adapter on layers that the model ties, where its configuration is at hand."""
    from hft.model import lora

    targets = loaded.recipe.lora.targets if loaded.recipe.lora else []
    if lora.at_an_end(targets):
        from hft.plan import shape

        known = shape.of(loaded.recipe)
        if known and known.tied:
            yield ("lora", "targets"), lora.tied(targets)


def sources_of(loaded: Loaded) -> Iterator[tuple[Key, object]]:
    """(key, source) of every source in the recipe, a mixture's parts one by one."""
    for side in ("train", "evaluate"):
        source = getattr(loaded.recipe.data, side)
        for number, part in enumerate(parts(source)):
            yield ("data", side, *(("parts", str(number)) if source.source == "mixture" else ())), part


def wrong_paths(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of files and folders that are named by a path of one machine."""
    for key, part in sources_of(loaded):
        for name in ("file", "folder", "answers"):
            written = getattr(part, name, None)
            if written and (Path(written).is_absolute() or ".." in Path(written).parts):
                yield (
                    (*key, name),
                    "a recipe holds no paths of one machine; give the name inside the data folder, "
                    "and the folder as DATA=/path (hft: HFT_DATA=/path)",
                )


def wrong_formats(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of prompt formats that are neither built in nor beside the recipe."""
    from hft.data import formats
    from hft.recipe import beside

    named: dict[Key, str] = {("prompt", "format"): loaded.recipe.prompt.format}
    for key, part in sources_of(loaded):
        if written := getattr(part, "format", None):
            named[(*key, "format")] = written
    for key, written in named.items():
        if ":" in written:
            mistake = beside.problem(written, loaded.code)
        elif written not in formats.FORMATS:
            mistake = (
                f"unknown format '{written}'{suggest(written, formats.FORMATS)}; known: {', '.join(formats.FORMATS)}, "
                "or file.py:function beside the recipe"
            )
        else:
            mistake = None
        if mistake:
            yield key, mistake


def wrong_parent(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of a parent that there is no recipe of, or of stages in a circle."""
    if not loaded.recipe.parent:
        return
    known, seen = catalogue(), [loaded.name]
    name: str | None = loaded.recipe.parent.recipe
    while name:
        if name in seen:
            yield ("parent",), f"a circle: {' -> '.join([*seen, name])}"
            return
        if name not in known:
            yield ("parent",), f"no recipe '{name}'{suggest(name, known)}"
            return
        seen.append(name)
        values = recipe_file.read(known[name].read_text(encoding="utf-8-sig", errors="replace"))[1]
        parent = values.get("parent")
        name = parent.get("recipe") if isinstance(parent, dict) else parent


def wrong_also(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of recipes that are to ask too and cannot."""
    key, data = ("evaluate", "also"), loaded.recipe.data
    names = loaded.recipe.evaluate.also or []
    known = catalogue()
    if names and not (data.evaluate or data.held_out):
        yield key, "this recipe has no held-out rows of its own: add data.evaluate or data.held_out"
    for name in names:
        if name == loaded.name:
            yield key, f"{name} asks its own held-out rows anyway: leave it out"
        elif name not in known:
            yield key, f"no recipe '{name}'{suggest(name, known)}"
        else:
            try:
                asked = recipe_file.load(name).recipe.data
            except HftError:
                yield key, f"{name} has mistakes of its own: hft check {name}"
                continue
            if not (asked.evaluate or asked.held_out):
                yield key, f"{name} has no held-out rows to ask: it needs data.evaluate or data.held_out"


def wrong_rewards(loaded: Loaded) -> Iterator[tuple[Key, str]]:
    """(key, mistake) of rewards that do not exist or have no such option."""
    if loaded.recipe.rewards:
        from hft.evaluate import grader

        for position, mistake in grader.mistakes(loaded.recipe, loaded.code):
            yield ("rewards", str(position)), mistake
