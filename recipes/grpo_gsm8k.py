"""Prompt of grpo_gsm8k."""


def problem(row, instruction):
    """A row of GSM8K -> (chat, the number behind ####)."""
    chat = [{"role": "system", "content": instruction}, {"role": "user", "content": row["question"]}]
    return chat, row["answer"].rpartition("####")[2].strip()
