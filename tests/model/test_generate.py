"""Answers in batches, on a small model of our own that repeats the last token of each prompt."""

from types import SimpleNamespace

import pytest

from hft.model import generate as generation

pytestmark = pytest.mark.slow  # imports torch
TOKENIZER = SimpleNamespace(pad_token_id=0, eos_token_id=2, decode=lambda ids, **_: " ".join(map(str, ids)))
PROMPTS = [[5, 7], [5, 5, 5, 8], [9], [5, 5, 6], [4, 4]]


def model(most):
    """Answers with the prompt's last token and an end; its memory is enough for `most` rows."""
    import torch

    def generate(input_ids, **_):
        asked.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return torch.cat([input_ids, input_ids[:, -1:], torch.full((len(input_ids), 1), 2)], dim=1)

    asked = []
    return SimpleNamespace(generate=generate, device="cpu", generation_config=SimpleNamespace(eos_token_id=2)), asked


@pytest.mark.parametrize(("most", "asked"), [(8, [5]), (4, [5, 2, 2, 1]), (1, [5, 2, 1, 1, 1, 1, 1])])
def test_all_are_answered_in_order_with_fewer_at_once_where_memory_is_short(most, asked, capsys):
    small, seen = model(most)
    assert generation.answers(small, TOKENIZER, PROMPTS, 2, 8, "asking") == ["7", "8", "9", "6", "4"]
    assert seen == asked
    assert ("Out of GPU memory: asking 2 at a time." in capsys.readouterr().out) == (most < 5)


def test_where_one_row_is_too_much_it_fails():
    small, _ = model(0)
    with pytest.raises(RuntimeError, match="out of memory"):
        generation.answers(small, TOKENIZER, PROMPTS, 2, 8, "asking")
