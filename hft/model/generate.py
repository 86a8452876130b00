"""Answers in batches, greedy or drawn, shared by both backends."""

import tempfile
from typing import NamedTuple

from hft import errors, terminal


class Sampling(NamedTuple):
    """How answers are drawn instead of taken greedily."""

    temperature: float
    top_p: float
    seed: int


def stop_ids(model, tokenizer) -> list[int]:
    """The tokens that end an answer: the tokenizer's end token and those of the model's generation settings."""
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return sorted({tokenizer.eos_token_id, *(one for one in configured if one is not None)})


def answers(
    model, tokenizer, prompts: list[list[int]], max_new_tokens: int, rows: int, what: str, drawn: Sampling | None = None
) -> list[str]:
    """Answer prompts of token ids, `rows` at a time, longest first; half as many where a GPU's memory runs out.

    Returns texts in the order of the prompts, without the stop token and outer white space.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    said = [""] * len(prompts)
    stops = stop_ids(model, tokenizer)
    how = (
        dict(do_sample=False, temperature=None, top_p=None)
        if drawn is None
        else dict(do_sample=True, temperature=drawn.temperature, top_p=drawn.top_p)
    )
    with terminal.bar(what, len(prompts)) as shown, torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(drawn.seed if drawn else 0)
        start = 0
        while start < len(order):
            batch = order[start : start + rows]
            width = len(prompts[batch[0]])
            ids = torch.tensor(
                [[tokenizer.pad_token_id] * (width - len(prompts[i])) + prompts[i] for i in batch], device=model.device
            )
            mask = torch.tensor(
                [[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch], device=model.device
            )
            try:
                output = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=max_new_tokens,
                    num_beams=1,
                    **how,
                    top_k=None,
                    repetition_penalty=1.0,
                    eos_token_id=stops,
                    pad_token_id=tokenizer.pad_token_id,
                    use_cache=True,
                )
            except RuntimeError as problem:
                if len(batch) == 1 or not errors.is_out_of_memory(problem):
                    raise
                output = None  # out of the except block, whose error holds on to the batch's tensors
            if output is None:
                rows = len(batch) // 2
                torch.cuda.empty_cache()
                print(f"\nOut of GPU memory: asking {rows} at a time.", flush=True)
                continue
            for i, tokens in zip(batch, output[:, width:].tolist(), strict=True):
                end = next((n for n, token in enumerate(tokens) if token in stops), len(tokens))
                said[i] = tokenizer.decode(tokens[:end], skip_special_tokens=True).strip()
            start += len(batch)
            shown.advance(start)
    return said


def by_vllm(
    model, tokenizer, prompts: list[list[int]], max_new_tokens: int, what: str, drawn: Sampling | None = None
) -> list[str]:
    """The answer to each prompt (token ids), greedy or drawn, without the stop token and outer white space."""
    from vllm import SamplingParams

    print(f"{what}: {len(prompts)} by vLLM", flush=True)
    how = [
        SamplingParams(
            temperature=drawn.temperature if drawn else 0.0,
            top_p=drawn.top_p if drawn else 1.0,
            seed=drawn.seed + number if drawn else None,
            max_tokens=max_new_tokens,
            stop_token_ids=stop_ids(model, tokenizer),
            skip_special_tokens=True,
        )
        for number in range(len(prompts))
    ]
    with tempfile.TemporaryDirectory() as folder:
        outputs = model.vllm_engine.generate(
            [{"prompt_token_ids": ids} for ids in prompts], how, lora_request=adapter(model, folder), use_tqdm=False
        )
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
