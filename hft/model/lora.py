"""LoRA parameters that every backend and every machine starts with alike."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hft.errors import HftError

ENDS = ("embed_tokens", "lm_head")  # the first and the last matrix, one and the same in a model that ties them


def initialise(model: Any, seed: int) -> None:
    """Set A to Kaiming-uniform(sqrt 5) from a CPU generator, parameter by parameter in name order, and B to 0.

    The distribution is PEFT's default (LoRA, arXiv 2106.09685, section 4.1). float32 because TRL casts adapters on
    4-bit models to bfloat16, and a checkpoint reloads as float32: a resumed run would not be the same run.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if ".lora_A." in name:
            fresh = torch.empty(parameter.shape, dtype=torch.float32)
            bound = fresh.shape[1] ** -0.5
            parameter.data = fresh.uniform_(-bound, bound, generator=generator).to(parameter.device)
        elif ".lora_B." in name:
            parameter.data = torch.zeros(parameter.shape, dtype=torch.float32, device=parameter.device)


def check_targets(model: Any, targets: list[str]) -> None:
    """Raise HftError for a target that names no layer of the model, which PEFT would leave out in silence, or a tied
    one.
    """
    layers = {name.rpartition(".")[2] for name, module in model.named_modules() if hasattr(module, "weight")}
    if unknown := [target for target in targets if target not in layers]:
        raise HftError(
            f"lora.targets: the model has no layer '{unknown[0]}'; it has: {', '.join(sorted(layers))}",
            "mend lora.targets in the recipe",
        )
    check_tied(model, targets)


def check_tied(model: Any, targets: Collection[str]) -> None:
    """Raise HftError when a target is one of two layers that share their weights."""
    if at_an_end(targets) and model.config.get_text_config().tie_word_embeddings:
        raise HftError(f"lora.targets: {tied(targets)}", f"take {' and '.join(at_an_end(targets))} out of lora.targets")


def at_an_end(targets: Collection[str]) -> list[str]:
    """Those of the targets that a model may tie."""
    return [end for end in ENDS if end in targets]


def tied(targets: Collection[str]) -> str:
    """Why a model that ties its ends takes no adapter on one: trained, it acts there alone; merged, on both."""
    return (
        f"this model's {' and '.join(ENDS)} are one matrix, which an adapter on {' and '.join(at_an_end(targets))} "
        "changes at one end while it trains, and at both once it is merged"
    )


def load(model: Any, adapter: Path) -> None:
    """Put a saved adapter's weights into a model that has one. Raises HftError when names or shapes differ."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    saved = load_file(adapter / "adapter_model.safetensors")
    wanted = get_peft_model_state_dict(model)
    if saved.keys() != wanted.keys():
        odd = sorted(saved.keys() ^ wanted.keys())
        raise HftError(
            f"{adapter} does not fit the recipe's adapter: {len(odd)} names differ, first {odd[0]}",
            "the recipe's lora section or model changed since this run: train again",
        )
    set_peft_model_state_dict(model, saved)
