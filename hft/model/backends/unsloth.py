"""`backend: unsloth`: Unsloth's FastLanguageModel, the default; same functions as plain.py."""

import os
import sys
from pathlib import Path

from hft.model import base as models
from hft.model import generate as generation
from hft.model import generate as vllm
from hft.model import lora
from hft.model import merge as merging
from hft.model.generate import Sampling
from hft.plan.plan import Plan
from hft.recipe.schema import Lora, Model

CHECKPOINTING = {"none": False, "full": True, "offloaded": "unsloth"}


def load(spec: Model, plan: Plan, rank: int = 16):
    """Return (model, tokenizer) at the recipe's revision, quantised as it says; `rank` is that of the adapter to come."""
    import torch
    from unsloth import FastLanguageModel

    if plan.deterministic and plan.device == "cuda":
        from unsloth.utils import attention_dispatch

        # Their backward passes sum in any order; Unsloth then takes torch's attention.
        attention_dispatch.HAS_XFORMERS = attention_dispatch.HAS_FLASH_ATTENTION = False
    if plan.sharded and spec.quantization == "none" and "LOCAL_RANK" in os.environ:
        os.environ.setdefault(
            "UNSLOTH_FSDP2_SHARDED_LOAD", "1"
        )  # a worker reads its part alone; Unsloth refuses that for 4 bits
    source = models.resolve(spec)
    fast = {}
    if plan.generator == "vllm":
        source = models.local(source)  # fast_inference takes the default branch, whatever the revision
        fast = {
            "fast_inference": True,
            "max_lora_rank": rank,
            "gpu_memory_utilization": plan.vllm_memory,
            "unsloth_vllm_standby": plan.standby,
        }
    model, tokenizer = FastLanguageModel.from_pretrained(
        **fast,
        model_name=source.name,
        revision=source.revision,
        max_seq_length=spec.max_tokens,
        dtype=torch.bfloat16 if plan.weights == "bf16" else torch.float32,
        load_in_4bit=spec.quantization == "nf4",
        use_exact_model_name=True,
        use_gradient_checkpointing=CHECKPOINTING[plan.checkpointing],
    )
    return model, models.ready(tokenizer)


def add_lora(model, spec: Lora, plan: Plan, seed: int):
    """Return the model with a new adapter, its base frozen."""
    from unsloth import FastLanguageModel

    model = FastLanguageModel.get_peft_model(
        model,
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(spec.targets),
        bias="none",
        use_rslora=False,
        init_lora_weights=True,
        random_state=seed,
        use_gradient_checkpointing=CHECKPOINTING[plan.checkpointing],
    )
    lora.initialise(model, seed)
    return model


def keep_apart(trainer, plan: Plan) -> None:
    """Let attention end where a row ends, for rows that stand end to end: by torch's own flash attention where it can.

    Unsloth calls xformers, which calls the same kernels by a longer way, with each key and value copied for all heads that share it.
    Not where it must be deterministic: its backward pass is too, but slower than row after row (1.3 and 0.8 s a step on an H200).
    """
    import torch
    from unsloth.utils.packing import enable_padding_free_metadata

    enable_padding_free_metadata(trainer.model, trainer)
    decoder = next(one for one in trainer.model.modules() if hasattr(one, "embed_tokens"))
    module = sys.modules[type(decoder.layers[0].self_attn).forward.__module__]
    stock = getattr(module, "run_attention", None)
    if (
        stock
        and stock.__module__ != __name__
        and not plan.deterministic
        and torch.cuda.get_device_capability() >= (8, 0)
    ):
        module.run_attention = within_rows(stock)


def within_rows(stock):
    """Unsloth's `run_attention`, and torch's where rows stand end to end; Q, K and V: (1, heads, tokens, size of a head)."""
    import torch

    def run_attention(*, config, context, Q, K, V):
        _, starts, longest = context.seq_info or (
            None,
            None,
            0,
        )  # where each row starts, and the last one ends: 32-bit, on the GPU
        beyond = context.sliding_window and longest > context.sliding_window
        size = Q.shape[-1]
        if (
            not longest
            or beyond
            or context.attention_mask is not None
            or Q.dtype == torch.float32
            or size > 256
            or size % 8
        ):
            return stock(config=config, context=context, Q=Q, K=K, V=V)
        query, key, value = (one.transpose(1, 2).squeeze(0) for one in (Q, K, V))
        found = torch.ops.aten._flash_attention_forward(
            query, key, value, starts, starts, longest, longest, 0.0, True, False
        )
        return found[0].unsqueeze(0)

    return run_attention


def generate(
    model,
    tokenizer,
    prompts: list[list[int]],
    max_new_tokens: int,
    plan: Plan,
    what: str,
    drawn: Sampling | None = None,
) -> list[str]:
    """Return the answer to each prompt (token ids): greedy, or drawn."""
    from unsloth import FastLanguageModel

    if plan.generator == "vllm":
        return vllm.answers(model, tokenizer, prompts, max_new_tokens, what, drawn)
    FastLanguageModel.for_inference(model)
    try:
        return generation.answers(model, tokenizer, prompts, max_new_tokens, plan.generate_rows, what, drawn)
    finally:
        FastLanguageModel.for_training(model, use_gradient_checkpointing=CHECKPOINTING[plan.checkpointing])
        tokenizer.padding_side = "left"


def merge(spec: Model, adapter: Path, plan: Plan, target: Path) -> None:
    """Write the 16-bit model with the adapter merged into the very weights it was trained on.

    Not Unsloth's own merge: that one takes the 16-bit base, on which a QLoRA adapter was not trained, and loses answers.
    """
    merging.merge(spec, adapter, plan, target)
