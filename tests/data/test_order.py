"""Which row stands where in training."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data import order
from hft.recipe import file as recipe_file


@settings(deadline=None)
@given(rows=st.integers(1, 50), batch=st.integers(1, 8), steps=st.integers(1, 20), seed=st.integers(0, 9))
def test_every_row_is_seen_once_before_any_is_seen_twice(rows, batch, steps, seed):
    recipe = recipe_file.load(
        "quickstart", (f"train.batch_size={batch}", f"train.steps={steps}", f"train.seed={seed}")
    ).recipe
    chosen = order.order(recipe, rows)
    assert len(chosen) == steps * batch
    for start in range(0, len(chosen), rows):
        part = chosen[start : start + rows]
        assert len(set(part)) == len(part)
        assert rows > len(part) or sorted(part) == list(range(rows))
    assert chosen == order.order(recipe, rows)
    longer = recipe.model_copy(update={"train": recipe.train.model_copy(update={"steps": steps + 3})})
    assert chosen == order.order(longer, rows)[: len(chosen)], "the seed alone shuffles"


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "steps"), [(560, 8, 1, 70), (561, 8, 1, 71), (10, 16, 1, 1), (100, 10, 0.5, 5)]
)
def test_epochs_are_steps(rows, batch, epochs, steps):
    recipe = recipe_file.load("quickstart", (f"train.batch_size={batch}", f"train.epochs={epochs}")).recipe
    assert order.steps(recipe, rows) == steps


def test_a_step_has_batch_size_completions_and_its_prompts_in_a_seeded_order():
    recipe = recipe_file.load("grpo_quickstart").recipe
    assert (order.rows_per_step(recipe), order.steps(recipe, 240)) == (4, 30)
    chosen = order.order(recipe, 100)
    assert len(chosen) == 120
    assert sorted(chosen[:100]) == list(range(100))
    assert chosen == order.order(recipe, 100)
