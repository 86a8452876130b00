"""Prompt of grpo_indonesian: a mathematics problem, to be reasoned about in the language that the instruction names."""


def problem(row, instruction):
    """A row of DAPO-Math, processed or raw -> (chat, answer)."""
    asked, answer = row["prompt"], row.get("solution")
    if isinstance(asked, list):  # the raw data set: a message list, and the answer in another column
        asked = asked[-1]["content"]
    if answer is None:
        answer = row["reward_model"]["ground_truth"]
    system = [{"role": "system", "content": instruction}] if instruction else []  # none where evaluation asks without it
    return [*system, {"role": "user", "content": asked}], answer
