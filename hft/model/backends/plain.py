"""`backend: plain`: transformers + PEFT + bitsandbytes, nothing else: the reference that everything is compared with."""

from pathlib import Path

from hft.model import base as models
from hft.model import generate as generation
from hft.model import lora
from hft.model import merge as merging
from hft.model.generate import Sampling
from hft.plan.plan import Plan
from hft.recipe.schema import Lora, Model


def load(spec: Model, plan: Plan, rank: int = 16):
    """Return (model, tokenizer) at the recipe's revision, quantised as it says; `rank` is that of the adapter to come."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

    cpu_loss_head(plan)
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
    keep_trainable_layout(model)
    return model, models.tokenizer(source)


def add_lora(model, spec: Lora, plan: Plan, seed: int):
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
    model,
    tokenizer,
    prompts: list[list[int]],
    max_new_tokens: int,
    plan: Plan,
    what: str,
    drawn: Sampling | None = None,
) -> list[str]:
    """Return the answer to each prompt (token ids): greedy, or drawn."""
    model.eval()
    return generation.answers(model, tokenizer, prompts, max_new_tokens, plan.generate_rows, what, drawn)


def merge(spec: Model, adapter: Path, plan: Plan, target: Path) -> None:
    """Write the 16-bit model with the adapter merged into the very weights it was trained on."""
    merging.merge(spec, adapter, plan, target)


def keep_trainable_layout(model) -> None:
    """Stop bitsandbytes from repacking 4-bit weights for AVX512-BF16 at the first forward without gradients.

    It never unpacks them, and training afterwards learns nothing (bitsandbytes 0.50).
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def cpu_loss_head(plan: Plan) -> None:
    """Give TRL a loss head in torch on a CPU, where its Triton kernel does not exist."""
    from trl.trainer import utils

    if plan.device == "cpu" and utils._ChunkedLogProbFunction is None:
        utils._ChunkedLogProbFunction = TorchLogProbs


class TorchLogProbs:
    """The same numbers as TRL's fused head: log-probability, entropy and top-1 of each labelled token."""

    @staticmethod
    def apply(hidden, weight, bias, labels, temperature, chunk, softcap, scale, outputs):
        """hidden (N, H), weight (V, H), labels (N,) -> five (N,) tensors, None for what `outputs` does not name."""
        import torch

        logits = torch.nn.functional.linear(hidden, weight, bias).float() * scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        every = (logits / temperature).log_softmax(-1)
        log_probs = every.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        entropy = -(every.exp() * every).sum(-1).detach() if "entropy" in outputs else None
        is_top1 = logits.argmax(-1) == labels if "is_top1" in outputs else None
        return log_probs, entropy, None, None, is_top1
