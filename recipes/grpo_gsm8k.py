"""Prompt of grpo_gsm8k."""


def problem(row, instruction):
    """A row of GSM8K -> (chat, the number behind ####)."""
    system = [{"role": "system", "content": instruction}] if instruction else []  # none where evaluation asks without it
    return [*system, {"role": "user", "content": row["question"]}], row["answer"].rpartition("####")[2].strip()
