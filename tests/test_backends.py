"""The two backends are twins: same functions, same signatures, so that everything else can use either."""

import ast
from types import SimpleNamespace

import pytest
from conftest import ROOT

from hft.backends import unsloth
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


@pytest.mark.slow  # torch alone takes four seconds to import
@pytest.mark.parametrize(("rows", "window", "kind", "ours"), [
    ((None, "starts", 8), None, "bfloat16", True), (None, None, "bfloat16", False), ((None, "starts", 8), 4, "bfloat16", False),
    ((None, "starts", 8), None, "float32", False)])
def test_rows_end_to_end_take_torchs_attention_where_it_can(rows, window, kind, ours):
    """On torch's meta device: shapes alone; tests/test_gpu.py compares the numbers."""
    import torch

    query, key, value = (torch.empty(1, heads, 12, 16, dtype=getattr(torch, kind), device="meta") for heads in (4, 2, 2))
    starts = torch.empty(3, dtype=torch.int32, device="meta")
    context = SimpleNamespace(seq_info=rows and (None, starts, 8), sliding_window=window)
    found = unsloth.within_rows(lambda **_: "Unsloth's")(config=None, context=context, Q=query, K=key, V=value)
    assert tuple(found.shape) == (1, 12, 4, 16) if ours else found == "Unsloth's"
