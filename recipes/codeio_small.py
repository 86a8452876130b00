"""Prompt of codeio_small and codeio_small_grpo."""

from hft.data import formats


def predict(row, instruction):
    """A question of `source: codeio` -> (a chat that asks it, the answer); a wrong answer's revision goes on with it."""
    prompt, answer = formats.codeio(row, instruction)
    if not prompt:
        return [], ""
    return [{"role": "user", "content": prompt.removesuffix("\n\n### Response:")}, *row.get("turns", [])], answer
