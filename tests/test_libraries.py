"""Libraries are told to keep quiet and to themselves, unless the user has said otherwise."""

import os
from pathlib import Path

from hft import libraries


def test_the_users_own_settings_stay(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", {"HFT_CACHE": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "0"})
    libraries.quiet()
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "0"
    assert os.environ["UNSLOTH_DISABLE_STATISTICS"] == "1"
    assert Path(os.environ["UNSLOTH_COMPILE_LOCATION"]) == tmp_path / f"unsloth-{os.getuid()}"
    assert (tmp_path / f"unsloth-{os.getuid()}").is_dir()
