"""The two backends are twins: same functions, same signatures, so that everything else can use either."""

import ast

from conftest import ROOT

from hft.plan import BACKENDS


def surface(backend):
    """`{function: its arguments}`, read without importing anything."""
    tree = ast.parse((ROOT / "hft" / "backends" / f"{backend}.py").read_text(encoding="utf-8"))
    return {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_backends_have_the_same_functions():
    wanted = {"load", "add_lora", "generate", "merge"}
    found = {backend: {name: args for name, args in surface(backend).items() if name in wanted} for backend in BACKENDS}
    assert set(found["plain"]) == wanted
    assert found["plain"] == found["unsloth"]
