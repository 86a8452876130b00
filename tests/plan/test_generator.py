"""vLLM beside the model: when, with which share of the card, and what both take."""

import pytest
from planning import make

from hft import machine
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan import estimate, generator, shape
from hft.recipe import file as recipe_file

CARDS = {"5080": 15.9, "4090": 23.99, "h100": 79.6, "h200": 140.4}


def pretend(monkeypatch, card, vllm=True):
    monkeypatch.setattr(machine, "look", lambda: Machine([Gpu(card, CARDS[card], "580.1", "9.0")], 2, 24.0, "a CPU"))
    monkeypatch.setattr(generator.importlib.util, "find_spec", lambda name: (vllm and name == "vllm") or None)


@pytest.mark.parametrize(
    ("card", "wanted", "standby", "share"),
    [
        ("5080", {}, False, 0.5),
        ("h100", {}, False, 0.5),
        ("5080", {"standby": True}, True, 0.75),
        ("5080", {"vllm_memory": 60}, False, 0.6),
        ("4090", {"generator": "transformers"}, False, None),
    ],
)
def test_a_share_of_the_card(monkeypatch, card, wanted, standby, share):
    pretend(monkeypatch, card)
    made = make(recipe_file.load("grpo_indonesian").recipe, **wanted)
    assert (made.standby, made.vllm_memory) == (standby, share)


@pytest.mark.parametrize(
    ("card", "wanted", "standby", "share"),
    [
        ("4090", {}, True, 0.75),
        ("h100", {}, False, 0.5),
        ("4090", {"standby": False}, False, 0.5),
        ("4090", {"vllm_memory": 80}, True, 0.8),
    ],
)
def test_vllm_gives_its_cache_back_where_half_of_the_card_cannot_hold_the_weights(
    monkeypatch, card, wanted, standby, share
):
    pretend(monkeypatch, card)
    made = make(recipe_file.load("grpo_indonesian", ("model.quantization=none",)).recipe, **wanted)  # 15.3 GiB
    assert (made.standby, made.vllm_memory) == (standby, share)


def test_without_vllm_transformers_writes(monkeypatch):
    pretend(monkeypatch, "h100", vllm=False)
    recipe = recipe_file.load("grpo_indonesian").recipe
    assert make(recipe).generator == "transformers"
    with pytest.raises(
        HftError, match="vLLM writes completions for method: grpo on a GPU with the unsloth backend only"
    ):
        make(recipe, generator="vllm")


def test_vllm_is_not_chosen_beside_plain_or_for_supervised_training(monkeypatch):
    pretend(monkeypatch, "h100")
    assert make(recipe_file.load("grpo_indonesian").recipe, backend="plain").generator == "transformers"
    assert make(recipe_file.load("korquad_qlora").recipe).generator == "transformers"


def test_the_8b_shape_takes_what_was_measured_on_an_h200():
    """71.5 GiB in use, with half of the card for vLLM."""
    recipe = recipe_file.load("grpo_indonesian").recipe
    taken = generator.fits(recipe, shape.of(recipe), Gpu("h200", CARDS["h200"], "", ""))
    assert (taken.fits, taken.rows, taken.checkpointing) == (True, 4, "offloaded")
    assert taken.gib == pytest.approx(71.5, rel=0.02)


@pytest.mark.parametrize(
    ("card", "settings", "fits"),
    [
        ("5080", (), True),
        ("4090", (), True),
        ("5080", ("model.quantization=none",), False),
        ("4090", ("model.quantization=none",), True),
        ("h100", ("model.quantization=none",), True),
    ],
)
def test_which_cards_hold_an_8b_model_and_vllms_cache(card, settings, fits):
    recipe = recipe_file.load("grpo_indonesian", settings).recipe
    taken = generator.fits(recipe, shape.of(recipe), Gpu(card, CARDS[card], "", ""))
    assert taken.fits == fits
    if fits:
        assert taken.gib <= estimate.room(CARDS[card])
