"""Answers to prompts, greedy or drawn: by transformers in batches, or by vLLM beside the model."""

import copy
import itertools
import tempfile
from typing import Any, NamedTuple

from hft import errors, terminal

WORTH = 64  # tokens that all prompts begin with, to be read once
ADAPTERS = itertools.count(1001)  # vLLM keeps adapters by number


class Sampling(NamedTuple):
    """How answers are drawn instead of taken greedily."""

    temperature: float
    top_p: float
    seed: int
    top_k: int = 0  # all
    min_p: float | None = None


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the tokenizer's end token and those of the model's generation settings."""
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return sorted({tokenizer.eos_token_id, *(token for token in configured if token is not None)})


def line_ends(tokenizer: Any) -> list[int]:
    """The tokens that hold a line end."""
    vocabulary = tokenizer.get_vocab()
    ends = [token for text, token in vocabulary.items() if "\n" in text or "Ċ" in text or text == "<0x0A>"]
    return sorted(ends)  # Ċ: how byte-level vocabularies write it; <0x0A>: those of SentencePiece


def first_line(text: str) -> str:
    """What stands before the first line end behind any text."""
    return text.strip().partition("\n")[0].rstrip()


# By transformers


def answers(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    rows: int,
    what: str,
    drawn: Sampling | None = None,
    one_line: bool = False,
) -> list[str]:
    """Answer prompts of token ids, `rows` at a time, longest first; half as many where a GPU's memory runs out.

    Returns texts in the order of the prompts, without the stop token and outer white space; their first lines where
    `one_line` is wanted.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    begun = read_once(model, prompts)
    texts = [""] * len(prompts)
    stops = stop_ids(model, tokenizer)
    ends = sorted({*stops, *line_ends(tokenizer)}) if one_line else stops
    with terminal.bar(what, len(prompts)) as shown, torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(drawn.seed if drawn else 0)
        start = 0
        while start < len(order):
            batch = order[start : start + rows]
            new_tokens = in_one_batch(model, tokenizer, [prompts[i] for i in batch], max_new_tokens, ends, drawn, begun)
            if new_tokens is None:
                rows = len(batch) // 2
                torch.cuda.empty_cache()
                print(f"\nOut of GPU memory: asking {rows} at a time.", flush=True)
                continue
            for i, tokens in zip(batch, new_tokens, strict=True):
                end = next((n for n, token in enumerate(tokens) if token in stops), len(tokens))
                text = tokenizer.decode(tokens[:end], skip_special_tokens=True).strip()
                texts[i] = first_line(text) if one_line else text
            start += len(batch)
            shown.advance(start)
    return texts


class Begun(NamedTuple):
    """The first tokens of every prompt, as the model has read them."""

    length: int
    cache: Any


def read_once(model: Any, prompts: list[list[int]]) -> Begun | None:
    """Let the model read what all prompts begin with; None for little.

    On a CPU alone, where reading is most of the time: 48 prompts of 330 tokens that share 250 take a third of it.
    """
    if str(model.device) != "cpu" or len(prompts) == 1 or (length := shared(prompts)) < WORTH:
        return None
    import torch
    from transformers import DynamicCache

    with torch.no_grad():
        read = model(input_ids=torch.tensor([prompts[0][:length]]), past_key_values=DynamicCache(), use_cache=True)
    return Begun(length, read.past_key_values)


def shared(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with; one of each is left to be read."""
    most = min(map(len, prompts)) - 1
    return next((place for place in range(most) if len({ids[place] for ids in prompts}) > 1), most)


def in_one_batch(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    limit: int,
    stops: list[int],
    drawn: Sampling | None,
    begun: Begun | None = None,
) -> list[list[int]] | None:
    """The new tokens of each prompt, the longest first; None where memory runs out with more than one.

    A function, because what it holds must be gone before the cache is emptied: its tensors, and those of the error.
    """
    import torch

    width, start, more = len(prompts[0]), 0, {}
    if begun:  # what fills up the rows stands behind what they share, which is read already
        start = begun.length
        more["past_key_values"] = copy.deepcopy(begun.cache)
        more["past_key_values"].batch_repeat_interleave(len(prompts))
    padding = [width - len(ids) for ids in prompts]
    filled = zip(padding, prompts, strict=True)
    padded = [ids[:start] + [tokenizer.pad_token_id] * pad + ids[start:] for pad, ids in filled]
    mask = [[1] * start + [0] * pad + [1] * (width - pad - start) for pad in padding]
    try:
        output = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=limit,
            num_beams=1,
            do_sample=drawn is not None,
            temperature=drawn.temperature if drawn else None,
            top_p=drawn.top_p if drawn else None,
            top_k=(drawn.top_k or None) if drawn else None,
            min_p=drawn.min_p if drawn else None,
            repetition_penalty=1.0,
            eos_token_id=stops,
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
            **more,
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
    one_line: bool = False,
) -> list[str]:
    """The answer to each prompt (token ids), greedy or drawn, without the stop token and outer white space."""
    from vllm import SamplingParams

    print(f"{what}: {len(prompts)} by vLLM", flush=True)
    how = [
        SamplingParams(
            temperature=drawn.temperature if drawn else 0.0,
            top_p=drawn.top_p if drawn else 1.0,
            top_k=drawn.top_k if drawn else 0,
            min_p=(drawn.min_p or 0.0) if drawn else 0.0,
            seed=drawn.seed + number if drawn else None,
            max_tokens=max_new_tokens,
            stop_token_ids=stop_ids(model, tokenizer),
            stop=["\n"] if one_line else None,
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
