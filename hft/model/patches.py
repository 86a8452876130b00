"""What changes the insides of TRL, Unsloth, bitsandbytes, accelerate and transformers, each with its reason.

Each function says what it was needed with, where that is upstream, and until when; tests/model/test_patches.py reads
the installed library and fails on the day.
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hft.plan.plan import Plan
from hft.recipe.schema import Model

# bitsandbytes


def keep_trainable_layout(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights for AVX512-BF16 at the first forward without gradients.

    It does not unpack them to train: training after an evaluation learns nothing.
    Needed with: bitsandbytes 0.50.2 (bitsandbytes/nn/modules.py, Linear4bit.forward).
    Upstream: https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1804 brought the packing.
    Until: forward no longer packs, or unpacks where it trains.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


# TRL


def cpu_loss_head(plan: Plan) -> None:
    """Give TRL a loss head in torch on a CPU, where its Triton kernel does not exist.

    Needed with: trl 1.15.0 (trl/trainer/utils.py: `_ChunkedLogProbFunction = None` where Triton is missing).
    Upstream: https://github.com/huggingface/trl, trl/trainer/utils.py.
    Until: TRL has a head of its own without Triton.
    """
    from trl.trainer import utils

    if plan.device == "cpu" and utils._ChunkedLogProbFunction is None:
        utils._ChunkedLogProbFunction = TorchLogProbs


class TorchLogProbs:
    """The same numbers as TRL's fused head: log-probability, entropy and top-1 of each labelled token."""

    @staticmethod
    def apply(hidden: Any, weight: Any, bias: Any, labels: Any, *how: Any) -> tuple:
        """hidden (N, H), weight (V, H), labels (N,) -> five (N,) tensors, None for what `outputs` does not name."""
        temperature, _chunk_size, softcap, scale, outputs = how
        import torch

        logits = torch.nn.functional.linear(hidden, weight, bias).float() * scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        every = (logits / temperature).log_softmax(-1)
        log_probs = every.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        entropy = -(every.exp() * every).sum(-1).detach() if "entropy" in outputs else None
        is_top1 = logits.argmax(-1) == labels if "is_top1" in outputs else None
        return log_probs, entropy, None, None, is_top1


def join_rows(trainer: Any, tokenizer: Any) -> None:
    """Let the rows of a forward pass stand end to end, each with positions from 0.

    Not by SFTConfig's padding_free: with rows that are token ids already, Unsloth switches that off.
    Needed with: trl 1.15.0 and unsloth 2026.10.9 (unsloth/trainer.py sets `padding_free` to False where "blocked").
    Upstream: https://github.com/unslothai/unsloth, unsloth/trainer.py.
    Until: Unsloth no longer switches `padding_free` off.
    """
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    trainer.data_collator = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id, padding_free=True)


def end_at(trainer: Any, stops: list[int]) -> None:
    """Let GRPOTrainer take a completion for ended at each of these tokens: no argument of GRPOConfig says so.

    Needed with: trl 1.15.0 (trl/trainer/grpo_trainer.py sets `eos_token_ids` by the model alone).
    Upstream: https://github.com/huggingface/trl, trl/trainer/grpo_trainer.py.
    Until: GRPOConfig takes the tokens that end a completion.
    """
    trainer.eos_token_ids = stops


def generate_from(trainer: Any, tokens: Callable[[Any], list[int]]) -> None:
    """Let GRPOTrainer generate from these tokens of each prompt.

    Needed with: trl 1.15.0 (trl/trainer/grpo_trainer.py, _tokenize_prompts).
    Why: it renders a chat by the template alone, without what the model's turn begins with and the row's tools.
    Upstream: https://github.com/huggingface/trl, trl/trainer/grpo_trainer.py.
    Until: it takes prompts that are token ids.
    """
    images, others = None, {}
    trainer._tokenize_prompts = lambda prompts: ([tokens(one) for one in prompts], images, others)


def trl_class(config: type) -> type:
    """The config class as TRL wrote it: Unsloth puts one with about twenty other defaults in its place.

    Needed with: unsloth 2026.10.9 (unsloth/models/rl.py: `class Unsloth{RLConfig_name}({RLConfig_name})`).
    Upstream: https://github.com/unslothai/unsloth, unsloth/models/rl.py.
    Until: Unsloth leaves TRL's config classes alone.
    """
    return next(c for c in config.__mro__ if c.__module__.startswith("trl.") and dataclasses.is_dataclass(c))


# Unsloth


def prepare_unsloth(plan: Plan) -> None:
    """Set the variables that Unsloth reads when it is imported: standby of vLLM, sharded weights of a worker.

    Needed with: unsloth 2026.10.9 (unsloth/fsdp2_launch.py) and unsloth_zoo 2026.10.9 (unsloth_zoo/vllm_utils.py).
    Upstream: https://unsloth.ai/docs/get-started/reinforcement-learning-rl-guide/memory-efficient-rl.md (standby);
    https://github.com/unslothai/unsloth, unsloth/fsdp2_launch.py.
    Until: from_pretrained takes them as arguments.
    """
    if plan.standby:  # the second: or Unsloth takes a share of the memory of its own
        os.environ.update(UNSLOTH_VLLM_STANDBY="1", UNSLOTH_VLLM_STANDBY_UTIL_OVERRIDE="1")
    if plan.sharded and "LOCAL_RANK" in os.environ:
        os.environ.update(UNSLOTH_FSDP2="1", UNSLOTH_FSDP2_LAYOUT="sharded")


