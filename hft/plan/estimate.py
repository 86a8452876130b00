"""GPU memory in GiB and seconds per step of supervised LoRA training, from a model's shape: measured, simple formulas.

Fitted to one H200 with Unsloth 2026.10.9 (tests/plan/test_estimate.py holds what was measured and how far off this is).
Per token and layer a forward pass keeps inputs, projections and both MLP halves in 16 bits; the backward pass makes as
much again of the MLP.
"""

import itertools
import re

from hft.plan.shape import Shape
from hft.recipe.schema import Recipe

GIB = 2**30
# Bytes a weight: 4 bits, an 8-bit scale for 64, a float for 256 scales (arXiv 2305.14314, section 3).
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
WORKSPACE = 0.3 * GIB  # of cuBLAS, bitsandbytes and attention, as far as torch allocates it
CONTEXT = 0.6  # GiB outside torch's allocator: CUDA's context and kernels
PADDED = 1.25  # padded rows need masks and copies that joined rows do not
# Seconds of Python and kernel launches a layer and micro-batch, forward and backward, on a server's CPU.
LAUNCH = 0.0103
REACHED = 0.516  # share of a card's bf16 peak that a whole step reaches; large matrix products alone reach 0.80

# Dense bf16 TFLOP/s with fp32 accumulation, by NVIDIA's data sheets; GiB as nvidia-smi shows them.
CARDS = {
    "rtx4090": (165.2, 23.99),
    "rtx5080": (112.6, 15.92),
    "rtx5090": (209.5, 31.84),
    "a100": (312.0, 80.0),
    "h100": (989.4, 79.65),
    "h200": (989.4, 140.4),
}


def memory(
    shape: Shape,
    recipe: Recipe,
    tokens: int,
    padded: bool,
    checkpointing: str,
    backend: str = "unsloth",
    shards: int = 1,
) -> dict[str, float]:
    """`{part: GiB}` on each card at the peak of training, for micro-batches of up to `tokens` tokens, padding counted.

    `shards` processes share the weights: each gathers two layers at a time, and embedding and output for as long as it
    trains, which are there twice while they are gathered, before there are activations.
    """
    linear, other = stored(shape, recipe)
    weights = linear + other if shards == 1 else linear / shards + 2 * linear / shape.layers + other + other / shards
    adapter = of_adapter(shape, recipe) / shards
    widened = tokens * (PADDED if padded and backend == "unsloth" else 1)
    sizes = {
        "weights": weights,
        "adapter": adapter * 4,
        "gradients": adapter * 4,
        "optimizer": adapter * (2 if recipe.train.optimizer == "adamw_8bit" else 8),
        "activations": widened * per_token(shape, checkpointing, backend),
        "loss": max(0, loss(shape, tokens) - tokens * per_token(shape, "offloaded", backend)),
        "workspace": WORKSPACE,
    }
    parts = {name: size / GIB for name, size in sizes.items()}
    if shards > 1:
        parts["gathering"] = max(0, other / GIB - parts["activations"] - parts["loss"])
    return parts


def loading(shape: Shape, recipe: Recipe, shards: int) -> float:
    """GiB on each card before the weights are shared.

    They are whole in 4 bits, which cannot be read in parts; embedding and output are there twice.
    """
    linear, other = stored(shape, recipe)
    read = linear if recipe.model.quantization == "nf4" else linear / shards
    return (read + 2 * other + of_adapter(shape, recipe) * 4) / GIB


def of_adapter(shape: Shape, recipe: Recipe) -> int:
    """Weights of the recipe's adapter; none where all weights are trained."""
    return shape.adapter(recipe.lora.rank, recipe.lora.targets) if recipe.lora else 0


def stored(shape: Shape, recipe: Recipe) -> tuple[float, float]:
    """Bytes of the decoder's linear layers, which are quantised, and of embedding, output and norms, which are not."""
    return shape.linear * (NF4 if recipe.model.quantization == "nf4" else 2), shape.other * 2


def per_token(shape: Shape, checkpointing: str, backend: str) -> float:
    """Bytes of activations a token.

    Of all layers (none), of one layer and all layers' inputs (full), or of one layer (offloaded).
    """
    kept = 2 * (2 * shape.intermediate + 4 * shape.hidden + 2 * shape.queries + 2 * shape.keys)
    if backend == "plain":  # nothing fused: every step of MLP, norms and rotary embedding keeps its own copy
        kept = 2 * (4 * shape.intermediate + 8 * shape.hidden + 4 * shape.queries + 2 * shape.keys)
    backward = 2 * (2 * shape.intermediate + 2 * shape.hidden) if backend == "unsloth" else 0
    if checkpointing == "none":
        return shape.layers * kept + backward
    return kept + backward + (shape.layers * shape.hidden * 2 if checkpointing == "full" else 0)


def asking(shape: Shape, recipe: Recipe, backend: str) -> float:
    """GiB that a question takes while it is answered: all layers' keys and values, and what one layer works on.

    Of the longest that the recipe allows, with its answer.
    """
    tokens = recipe.model.max_tokens + recipe.evaluate.max_new_tokens
    return tokens * (shape.layers * 4 * shape.keys + per_token(shape, "offloaded", backend)) / GIB


def loss(shape: Shape, tokens: int) -> float:
    """Bytes at the output.

    16-bit logits and their fp32 gradient, an eighth of the tokens at a time (at least 512, at most 1.5 GiB), and two
    copies of the last hidden state.
    """
    rows = min(2 * GIB // (8 * shape.vocabulary), max(512, tokens // 8))
    return rows * shape.vocabulary * 6 + tokens * shape.hidden * 4


def room(card: float) -> float:
    """GiB that a plan may fill by this estimate, of a card's GiB: a tenth is left for its error, and the context."""
    return 0.9 * card - CONTEXT


def seconds(shape: Shape, tokens: float, micro_batches: int, checkpointing: str, tflops: float) -> float:
    """Seconds of an optimizer step over `tokens` tokens on a card of so many peak bf16 TFLOP/s.

    The CPU starts kernels while the GPU computes: of a micro-batch the slower of the two counts, and a little of the
    other.
    """
    # 2 forward, 2 backward (of inputs alone: weights are frozen), 2 to compute them again
    passes = 4 if checkpointing == "none" else 6
    work = tokens * (passes * shape.linear + 4 * shape.vocabulary * shape.hidden)
    launches, computes = shape.layers * LAUNCH, work / micro_batches / (tflops * 1e12 * REACHED)
    return micro_batches * (launches**4 + computes**4) ** 0.25


def rate(name: str) -> float | None:
    """Peak bf16 TFLOP/s of a card by nvidia-smi's name, such as NVIDIA GeForce RTX 4090; None for one not listed."""
    words = re.findall("[a-z0-9]+", name.lower())
    known = {*words, *(first + second for first, second in itertools.pairwise(words))}
    return next((tflops for card, (tflops, _) in CARDS.items() if card in known), None)
