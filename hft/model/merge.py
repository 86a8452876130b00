"""Merge an adapter into 16-bit weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hft import files
from hft.model import generate, lora
from hft.model.backends import plain
from hft.plan.plan import Plan
from hft.recipe.schema import Model


def merge(spec: Model, trained: Path | None, plan: Plan, target: Path) -> None:
    """Write base + adapter (or a model whose weights were all trained, or the base alone) as bfloat16, in one step.

    A base that was quantised for training is dequantised, not replaced by the 16-bit original: the adapter
    corrects the quantised weights, and on the original it answers worse (measured: 12 of 20 against 20 of 20). Not
    Unsloth's own merge: that one takes the 16-bit original. On the CPU: a card that trains a model in 4 bits need not
    hold it in 16. The base is kept in the precision it was trained in. Raises HftError for an adapter on tied layers.
    """
    import torch
    from peft import PeftConfig, PeftModel

    here = replace(plan, device="cpu")
    if trained is None or (trained / "adapter_config.json").exists():
        model, tokenizer = plain.load(spec, here)
        if getattr(model, "is_quantized", False):
            model = model.dequantize()
            drop_quantization(model)
        if trained is not None:
            lora.check_tied(model, PeftConfig.from_pretrained(trained).target_modules)
            model = PeftModel.from_pretrained(model, trained).merge_and_unload()
    else:
        model, tokenizer = plain.load(spec.model_copy(update={"name": str(trained)}), here)
    save(model.to(torch.bfloat16), tokenizer, target)


def save(model: Any, tokenizer: Any, target: Path) -> None:
    """Write model and tokenizer into a folder, in one step; whoever loads it stops where hft's evaluation stopped."""
    stops = generate.stop_ids(model, tokenizer)
    model.generation_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with files.new_folder(target) as draft:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def drop_quantization(model: Any) -> None:
    """Make the saved config say what the weights now are: 16-bit."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.is_quantized = False
    model.is_loaded_in_4bit = False
