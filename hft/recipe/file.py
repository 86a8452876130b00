"""Recipe files: find them, read YAML with line numbers, report every mistake at once, compute the digest."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from hft import files
from hft.errors import HftError
from hft.recipe import mistakes as mistakes_in_words
from hft.recipe.catalogue import catalogue, folders, suggest
from hft.recipe.schema import PARENT, Model, Recipe
from hft.recipe.sources import parts

Key = tuple[str, ...]


class Loaded(NamedTuple):
    """A checked recipe with what is needed to explain it."""

    name: str
    path: Path
    recipe: Recipe
    origins: dict[Key, str]  # for every value in the file or on the command line: where it was set
    text: str
    overrides: tuple[str, ...]
    python: dict[str, str]  # file name: text, of NAME.py beside it and of every file the recipe names
    code: Path  # the folder those files are taken from

    @property
    def digest(self) -> str:
        """SHA-256 in hex over the canonical recipe, without its description, and the Python beside it."""
        values = canonical(self.recipe.model_dump(mode="json", exclude={"description"}, exclude_none=True))
        facts = {"recipe": values, "python": self.python}
        return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def canonical(values: dict) -> dict:
    """A recipe's values with a parent's weights named so, wherever a run of it lies on this machine."""
    if not values.get("parent"):
        return values
    return {**values, "model": {**values["model"], "name": PARENT, "revision": PARENT}}


def load(name: str, overrides: tuple[str, ...] = ()) -> Loaded:
    """Find a recipe and check it against the schema; hft/check.py looks at what it points to.

    Raises HftError that names every mistake.
    """
    known = catalogue()
    if name not in known:
        looked = ", ".join(str(folder) for folder in folders())
        raise HftError(
            f"no recipe '{name}' in {looked}{suggest(name, known)}",
            f"choose one of: {' '.join(known) or '(none found; set HFT_RECIPES)'}",
        )
    path = known[name]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise HftError(
            f"{path}: byte {problem.start} is not UTF-8", f"convert it: iconv -f CP949 -t UTF-8 {path}"
        ) from None
    mistakes, values, lines = read(text)
    origins = {key: f"{path.name}:{line}" for key, line in lines.items()}
    apply_overrides(values, origins, overrides, mistakes)
    if not mistakes:
        try:
            recipe = Recipe.model_validate(values)
        except ValidationError as problem:
            mistakes = [mistakes_in_words.describe(error, origins) for error in problem.errors()]
        else:
            python = python_files(recipe, path.parent, name)
            return Loaded(name, path, recipe, origins, text, overrides, python, path.parent)
    raise refused(name, path, mistakes)


def refused(name: str, path: Path, mistakes: list[str]) -> HftError:
    """The error that names all mistakes of a recipe."""
    count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
    typed = all(mistake.startswith("--set ") for mistake in mistakes)
    return HftError(
        f"{path if not typed else name} has {count}:\n" + "\n".join(f"  {m}" for m in mistakes),
        f"change the option --set; the keys: hft show {name}"
        if typed
        else f"edit {path.name}, then: hft check {name}   (`hft show quickstart` lists every key)",
    )


def python_files(recipe: Recipe, folder: Path, name: str) -> dict[str, str]:
    """The Python that belongs to a recipe: NAME.py and the files of its `file.py:function` values."""
    sources = [part for side in (recipe.data.train, recipe.data.evaluate) for part in parts(side)]
    formats = [recipe.prompt.format, *(part.format or "" for part in sources)]
    values = [*formats, *(reward.name for reward in recipe.rewards or [])]
    wanted = sorted({value.partition(":")[0] for value in values if ":" in value} | {f"{name}.py"})
    return {
        file: (folder / file).read_text(encoding="utf-8", errors="replace")
        for file in wanted
        if (folder / file).is_file()
    }


def load_run(run: Path) -> Loaded:
    """The recipe a run was made with, from the copy in its folder; data is looked for beside the recipe of that name.

    Raises HftError for a folder that holds no run.
    """
    try:
        kept = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(kept["values"])
    except (OSError, ValueError, KeyError) as problem:
        raise HftError(f"{run} is not a run folder: {str(problem).splitlines()[0]}", "see: hft runs") from None
    path = catalogue().get(kept["name"], run / "recipe.yaml")
    text = (run / "recipe.yaml").read_text(encoding="utf-8")
    python = python_files(recipe, run, kept["name"])
    return Loaded(kept["name"], path, recipe, {}, text, tuple(kept["overrides"]), python, run)


def save(loaded: Loaded, run: Path) -> None:
    """Keep the recipe in a run's folder: its text, its checked values, its Python."""
    for name, text in loaded.python.items():
        files.write(run / name, text)
    files.write(run / "recipe.yaml", loaded.text)
    facts = {
        "name": loaded.name,
        "digest": loaded.digest,
        "overrides": list(loaded.overrides),
        "values": canonical(loaded.recipe.model_dump(mode="json")),
    }
    files.write_json(run / "recipe.json", facts)


