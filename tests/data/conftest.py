"""A recipe with rows of a test's own."""

import json

import pytest

from hft import check

RECIPE = {
    "method": "sft",
    "model": {"name": "m", "revision": "r", "max_tokens": 60},
    "prompt": {"format": "question"},
    "train": {"batch_size": 1, "steps": 1, "learning_rate": 1.0e-3, "seed": 7},
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """load(training rows, held-out rows, settings...) writes mine.yaml and its files, and loads it."""
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))

    def call(train, held=None, *changes):
        data = {}
        for side, given_rows in {"train": train, **({"evaluate": held} if held else {})}.items():
            (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given_rows))
            data[side] = {"source": "jsonl", "file": f"{side}.jsonl"}
        (tmp_path / "mine.yaml").write_text(json.dumps(RECIPE | {"data": data}))  # JSON is YAML
        return check.load("mine", changes)

    return call
