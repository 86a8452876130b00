"""The checks of the architecture: each takes a folder with `hft/` in it and returns the violations as text."""

import ast
import functools
import graphlib
from pathlib import Path
from typing import get_args

from hft.plan.rules import BACKENDS
from hft.recipe.schema import Recipe
from hft.recipe.sources import SOURCES

GROUND = ("errors", "files", "redact", "machine", "libraries", "terminal", "download")
ORDER = (  # who stands on a later line may import from an earlier one; rooms of one line never import each other
    GROUND,
    ("recipe",),
    ("data",),
    ("plan",),
    ("model",),
    ("evaluate",),
    ("runs",),
    ("train", "export"),
    ("pipeline", "finished", "check"),
    ("commands",),
    ("cli", "__main__"),
)
LEVELS = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
# Looks up the section of each source by name, so that a new source is its file alone.
BY_NAME = {("hft/recipe/section.py", "hft.data.sources")}
HIDDEN = "*"  # the room of an import whose target no reader sees
# Folder: the names that a recipe or a plan may write. They come from the folder itself: what keeps a helper out of it
# is the contract of its members (contracts.py).
VALUES = {
    "data/sources": set(SOURCES),
    "train/methods": set(get_args(Recipe.model_fields["method"].annotation)),
    "model/backends": set(BACKENDS),
}
NO_VALUES = {"commands", "runs", "workers"}  # plural, but what they hold is not written in a recipe
MOST_FLAT, MOST_LINES, MOST_OF_A_FUNCTION, MOST_COLUMNS = 14, 250, 50, 120
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


parsed = functools.cache(ast.parse)  # a copy of the tree is mostly what has been read before