def read(text: str) -> tuple[list[str], dict, dict[Key, int]]:
    """Parse YAML; returns (mistakes, values, line of every key). A key given twice is a mistake."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        return [f"{where}not YAML: {getattr(problem, 'problem', problem)}"], {}, {}
    if not isinstance(root, yaml.MappingNode):
        return ["line 1: a recipe is a list of `key: value` lines"], {}, {}
    mistakes: list[str] = []
    lines: dict[Key, int] = {}
    walk(root, (), lines, mistakes)
    try:
        values = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as problem:  # such as an impossible date
        return [f"not YAML: {problem}"], {}, {}
    return mistakes, values, lines


def walk(node: yaml.Node, key: Key, lines: dict[Key, int], mistakes: list[str]) -> None:
    """Note the line of every key at and below this node, and the keys that are given twice."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for name_node, value_node in node.value:
            name, line = str(name_node.value), name_node.start_mark.line + 1
            if name in first:
                dotted = ".".join((*key, name))
                mistakes.append(f"line {line}: '{dotted}' is given twice (first in line {first[name]})")
            first.setdefault(name, line)
            lines[*key, name] = line
            walk(value_node, (*key, name), lines, mistakes)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            walk(item, (*key, str(number)), lines, mistakes)


EITHER = {"steps": "epochs", "epochs": "steps", "held_out": "evaluate"}


def inside(target: dict | list, part: str) -> dict | list | None:
    """The section or list at `part`, made where there is none; None for no such item of a list.

    A bare name becomes the section that it stands for.
    """
    place: Any = part
    short: str | None = "recipe" if part == "parent" else None
    if isinstance(target, list):  # one of a mixture's parts, or of the rewards
        if not part.isdigit() or int(part) >= len(target):
            return None
        place, short = int(part), "name"
    value = target[place] if isinstance(target, list) else target.get(place)
    if not isinstance(value, dict | list):
        target[place] = {short: value} if short and isinstance(value, str) else {}
    return target[place]


def apply_overrides(values: dict, origins: dict[Key, str], overrides: tuple[str, ...], mistakes: list[str]) -> None:
    """Put `section.key=value` settings into the values; the value is read as YAML, so numbers stay numbers."""
    for setting in overrides:
        dotted, equals, written = setting.partition("=")
        key = tuple(dotted.strip().split("."))
        if not equals or not all(key):
            mistakes.append(f"--set {setting}: write it as section.key=value, for example --set train.steps=10")
            continue
        try:
            value = yaml.safe_load(written)
        except yaml.YAMLError:
            value = written
        target: dict | list = values
        walked: list[str] = []
        for part in key[:-1]:
            inner = inside(target, part)
            if inner is None:
                break
            target, walked = inner, [*walked, part]
        if isinstance(target, list):
            name = ".".join(walked)
            mistakes.append(f"--set {setting}: {name} is a list of {len(target)}; name one of it, such as {name}.0")
            continue
        target[key[-1]] = value
        if key[-1] in EITHER:  # the two exclude each other: setting one takes the other back
            target.pop(EITHER[key[-1]], None)
        origins[key] = f"--set {setting}"


def origin(loaded: Loaded) -> Model:
    """The model at the beginning of the chain, whose tokenizer all stages have; needs no run."""
    while loaded.recipe.parent:
        loaded = load(loaded.recipe.parent.recipe)
    return loaded.recipe.model
