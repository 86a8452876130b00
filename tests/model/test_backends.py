"""The two backends are twins: same functions, same signatures, so that everything else can use either."""

import ast

from conftest import ROOT

BACKENDS = ROOT / "hft" / "model" / "backends"


def surface(backend):
    """`{function: its arguments}`, read without importing anything."""
    tree = ast.parse((BACKENDS / f"{backend}.py").read_text(encoding="utf-8"))
    return {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_backends_have_the_same_functions_and_no_others():
    assert {path.stem for path in BACKENDS.glob("[!_]*.py")} == {"plain", "unsloth"}
    plain, unsloth = map(surface, ("plain", "unsloth"))
    assert set(plain) == {"load", "add_lora", "generate"}
    assert plain == unsloth
