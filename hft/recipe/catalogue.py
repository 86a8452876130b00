"""The recipes that there are, found without reading them; light, so that looking is quick."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


def folders() -> list[Path]:
    """Where recipes are looked for: HFT_RECIPES (a path list), else ./recipes and the ones that come with hft."""
    if given := os.environ.get("HFT_RECIPES"):
        return [Path(part) for part in given.split(os.pathsep) if part]
    own = Path(__file__).resolve().parents[2] / "recipes"
    here = Path("recipes").resolve()
    return [here] if here == own else [here, own]


def catalogue() -> dict[str, Path]:
    """`{name: file}` of every recipe, sorted by name; an earlier folder hides a later one."""
    recipes: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(filter(Path.is_file, folder.glob("*.yaml"))):
            recipes.setdefault(path.stem, path)
    return dict(sorted(recipes.items()))


def suggest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'rank'?` when a known word is close, else an empty string."""
    close = difflib.get_close_matches(word, [one for one in known if one != word], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
