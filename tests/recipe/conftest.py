"""A folder of recipes of a test's own."""

import pytest


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """An empty folder that hft takes its recipes from."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.setenv("HFT_RECIPES", str(folder))
    return folder
