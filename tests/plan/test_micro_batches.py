"""The choice of micro-batches: exact cuts, and the fastest that fits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.machine import Gpu
from hft.plan import micro_batches
from hft.plan.micro_batches import Setting
from hft.plan.shape import KNOWN
from hft.recipe import file as recipe_file

SHAPE = KNOWN["llama-3.1-8b"]


LENGTHS = [1, 2, 9, 2, 3, 3, 5, 6]  # two steps of four rows


@pytest.mark.parametrize(
    ("rows", "padded", "cut", "tokens"),
    [
        (4, True, [[0, 1, 2, 3], [4, 5, 6, 7]], [36, 24]),
        (4, False, [[0, 1, 2, 3], [4, 5, 6, 7]], [14, 17]),
        (2, True, [[1, 2], [0, 3], [6, 7], [4, 5]], [18, 4, 12, 6]),
        (2, False, [[0, 2], [1, 3], [5, 7], [4, 6]], [10, 4, 9, 8]),
        (1, False, [[2], [1], [3], [0], [7], [6], [4], [5]], [9, 2, 2, 1, 6, 5, 3, 3]),
    ],
)
def test_rows_of_a_step_are_arranged_to_waste_little(rows, padded, cut, tokens):
    assert micro_batches.arrange(LENGTHS, 4, rows, padded, True) == cut
    assert micro_batches.tokens(LENGTHS, cut, padded) == tokens


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 4096), min_size=16, max_size=60),
    batch=st.sampled_from([4, 8, 16]),
    rows=st.sampled_from([1, 2, 4]),
    padded=st.booleans(),
)
def test_each_row_stays_in_its_step_and_padding_never_grows(lengths, batch, rows, padded):
    lengths = lengths[: len(lengths) // batch * batch]  # training has whole steps
    cut = micro_batches.arrange(lengths, batch, rows, padded, True)
    places = [place for one in cut for place in one]
    for start in range(0, len(lengths), batch):
        assert sorted(places[start : start + batch]) == list(range(len(lengths)))[start : start + batch]
    assert all(len(one) <= rows for one in cut)
    plain = micro_batches.arrange(lengths, batch, rows, padded, False)
    assert [place for one in plain for place in one] == list(range(len(lengths)))
    if padded:
        assert sum(micro_batches.tokens(lengths, cut, True)) <= sum(micro_batches.tokens(lengths, plain, True))
    else:
        assert sum(micro_batches.tokens(lengths, cut, False)) == sum(lengths)


@pytest.mark.parametrize(
    ("card", "gib", "longest", "rows", "saving"),
    [
        ("H200", 139.8, 482, 16, "none"),
        ("RTX 4090", 24.0, 482, 8, "none"),
        ("RTX 5080", 15.9, 482, 4, "none"),
        ("RTX 5080", 8.0, 482, 4, "offloaded"),
        ("H100", 79.6, 2048, 8, "none"),
    ],
)
def test_what_fits_and_is_fastest(card, gib, longest, rows, saving):
    recipe = recipe_file.load("korquad_qlora").recipe
    best = micro_batches.candidates(recipe, SHAPE, Gpu(card, gib, "", ""), Setting(), [longest] * 16)[0]
    assert (best.rows, best.checkpointing, best.fits) == (rows, saving, True)


def test_where_nothing_fits_the_smallest_comes_first():
    best = micro_batches.candidates(
        recipe_file.load("korquad_qlora").recipe, SHAPE, Gpu("RTX 5080", 4.0, "", ""), Setting()
    )[0]
    assert (best.rows, best.checkpointing, best.fits, best.tokens) == (1, "offloaded", False, 2048)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 4096), min_size=16, max_size=48),
    gib=st.floats(6, 200),
    padded=st.booleans(),
    backend=st.sampled_from(["unsloth", "plain"]),
)
def test_every_choice_divides_the_batch_and_the_first_is_no_slower_than_any_that_fits(lengths, gib, padded, backend):
    recipe = recipe_file.load("korquad_qlora").recipe
    setting = Setting(backend=backend, padding_free=not padded)
    found = micro_batches.candidates(recipe, SHAPE, Gpu("H100", gib, "", ""), setting, lengths)
    assert all(16 % one.rows == 0 for one in found)
    fitting = [one for one in found if one.fits]
    assert fitting == found[: len(fitting)]
    assert all(found[0].seconds <= one.seconds for one in fitting)


@pytest.mark.parametrize(("by_length", "tokens"), [(True, 1900), (False, 3600)])
def test_rows_in_order_are_planned_as_they_come(by_length, tokens):
    """Two processes of one forward pass each: the larger one counts, for memory and for time."""

    def planned(order):
        found = micro_batches.candidates(
            recipe_file.load("korquad_qlora", ("train.batch_size=4",)).recipe,
            SHAPE,
            Gpu("H100", 79.6, "", ""),
            Setting(by_length=order, processes=2),
            [1800, 1800, 100, 100],
            ("none",),
        )
        return next(one for one in found if one.rows == 2)

    made = planned(by_length)
    assert made.tokens == tokens
    assert (made.seconds > planned(True).seconds) == (not by_length)
