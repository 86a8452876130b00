"""A recipe's own Python: `file.py:function`, where the file lies beside the recipe."""

import ast
import importlib.util
from collections.abc import Callable
from pathlib import Path

from hft.errors import HftError


def problem(written: str, folder: Path) -> str | None:
    """What is wrong with `file.py:function`, found without running the file; None when nothing is."""
    file, _, name = written.partition(":")
    path = folder / file
    if Path(file).name != file or not file.endswith(".py"):
        return f"'{written}' is not file.py:function with a file beside the recipe"
    if not path.exists():
        return f"there is no {file} in {folder}"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return f"{file} line {error.lineno}: {error.msg}"
    except UnicodeDecodeError as error:
        return f"{file}: byte {error.start} is not UTF-8"
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if name not in functions:
        return f"{file} has no function '{name}'; it has: {', '.join(functions) or 'none'}"
    return None


def load(written: str, folder: Path) -> Callable:
    """Return the function. Raises HftError when it is not there."""
    if reason := problem(written, folder):
        raise HftError(reason, "write it as file.py:function, with the file beside the recipe")
    file, _, name = written.partition(":")
    path = folder / file
    spec = importlib.util.spec_from_file_location(f"hft_recipe_{path.stem}", path)
    assert spec and spec.loader, "a file whose name ends in .py has both"
    module = importlib.util.module_from_spec(spec)  # kept out of sys.modules: two recipes may use one name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise HftError(f"{file} cannot be imported: {type(error).__name__}: {error}", f"try: python {path}") from error
    return getattr(module, name)
