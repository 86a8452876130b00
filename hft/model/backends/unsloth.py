"""`backend: unsloth`: Unsloth's FastLanguageModel, the default; same functions as plain.py."""

from typing import Any

from hft.model import base as models
from hft.model import generate as generation
from hft.model import lora, patches
from hft.model.generate import Sampling
from hft.plan.plan import Plan
from hft.recipe.schema import Lora, Model

CHECKPOINTING = {"none": False, "full": True, "offloaded": "unsloth"}


def load(spec: Model, plan: Plan, rank: int = 16) -> tuple[Any, Any]:
    """Return (model, tokenizer) at the recipe's revision, quantised as it says; `rank` is the coming adapter's."""
    import torch
    from unsloth import FastLanguageModel

    patches.deterministic_attention(plan)
    patches.load_a_part(spec, plan)
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


def add_lora(model: Any, spec: Lora, plan: Plan, seed: int) -> Any:
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
    from unsloth import FastLanguageModel

    if plan.generator == "vllm":
        return generation.by_vllm(model, tokenizer, prompts, max_new_tokens, what, drawn, one_line)
    FastLanguageModel.for_inference(model)
    try:
        return generation.answers(model, tokenizer, prompts, max_new_tokens, plan.generate_rows, what, drawn, one_line)
    finally:
        FastLanguageModel.for_training(model, use_gradient_checkpointing=CHECKPOINTING[plan.checkpointing])
        tokenizer.padding_side = "left"
