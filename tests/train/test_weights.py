"""The trained weights in the run folder: whole, in one order, and nothing of other weights beside them."""

import json
from types import SimpleNamespace

import pytest

from hft.train import checkpoints, weights


class Writes:
    """A model or tokenizer that writes these files."""

    def __init__(self, **files):
        self.files = files

    def save_pretrained(self, folder):
        for name, text in self.files.items():
            (folder / name.replace("__", ".")).write_text(text)


CONFIG = json.dumps({"target_modules": ["v_proj", "k_proj"]})
TOKENIZER = Writes(tokenizer__json="{}")


def adapter(text):
    return Writes(adapter_config__json=CONFIG, adapter_model__safetensors=text)


def plan(sharded=False):
    return SimpleNamespace(sharded=sharded)


def test_the_adapter_is_written_with_its_tokenizer_in_one_order(tmp_path):
    weights.save(tmp_path, "adapter", adapter("new"), TOKENIZER, plan())
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
    ]
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["target_modules"] == [
        "k_proj",
        "v_proj",
    ]


@pytest.mark.parametrize(("text", "left"), [("same", True), ("other", False)])
def test_what_was_made_of_other_weights_goes(tmp_path, text, left):
    weights.save(tmp_path, "adapter", adapter("same"), TOKENIZER, plan())
    (tmp_path / "merged").mkdir()
    (tmp_path / "model-q8_0.gguf").write_text("")
    weights.save(tmp_path, "adapter", adapter(text), TOKENIZER, plan())
    assert ((tmp_path / "merged").exists(), (tmp_path / "model-q8_0.gguf").exists()) == (left, left)


def test_shared_weights_come_from_the_last_checkpoint(tmp_path):
    for step, text in ((2, "older"), (4, "whole")):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        adapter(text).save_pretrained(folder)
        checkpoints.seal(folder)
    weights.save(tmp_path, "adapter", adapter("a part"), TOKENIZER, plan(sharded=True))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").read_text() == "whole"
