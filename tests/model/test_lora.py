"""Where an adapter may act: on layers that the model has, and on none that it ties to another."""

from types import SimpleNamespace

import pytest

from hft.errors import HftError
from hft.model import lora

LAYERS = ("q_proj", "embed_tokens", "lm_head")


def model(tie):
    text = SimpleNamespace(tie_word_embeddings=tie)
    return SimpleNamespace(
        named_modules=lambda: [(f"model.{name}", SimpleNamespace(weight=0)) for name in LAYERS],
        config=SimpleNamespace(get_text_config=lambda: text),
    )


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_an_adapter_on_a_tied_layer_is_refused(end):
    with pytest.raises(HftError) as error:
        lora.check_targets(model(tie=True), ["q_proj", end])
    assert error.value.message == (
        f"lora.targets: this model's embed_tokens and lm_head are one matrix, which an adapter on {end} changes at one "
        f"end while it trains, and at both once it is merged\n  Fix: take {end} out of lora.targets"
    )
    lora.check_targets(model(tie=False), ["q_proj", end])
    lora.check_targets(model(tie=True), ["q_proj"])


def test_a_target_that_the_model_lacks_is_named():
    with pytest.raises(HftError, match="the model has no layer 'o_proj'; it has: embed_tokens, lm_head, q_proj"):
        lora.check_targets(model(tie=True), ["q_proj", "o_proj"])
