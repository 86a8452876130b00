"""Answers by the vLLM engine that stands beside an Unsloth model, with the adapter where it is on."""

import tempfile

from hft.generation import Sampling, stop_ids


def answers(model, tokenizer, prompts: list[list[int]], max_new_tokens: int, what: str, drawn: Sampling | None = None) -> list[str]:
    """The answer to each prompt (token ids), greedy or drawn, without the stop token and outer white space."""
    from vllm import SamplingParams

    print(f"{what}: {len(prompts)} by vLLM", flush=True)
    how = [SamplingParams(temperature=drawn.temperature if drawn else 0.0, top_p=drawn.top_p if drawn else 1.0,
                          seed=drawn.seed + number if drawn else None, max_tokens=max_new_tokens,
                          stop_token_ids=stop_ids(model, tokenizer), skip_special_tokens=True) for number in range(len(prompts))]
    with tempfile.TemporaryDirectory() as folder:
        outputs = model.vllm_engine.generate([{"prompt_token_ids": ids} for ids in prompts], how, lora_request=adapter(model, folder),
                                             use_tqdm=False)
        return [one.outputs[0].text.strip() for one in outputs]


def adapter(model, folder: str):
    """The model's adapter as vLLM takes it; None while it is switched off or still says nothing (B is 0)."""
    from vllm.lora.request import LoRARequest

    active = [m for m in model.modules() if hasattr(m, "lora_B") and not m.disable_adapters]
    if not any(bool(layer.weight.any()) for m in active for layer in m.lora_B.values()):
        return None
    adapter.count = getattr(adapter, "count", 1000) + 1  # vLLM keeps adapters by number
    model.save_lora(folder)
    return LoRARequest(f"adapter-{adapter.count}", adapter.count, folder)
