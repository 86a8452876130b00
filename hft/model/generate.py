"""Answers to prompts, greedy or drawn: by transformers in batches, or by vLLM beside the model."""

import itertools
import tempfile
from typing import Any, NamedTuple

from hft import errors, terminal

ADAPTERS = itertools.count(1001)  # vLLM keeps adapters by number


class Sampling(NamedTuple):
    """How answers are drawn instead of taken greedily."""

    temperature: float
    top_p: float
    seed: int


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the tokenizer's end token and those of the model's generation settings."""
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return sorted({tokenizer.eos_token_id, *(token for token in configured if token is not None)})


# By transformers


def answers(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    rows: int,
    what: str,
    drawn: Sampling | None = None,
) -> list[str]:
    """Answer prompts of token ids, `rows` at a time, longest first; half as many where a GPU's memory runs out.

    Returns texts in the order of the prompts, without the stop token and outer white space.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    texts = [""] * len(prompts)
    stops = stop_ids(model, tokenizer)
    with terminal.bar(what, len(prompts)) as shown, torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(drawn.seed if drawn else 0)
        start = 0
        while start < len(order):
            batch = order[start : start + rows]
            new_tokens = in_one_batch(model, tokenizer, [prompts[i] for i in batch], max_new_tokens, stops, drawn)
            if new_tokens is None:
                rows = len(batch) // 2
                torch.cuda.empty_cache()
                print(f"\nOut of GPU memory: asking {rows} at a time.", flush=True)
                continue
            for i, tokens in zip(batch, new_tokens, strict=True):
                end = next((n for n, token in enumerate(tokens) if token in stops), len(tokens))
                texts[i] = tokenizer.decode(tokens[:end], skip_special_tokens=True).strip()
            start += len(batch)
            shown.advance(start)
    return texts


def in_one_batch(
    model: Any, tokenizer: Any, prompts: list[list[int]], limit: int, stops: list[int], drawn: Sampling | None
) -> list[list[int]] | None:
    """The new tokens of each prompt, the longest first; None where memory runs out with more than one.

    A function, because what it holds must be gone before the cache is emptied: its tensors, and those of the error.
    """
    import torch

    width = len(prompts[0])
    padding = [width - len(ids) for ids in prompts]
    padded = [[tokenizer.pad_token_id] * pad + ids for pad, ids in zip(padding, prompts, strict=True)]
    mask = [[0] * pad + [1] * len(ids) for pad, ids in zip(padding, prompts, strict=True)]
    try:
        output = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=limit,
            num_beams=1,
            do_sample=drawn is not None,
            temperature=drawn.temperature if drawn else None,
            top_p=drawn.top_p if drawn else None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=stops,
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
        )
    except RuntimeError as problem:
        if len(prompts) == 1 or not errors.is_out_of_memory(problem):
            raise
        return None
    return output[:, width:].tolist()


# By vLLM, beside the model on the same GPU


def by_vllm(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    what: str,
    drawn: Sampling | None = None,
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
        return [output.outputs[0].text.strip() for output in outputs]


def adapter(model: Any, folder: str) -> Any:
    """The model's adapter as vLLM takes it; None while it is switched off or still says nothing (B is 0)."""
    from vllm.lora.request import LoRARequest

    active = [m for m in model.modules() if hasattr(m, "lora_B") and not m.disable_adapters]
    if not any(bool(layer.weight.any()) for m in active for layer in m.lora_B.values()):
        return None
    number = next(ADAPTERS)
    model.save_lora(folder)
    return LoRARequest(f"adapter-{number}", number, folder)