def load_a_part(spec: Model, plan: Plan) -> None:
    """Let a worker read its part of the weights alone; not of 4-bit weights, for which Unsloth refuses that.

    Needed with: unsloth 2026.10.9 (unsloth/models/fsdp2_load.py).
    Upstream: https://github.com/unslothai/unsloth, unsloth/models/fsdp2_load.py.
    Until: from_pretrained takes it as an argument.
    """
    if plan.sharded and spec.quantization == "none" and "LOCAL_RANK" in os.environ:
        os.environ.setdefault("UNSLOTH_FSDP2_SHARDED_LOAD", "1")


def deterministic_attention(plan: Plan) -> None:
    """Let Unsloth take torch's attention where a training must be repeatable.

    The sums of xformers' and flash-attn's backward passes come in any order, whatever torch is told.
    Needed with: unsloth 2026.10.9 (unsloth/utils/attention_dispatch.py, select_attention_backend).
    Upstream: https://github.com/unslothai/unsloth/issues/901.
    Until: select_attention_backend asks torch.are_deterministic_algorithms_enabled.
    """
    if plan.deterministic and plan.device == "cuda":
        from unsloth.utils import attention_dispatch

        attention_dispatch.HAS_XFORMERS = attention_dispatch.HAS_FLASH_ATTENTION = False


def keep_apart(trainer: Any, plan: Plan) -> None:
    """Let attention end where a row ends, for rows that stand end to end: by torch's flash attention where it can.

    Unsloth calls xformers, which calls the same kernels by a longer way, each key and value copied for all heads that
    share it. Not where it must be deterministic: its backward pass is too, but slower than row after row (1.3 and 0.8 s
    a step on an H200).
    Needed with: unsloth 2026.10.9 on torch 2.11 (unsloth/utils/packing.py; attention_dispatch.py, run_attention).
    Upstream: https://github.com/unslothai/unsloth/pull/3525 brought the lengths of rows.
    Until: requirements/cuda.lock has torch 2.12: then Unsloth takes torch's kernel by itself (_native_beats_xformers).
    """
    import torch
    from unsloth.utils.packing import enable_padding_free_metadata

    enable_padding_free_metadata(trainer.model, trainer)
    decoder = next(module for module in trainer.model.modules() if hasattr(module, "embed_tokens"))
    module = sys.modules[type(decoder.layers[0].self_attn).forward.__module__]
    stock = vars(module).get("run_attention")
    if stock is None or stock.__module__ == __name__ or plan.deterministic:
        return
    if torch.cuda.get_device_capability() >= (8, 0):
        module.run_attention = within_rows(stock)


def within_rows(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Unsloth's `run_attention`, and torch's where rows stand end to end; part of keep_apart.

    Q, K and V: (1, heads, tokens, size of a head).
    """
    import torch

    def run_attention(*, config: Any, context: Any, Q: Any, K: Any, V: Any) -> Any:
        # where each row starts and the last one ends (32-bit, on the GPU), and the length of the longest
        _, starts, longest = context.seq_info or (None, None, 0)
        size = Q.shape[-1]
        beyond = context.sliding_window and longest > context.sliding_window
        unfit = Q.dtype == torch.float32 or size > 256 or size % 8
        if not longest or beyond or unfit or context.attention_mask is not None:
            return stock(config=config, context=context, Q=Q, K=K, V=V)
        query, key, value = (tensor.transpose(1, 2).squeeze(0) for tensor in (Q, K, V))
        dropout, causal, debug = 0.0, True, False
        attended = torch.ops.aten._flash_attention_forward(
            query, key, value, starts, starts, longest, longest, dropout, causal, debug
        )
        return attended[0].unsqueeze(0)

    return run_attention


# transformers' Trainer, and accelerate


def name_the_cpu(trainer: Any) -> None:
    """Call a CPU `cpu`: with several processes accelerate says cpu:0, which torch.load does not know.

    Needed with: accelerate 1.15.0 (accelerate/state.py, set_device) and transformers 5.17.0 (transformers/trainer.py
    loads the optimizer's state to `args.device`).
    Upstream: https://github.com/huggingface/accelerate, src/accelerate/state.py.
    Until: the Trainer loads the state of several processes to the CPU, or accelerate gives a CPU no number.
    """
    import torch

    if trainer.args.device.type == "cpu":
        trainer.args.__dict__["_setup_devices"] = torch.device("cpu")  # a cached property, else read-only


def load_trained(trainer: Any, checkpoint: Path, step: int) -> None:
    """Put a checkpoint's weights into the trainer's model without training: the Trainer would make one more step.

    Needed with: transformers 5.17.0 (transformers/trainer.py, _load_from_checkpoint).
    Upstream: https://github.com/huggingface/transformers, src/transformers/trainer.py.
    Until: the Trainer has a public method that only loads.
    """
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state.global_step = step


def save_now(trainer: Any) -> None:
    """Write a checkpoint of the last whole step, after a training that an exception ended.

    Needed with: transformers 5.17.0 (transformers/trainer.py, _save_checkpoint).
    Upstream: https://github.com/huggingface/transformers, src/transformers/trainer.py.
    Until: the Trainer has a public method that saves a checkpoint.
    """
    trainer._save_checkpoint(trainer.model, trial=None)
