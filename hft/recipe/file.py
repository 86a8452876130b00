"""Recipe files: find them, read YAML with line numbers, report every mistake at once, compute the digest."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import yaml

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for plugins costs 20 ms and hft has none
from pydantic import ValidationError

from hft import files
from hft.errors import HftError
from hft.recipe import mistakes as mistakes_in_words
from hft.recipe.catalogue import catalogue, folders, suggest
from hft.recipe.schema import PARENT, Recipe
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
    return (
        {**values, "model": {**values["model"], "name": PARENT, "revision": PARENT}} if values.get("parent") else values
    )


def load(name: str, overrides: tuple[str, ...] = ()) -> Loaded:
    """Find a recipe and check it against the schema; hft/check.py looks at what it points to. Raises HftError that names every mistake."""
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
            return Loaded(
                name, path, recipe, origins, text, overrides, python_files(recipe, path.parent, name), path.parent
            )
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
    values = [
        recipe.prompt.format,
        *(part.format or "" for part in sources),
        *(one.name for one in recipe.rewards or []),
    ]
    wanted = sorted({value.partition(":")[0] for value in values if ":" in value} | {f"{name}.py"})
    return {
        file: (folder / file).read_text(encoding="utf-8", errors="replace")
        for file in wanted
        if (folder / file).is_file()
    }


def load_run(run: Path) -> Loaded:
    """The recipe a run was made with, from the copy in its folder; data is looked for beside the recipe of that name."""
    try:
        kept = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(kept["values"])
    except (OSError, ValueError, KeyError) as problem:
        raise HftError(f"{run} is not a run folder: {str(problem).splitlines()[0]}", "see: hft runs") from None
    path = catalogue().get(kept["name"], run / "recipe.yaml")
    text = (run / "recipe.yaml").read_text(encoding="utf-8")
    return Loaded(
        kept["name"], path, recipe, {}, text, tuple(kept["overrides"]), python_files(recipe, run, kept["name"]), run
    )


def save(loaded: Loaded, run: Path) -> None:
    """Keep the recipe in a run's folder: its text, its checked values, its Python."""
    for name, text in loaded.python.items():
        files.write(run / name, text)
    files.write(run / "recipe.yaml", loaded.text)
    files.write_json(
        run / "recipe.json",
        {
            "name": loaded.name,
            "digest": loaded.digest,
            "overrides": list(loaded.overrides),
            "values": canonical(loaded.recipe.model_dump(mode="json")),
        },
    )


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
    mistakes, lines = [], {}

    def walk(node, key: Key):
        if isinstance(node, yaml.MappingNode):
            seen = {}
            for name_node, value_node in node.value:
                name = str(name_node.value)
                line = name_node.start_mark.line + 1
                if name in seen:
                    mistakes.append(
                        f"line {line}: '{'.'.join((*key, name))}' is given twice (first in line {seen[name]})"
                    )
                seen.setdefault(name, line)
                lines[*key, name] = line
                walk(value_node, (*key, name))
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                walk(item, (*key, str(i)))

    walk(root, ())
    try:
        values = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as problem:  # such as an impossible date
        return [f"not YAML: {problem}"], {}, {}
    return mistakes, values, lines


EITHER = {"steps": "epochs", "epochs": "steps", "held_out": "evaluate"}


def inside(target: dict | list, part: str) -> dict | list | None:
    """The section or list at `part`, made where there is none; a bare name becomes the section it stands for. None for no such item."""
    if isinstance(target, list):  # one of a mixture's parts, or of the rewards
        if not part.isdigit() or int(part) >= len(target):
            return None
        place, short, value = int(part), "name", target[int(part)]
    else:
        place, short, value = part, "recipe" if part == "parent" else None, target.get(part)
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
        target, walked = values, []
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


def origin(loaded: Loaded):
    """The model at the beginning of the chain, whose tokenizer all stages have; needs no run."""
    while loaded.recipe.parent:
        loaded = load(loaded.recipe.parent.recipe)
    return loaded.recipe.model
