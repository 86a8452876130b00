"""The two backends are twins: same functions, same signatures, so that everything else can use either."""

import ast
from types import SimpleNamespace

import pytest
from conftest import ROOT

from hft.model.backends import unsloth
from hft.plan.plan import BACKENDS


def surface(backend):
    """`{function: its arguments}`, read without importing anything."""
    tree = ast.parse((ROOT / "hft" / "model" / "backends" / f"{backend}.py").read_text(encoding="utf-8"))
    return {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_backends_have_the_same_functions():
    wanted = {"load", "add_lora", "generate", "merge"}
    found = {backend: {name: args for name, args in surface(backend).items() if name in wanted} for backend in BACKENDS}
    assert set(found["plain"]) == wanted
    assert found["plain"] == found["unsloth"]


@pytest.mark.slow  # torch alone takes four seconds to import
@pytest.mark.parametrize(
    ("rows", "window", "kind", "mask", "size", "ours"),
    [
        (True, None, "bfloat16", None, 16, True),
        (True, 8, "bfloat16", None, 16, True),
        (False, None, "bfloat16", None, 16, False),
        (True, 4, "bfloat16", None, 16, False),
        (True, None, "float32", None, 16, False),
        (True, None, "bfloat16", "mask", 16, False),
        (True, None, "bfloat16", None, 20, False),
        (True, None, "bfloat16", None, 264, False),
    ],
)
def test_rows_end_to_end_take_torchs_attention_where_it_can(rows, window, kind, mask, size, ours):
    """On torch's meta device: shapes alone; tests/test_gpu.py compares the numbers."""
    import torch

    query, key, value = (
        torch.empty(1, heads, 12, size, dtype=getattr(torch, kind), device="meta") for heads in (4, 2, 2)
    )
    starts = torch.empty(3, dtype=torch.int32, device="meta")
    context = SimpleNamespace(seq_info=rows and (None, starts, 8), sliding_window=window, attention_mask=mask)
    found = unsloth.within_rows(lambda **_: "Unsloth's")(config=None, context=context, Q=query, K=key, V=value)
    assert tuple(found.shape) == (1, 12, 4, size) if ours else found == "Unsloth's"
