"""What all methods share: the order of rows, and trackers that are off unless asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.errors import HftError
from hft.train import trainer


@settings(deadline=None, database=None)
@given(rows=st.integers(1, 30), wanted=st.integers(0, 100), seed=st.integers(0, 9))
def test_the_order_is_pass_after_pass_and_depends_on_the_seed_alone(rows, wanted, seed):
    order = trainer.order(rows, wanted, seed)
    assert len(order) == wanted
    assert order == trainer.order(rows, wanted, seed)
    assert order == trainer.order(rows, wanted + 7, seed)[:wanted]
    for start in range(0, wanted - rows + 1, rows):
        assert sorted(order[start : start + rows]) == list(range(rows))


@pytest.mark.parametrize("asked", [None, "", "none"])
def test_trackers_are_off_unless_asked_for(monkeypatch, asked):
    monkeypatch.delenv("HFT_REPORT_TO", raising=False)
    if asked is not None:
        monkeypatch.setenv("HFT_REPORT_TO", asked)
    assert trainer.trackers() == "none"


@pytest.mark.slow
def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    from transformers import integrations

    monkeypatch.setattr(integrations, "get_available_reporting_integrations", lambda: ["tensorboard"])
    monkeypatch.setenv("HFT_REPORT_TO", "tensorboard,wandb")
    with pytest.raises(
        HftError, match="HFT_REPORT_TO=wandb: that tracker is not installed\n  Fix: installed: tensorboard"
    ):
        trainer.trackers()
    monkeypatch.setenv("HFT_REPORT_TO", "tensorboard")
    assert trainer.trackers() == ["tensorboard"]
