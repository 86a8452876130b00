"""`backend: plain`: transformers + PEFT + bitsandbytes, nothing else: what everything is compared with."""

from typing import Any

from hft.model import base as models
from hft.model import generate as generation
from hft.model import lora, patches
from hft.model.generate import Sampling
from hft.plan.plan import Plan
from hft.recipe.schema import Lora, Model


def load(spec: Model, plan: Plan, rank: int = 16) -> tuple[Any, Any]:
    """Return (model, tokenizer) at the recipe's revision, quantised as it says; `rank` is the coming adapter's."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

    patches.cpu_loss_head(plan)
    source = models.resolve(spec)
    dtype = torch.bfloat16 if plan.weights == "bf16" else torch.float32
    options = {}
    stored = getattr(AutoConfig.from_pretrained(source.name, revision=source.revision), "quantization_config", None)
    if spec.quantization == "nf4" and stored is None:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    model = AutoModelForCausalLM.from_pretrained(
        source.name,
        revision=source.revision,
        dtype=dtype,
        device_map={"": plan.device},
        attn_implementation="sdpa",
        **options,
    )
    patches.keep_trainable_layout(model)
    return model, models.tokenizer(source)


def add_lora(model: Any, spec: Lora, plan: Plan, seed: int) -> Any:
    """Return the model with a new adapter, its base frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(spec.targets),
        bias="none",
        task_type="CAUSAL_LM",
        use_rslora=False,
        init_lora_weights=True,
    )
    model = get_peft_model(model, config)
    lora.initialise(model, seed)
    return model


def generate(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    plan: Plan,
    what: str,
    drawn: Sampling | None = None,
    one_line: bool = False,
) -> list[str]:
    """Return the answer to each prompt (token ids): greedy, or drawn; its first line where `one_line` is wanted."""
    model.eval()
    return generation.answers(model, tokenizer, prompts, max_new_tokens, plan.generate_rows, what, drawn, one_line)
