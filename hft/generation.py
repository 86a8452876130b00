"""Answers in batches, greedy or drawn, shared by both backends."""

from typing import NamedTuple

from hft import errors, progress


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


def answers(model, tokenizer, prompts: list[list[int]], max_new_tokens: int, rows: int, what: str,
            drawn: Sampling | None = None) -> list[str]:
    """Answer prompts of token ids, `rows` at a time, longest first; half as many where a GPU's memory runs out.

    Returns texts in the order of the prompts, without the stop token and outer white space.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    said = [""] * len(prompts)
    stops = stop_ids(model, tokenizer)
    how = dict(do_sample=False, temperature=None, top_p=None) if drawn is None else dict(
        do_sample=True, temperature=drawn.temperature, top_p=drawn.top_p)
    with progress.bar(what, len(prompts)) as shown, torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(drawn.seed if drawn else 0)
        start = 0
        while start < len(order):
            batch = order[start:start + rows]
            width = len(prompts[batch[0]])
            ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(prompts[i])) + prompts[i] for i in batch], device=model.device)
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch], device=model.device)
            try:
                output = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=max_new_tokens, num_beams=1, **how, top_k=None,
                                        repetition_penalty=1.0, eos_token_id=stops, pad_token_id=tokenizer.pad_token_id, use_cache=True)
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
