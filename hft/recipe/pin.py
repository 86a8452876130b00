"""`hft pin`: the branches and tags that a recipe names on the Hub become commit hashes, in its own file."""

import difflib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from hft import files
from hft.errors import REFUSED, HftError
from hft.recipe import file as recipe_file
from hft.recipe.file import Key, Loaded
from hft.recipe.section import Section
from hft.terminal import say

COMMIT = re.compile("[0-9a-f]{40}")
PATIENCE = 30  # seconds that the Hub may take to answer


class Loose(NamedTuple):
    """A model or data set at a branch or tag, which may stand for another commit tomorrow."""

    key: Key  # of its revision
    kind: Literal["model", "dataset"]
    name: str
    revision: str


def loose(loaded: Loaded) -> list[Loose]:
    """What a recipe takes from the Hub without saying at which commit.

    A folder, a Python package of one version and a parent's weights, which the passport names by their hash, are fixed.
    """
    found = []
    for key, section in sections(loaded.recipe, ()):
        name, revision = getattr(section, "name", ""), getattr(section, "revision", None)
        own = key == ("model",) and loaded.recipe.parent
        if revision is None or own or COMMIT.fullmatch(revision) or not on_hub(name):
            continue
        found.append(Loose((*key, "revision"), "model" if key == ("model",) else "dataset", name, revision))
    return found


def sections(section: Section, key: Key) -> Iterator[tuple[Key, Section]]:
    """A section and all that are in it, each with its key."""
    yield key, section
    for name in type(section).model_fields:
        value = getattr(section, name)
        for place, inner in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(inner, Section):
                yield from sections(inner, (*key, name) if place is None else (*key, name, str(place)))


def on_hub(name: str) -> bool:
    """True for a name on the Hub: no Python package, no GGUF file, nothing on this disk."""
    return not (name.startswith("pypi:") or name.endswith(".gguf") or Path(name).exists())


def describe(found: list[Loose]) -> str:
    """Each key with the name that stands there."""
    return ", ".join(f"{'.'.join(one.key)} is '{one.revision}'" for one in found)


def warn(loaded: Loaded) -> None:
    """Say which names are not pinned, and how they would be."""
    if found := loose(loaded):
        say(
            f"Warning: {describe(found)}, which may be another commit tomorrow. "
            f"To write today's into the recipe: hft pin {loaded.name}"
        )


def refuse(loaded: Loaded) -> None:
    """Raise HftError where a name is not pinned."""
    if found := loose(loaded):
        set_here = any(loaded.origins.get(one.key, "").startswith("--set") for one in found)
        fix = "name commit hashes in --set" if set_here else f"write the commits into it: hft pin {loaded.name}"
        raise HftError(f"recipe {loaded.name} is not pinned: {describe(found)}", fix)


def pin(loaded: Loaded, dry_run: bool = False) -> str:
    """Write the commits of today into the recipe's file, in one step; returns what changed, in words.

    Nothing else in the file changes. Raises HftError where the Hub does not tell a commit, or the file cannot be
    written.
    """
    found = loose(loaded)
    if not found:
        return f"{loaded.path}: nothing to pin"
    asked = {
        told: commit(*told) for told in dict.fromkeys(one[1:] for one in found)
    }  # both sides may be of one data set
    commits = {one.key: asked[one[1:]] for one in found}
    before = loaded.path.read_bytes().decode("utf-8")
    after = pinned(before, commits, loaded.path)
    if dry_run:
        names = str(loaded.path), f"{loaded.path}, pinned"
        return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, n=0, lineterm=""))
    write(loaded.path, after)
    changed = [f"  {'.'.join(one.key)}: {one.revision} -> {commits[one.key]} ({one.name})" for one in found]
    digest = recipe_file.load(loaded.name).digest
    last = f"Its digest was {loaded.digest[:12]} and is {digest[:12]}: runs begun before do not resume."
    return "\n".join([f"{loaded.path}:", *changed, last])


def commit(kind: str, name: str, revision: str) -> str:
    """The hash that a branch or tag stands for now. Raises HftError where the Hub cannot be asked, or knows no such."""
    import httpx
    from huggingface_hub import HfApi

    look = HfApi().model_info if kind == "model" else HfApi().dataset_info
    try:
        told = look(name, revision=revision, timeout=PATIENCE).sha
    except (OSError, ValueError, httpx.HTTPError) as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise HftError(
            f"the Hub does not tell the commit of the {kind} {name}@{revision}: {reason}",
            "check name and revision, and the connection (HF_HUB_OFFLINE must not be set); "
            "a gated or private one needs HF_TOKEN",
        ) from None
    assert told, "the Hub names the commit of whatever it finds"
    return told


def pinned(text: str, commits: dict[Key, str], path: Path) -> str:
    """The text of a recipe with these values in the places of their keys, and every other character as it was.

    Raises HftError for values that stand in no place of their own, such as behind a YAML merge key.
    """
    mistakes, values, _ = recipe_file.read(text)
    assert not mistakes, "the recipe was loaded"
    root, after = yaml.compose(text, Loader=yaml.SafeLoader), text
    nodes = [(node_at(root, key), hashed) for key, hashed in commits.items()]
    places = {(node.start_mark.index, node.end_mark.index, node.style, hashed) for node, hashed in nodes if node}
    for start, end, style, hashed in sorted(places, reverse=True):
        quote = style or ("" if isinstance(yaml.safe_load(hashed), str) else '"')
        after = f"{after[:start]}{quote}{hashed}{quote}{after[end:]}"
    for key, hashed in commits.items():
        section: Any = values
        for part in key[:-1]:
            section = section[int(part) if isinstance(section, list) else part]
        section[key[-1]] = hashed
    if recipe_file.read(after)[:2] != ([], values):
        raise HftError(
            f"{path}: {' and '.join('.'.join(key) for key in commits)} cannot be replaced",
            "write each as `revision: main` in its own section, without YAML anchors or several lines",
        )
    return after


def node_at(node: yaml.Node | None, key: Key) -> yaml.ScalarNode | None:
    """The value at a key of a YAML document; None where none is written there."""
    for part in key:
        if isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == part), None)
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[int(part)]
    return node if isinstance(node, yaml.ScalarNode) else None


def write(path: Path, text: str) -> None:
    """Replace a recipe's file, behind a link too, with the permissions that it had. Raises HftError where it must not
    be.
    """
    there = path.resolve()
    try:
        with files.draft(there) as new:
            new.write_bytes(text.encode("utf-8"))
            shutil.copymode(there, new)
    except OSError as problem:
        if problem.errno not in REFUSED:
            raise
        raise HftError(
            f"{path} cannot be written: {problem.strerror}",
            f"copy it, with the files beside it that it names, and pin the copy: "
            f"cp {path} mine.yaml && HFT_RECIPES=. hft pin mine",
        ) from None
