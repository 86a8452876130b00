"""The choice of micro-batches: exact cuts, and the fastest that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hft import micro_batches, recipe_file
from hft.machine import Gpu
from hft.shape import KNOWN

SHAPE = KNOWN["llama-3.1-8b"]


@pytest.mark.parametrize(("rows", "padded", "tokens"), [(1, False, 9), (2, False, 11), (4, False, 17), (2, True, 18), (4, True, 36)])
def test_the_largest_micro_batch(rows, padded, tokens):
    assert micro_batches.largest([1, 2, 9, 2, 3, 3, 5, 6], rows, padded) == tokens


@pytest.mark.parametrize(("card", "gib", "longest", "rows", "saving"), [
    ("H200", 139.8, 482, 16, "none"), ("RTX 4090", 24.0, 482, 8, "none"), ("RTX 5080", 15.9, 482, 4, "none"),
    ("RTX 5080", 8.0, 482, 4, "offloaded"), ("H100", 79.6, 2048, 8, "none")])
def test_what_fits_and_is_fastest(card, gib, longest, rows, saving):
    recipe = recipe_file.load("korquad_qlora").recipe
    best = micro_batches.choices(recipe, SHAPE, Gpu(card, gib, "", ""), "unsloth", False, [longest] * 16)[0]
    assert (best.rows, best.checkpointing, best.fits) == (rows, saving, True)


def test_where_nothing_fits_the_smallest_comes_first():
    best = micro_batches.choices(recipe_file.load("korquad_qlora").recipe, SHAPE, Gpu("RTX 5080", 4.0, "", ""), "unsloth", False)[0]
    assert (best.rows, best.checkpointing, best.fits, best.tokens) == (1, "offloaded", False, 2048)


@given(lengths=st.lists(st.integers(1, 4096), min_size=16, max_size=48), gib=st.floats(6, 200), padded=st.booleans(),
       backend=st.sampled_from(["unsloth", "plain"]))
def test_every_choice_divides_the_batch_and_the_first_is_no_slower_than_any_that_fits(lengths, gib, padded, backend):
    recipe = recipe_file.load("korquad_qlora").recipe
    found = micro_batches.choices(recipe, SHAPE, Gpu("H100", gib, "", ""), backend, padded, lengths)
    assert all(16 % one.rows == 0 for one in found)
    fitting = [one for one in found if one.fits]
    assert fitting == found[:len(fitting)]
    assert all(found[0].seconds <= one.seconds for one in fitting)