def modules(root: Path) -> dict[str, Path]:
    """`{hft.data.rows: its file}` of a tree."""
    names = {path.relative_to(root).with_suffix(""): path for path in sorted((root / "hft").rglob("*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in names.items()}


def imports(name: str, path: Path, known: dict[str, Path]) -> list[tuple[int, str]]:
    """`[(line, module of hft)]` that a file imports, at its head, in functions, by import_module with a text.

    What hides its target (all of hft, a name that is put together, another name for import_module) is `hft.*`.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    seen = []
    for node in ast.walk(parsed(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            seen += [(node.lineno, "hft.*" if alias.name == "hft" else alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [start, node.module]))
            seen += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
            seen += [(node.lineno, "hft.*") for alias in node.names if alias.name in IMPORTERS]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in IMPORTERS:
            seen.append((node.lineno, by_name(node)))
    seen = [(line, target) for line, target in seen if f"{target}.".startswith("hft.")]
    seen = [(line, target) for line, target in seen if target != "hft.__version__"]
    return [(line, target if target in known else parent(target, known)) for line, target in seen]


IMPORTERS = ("import_module", "__import__", "resolve_name")  # import by a text


def by_name(call: ast.Call) -> str:
    """The module that a call imports by a text, as far as its room; `hft.*` where that cannot be read."""
    first = [*call.args, *(word.value for word in call.keywords)][:1]
    written = first[0].values[0] if first and isinstance(first[0], ast.JoinedStr) else (first or [None])[0]
    text = written.value if isinstance(written, ast.Constant) and isinstance(written.value, str) else ""
    if len(call.args) + len(call.keywords) != 1 or not text or text.startswith("."):
        return "hft.*"
    return "hft.*" if text.startswith("hft") and text.count(".") < 2 else text


def parent(target: str, known: dict[str, Path]) -> str:
    """The module that holds a name; `hft.*` for a name of hft itself, such as `*`."""
    module = target.rpartition(".")[0]
    return "hft.*" if module == "hft" else module


def room(name: str) -> str:
    """The room of a module, or the name of a flat file; empty for hft itself, which holds the version alone."""
    return [*name.split("."), ""][1]


def wrong_way(root: Path) -> list[str]:
    """Imports that do not point down, and rooms that stand on no line of ORDER."""
    known = modules(root)
    wrong = [f"{path.relative_to(root)}: no room of ORDER" for name, path in known.items() if room(name) not in LEVELS]
    for name, path in known.items():
        for line, target in imports(name, path, known):
            here, there = room(name), room(target)
            level, down = LEVELS.get(here, 0), LEVELS.get(there, -1)
            same_floor = here == there or (level == down and Path(root, "hft", f"{here}.py").exists())
            if there == HIDDEN:
                wrong.append(f"{path.relative_to(root)}:{line}: an import that hides what it takes")
            elif not (down < level or same_floor or (str(path.relative_to(root)), target) in BY_NAME):
                wrong.append(f"{path.relative_to(root)}:{line}: {here} may not import {there}")
    return [text for text in wrong if text != "hft/__init__.py: no room of ORDER"]


def circles(root: Path) -> list[str]:
    """Circles of imports between modules, one for each import that would have to go."""
    known = modules(root)
    graph = {name: {target for _, target in imports(name, path, known)} - {name} for name, path in known.items()}
    seen = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            circle = error.args[1][:0:-1]
            first = circle.index(min(circle))
            circle = [*circle[first:], *circle[:first]]
            seen.append(" -> ".join([*circle, circle[0]]))
            graph[circle[0]].discard((circle * 2)[1])
        else:
            return seen


def strangers(root: Path) -> list[str]:
    """Files of plural folders that no recipe may name, names without a file, and plural folders that nobody knows."""
    wrong = []
    for folder, names in VALUES.items():
        held = {path.stem for path in (root / "hft" / folder).glob("*.py")} - {"__init__"}
        wrong += [f"hft/{folder}/{name}.py: nothing that a recipe may write" for name in sorted(held - names)]
        wrong += [f"hft/{folder}: no file for '{name}'" for name in sorted(names - held)]
        below = [path for path in (root / "hft" / folder).iterdir() if path.is_dir() and path.name != "__pycache__"]
        wrong += [f"{path.relative_to(root)}: a folder among values" for path in sorted(below)]
    for path in sorted((root / "hft").rglob("*s")):
        known = path.name in NO_VALUES or str(path.relative_to(root / "hft")) in VALUES
        if not known and list(path.glob("*.py")):
            wrong.append(f"{path.relative_to(root)}: a plural folder without names that a recipe may write")
    return wrong


def too_many_flat(root: Path) -> list[str]:
    """More files in hft/ itself than a door and a ground need."""
    flat = sorted(path.name for path in (root / "hft").glob("*.py"))
    return [f"hft/: {len(flat)} flat files, at most {MOST_FLAT}"] if len(flat) > MOST_FLAT else []


def too_long(root: Path) -> list[str]:
    """Files and functions of too many lines, lines of too many columns."""
    wrong = []
    for path in modules(root).values():
        name, text = path.relative_to(root), path.read_text(encoding="utf-8")
        lines = text.splitlines()
        if len(lines) > MOST_LINES:
            wrong.append(f"{name}: {len(lines)} lines, at most {MOST_LINES}")
        wrong += [
            f"{name}:{number}: {len(line)} columns, at most {MOST_COLUMNS}"
            for number, line in enumerate(lines, 1)
            if len(line) > MOST_COLUMNS
        ]
        for function in outer_functions(parsed(text)):
            length = function.end_lineno - function.lineno + 1
            if length > MOST_OF_A_FUNCTION:
                wrong.append(
                    f"{name}:{function.lineno}: {function.name} has {length} lines, at most {MOST_OF_A_FUNCTION}"
                )
    return wrong


def outer_functions(tree: ast.AST) -> list[ast.FunctionDef]:
    """Functions and methods; one inside another counts to the outer one."""
    outer = []
    for node in ast.iter_child_nodes(tree):
        outer += [node] if isinstance(node, FUNCTIONS) else outer_functions(node)
    return outer


def crowded(root: Path) -> list[str]:
    """Statements that do not begin their line: behind a semicolon, or behind the `if` or `def` that they belong to."""
    wrong = []
    for path in modules(root).values():
        text = path.read_text(encoding="utf-8")
        lines = [line.encode() for line in text.splitlines()]  # ast counts columns in bytes
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.stmt) and lines[node.lineno - 1][: node.col_offset].strip():
                wrong.append(f"{path.relative_to(root)}:{node.lineno}: two statements on a line")
    return sorted(wrong)
