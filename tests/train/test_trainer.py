"""What all methods share: trackers that are off unless asked for."""

import pytest

from hft.errors import HftError
from hft.train import trainer


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
