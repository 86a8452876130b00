"""A base model asked fairly: in its own chat template, with a few examples, and a short answer wanted.

In the form of the training rows, which it has never seen, a base model answers worse than it can: on KorQuAD 0 of 100
where this form gives 59 (Qwen2.5-Coder-1.5B). What a training has gained is counted over the better one.
"""

import random
from collections.abc import Iterator
from typing import Any

from hft.data import chats, formats, messages
from hft.data.formats import Messages
from hft.data.rows import Sample
from hft.data.tokens import Tokens
from hft.errors import HftError
from hft.evaluate import reasoning, thoughts
from hft.evaluate.reasoning import Tags
from hft.recipe.file import Loaded

SHORT = "Answer with the answer alone, as short as possible, on one line."
# Formats whose rows a chat states in its own way; of the others the prompt itself is the user's turn.
PLAIN = ("instruction", "question", "reasoning")


def questions(loaded: Loaded, train: list[Sample], evaluate: list[Sample], tokenizer: Any) -> list[Sample]:
    """The held-out questions as the base was trained to be asked; none where it has no chat template.

    Each follows the same examples: training rows drawn by the recipe's seed, never one that is asked, the shortest of
    four times as many, so that what they show costs little.
    """
    told = loaded.recipe.evaluate.baseline
    if not told or not evaluate or not tokenizer.chat_template:
        return []
    shown = examples(loaded, train, evaluate, told.examples)
    tags = reasoning.tags(loaded.recipe, tokenizer)
    thinks = thoughts.written(tokenizer, tags)
    freely = not one_line(loaded, tokenizer)
    closed = tags if thinks and not freely else None
    asked = []
    for sample in evaluate:
        turns, tools = messages.split(chat(sample, loaded))
        system, turns = apart(turns)
        told_first = "\n".join([*system, *([] if freely else [SHORT])])
        head = [{"role": "system", "content": told_first}] if told_first else []
        first, *others = [*head, *shown, *turns]
        prompt = [{**first, "tools": tools} if tools else first, *others]
        asked.append(sample._replace(encoded=encode(prompt, tokenizer, closed)))
    return asked


def one_line(loaded: Loaded, tokenizer: Any) -> bool:
    """Whether the answer ends at the line's end: not where the recipe wants reasoning, of a model that reasons."""
    tags = reasoning.tags(loaded.recipe, tokenizer)
    return not (loaded.recipe.evaluate.reasoning and thoughts.written(tokenizer, tags))


def examples(loaded: Loaded, train: list[Sample], evaluate: list[Sample], count: int) -> Messages:
    """So many training rows as turns of a chat, each with its short answer."""
    asked = {str(sample.prompt) for sample in evaluate}
    unseen = [sample for sample in train if str(sample.prompt) not in asked]
    drawn = random.Random(loaded.recipe.train.seed).sample(unseen, min(4 * count, len(unseen)))
    chosen = sorted(drawn, key=lambda sample: len(str(sample.prompt)))[:count]
    return [turn for sample in chosen for turn in example(sample, loaded)]


def example(sample: Sample, loaded: Loaded) -> Iterator[dict]:
    """A row's question and its answer, without the reasoning in front of it."""
    end = loaded.recipe.prompt.tags[1] if loaded.recipe.prompt.tags else formats.THINK[1]
    yield from apart(messages.split(chat(sample, loaded))[0])[1]
    yield {"role": "assistant", "content": sample.answers[0].rpartition(end)[2].strip()}


def chat(sample: Sample, loaded: Loaded) -> Messages:
    """The question as turns of a chat, with the instruction of its source or of the recipe."""
    if isinstance(sample.prompt, list):
        return sample.prompt
    if (sample.format or loaded.recipe.prompt.format) in PLAIN:
        return formats.chat(sample.row, sample.instruction or loaded.recipe.prompt.instruction)[0]
    return [{"role": "user", "content": sample.prompt.strip()}]


def apart(turns: Messages) -> tuple[list[str], Messages]:
    """(the system turns' texts, all other turns)."""
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    return system, [turn for turn in turns if turn["role"] != "system"]


def encode(prompt: Messages, tokenizer: Any, closed: Tags | None) -> Tokens:
    """The tokens of a prompt; `closed`: the tags of reasoning that is to be over before the answer begins."""
    text = render(prompt, tokenizer, closed is None)
    if closed and not text.rstrip().endswith(closed.end):
        opened = text.rstrip().endswith(closed.start)
        text += f"\n{closed.end}\n\n" if opened else f"{closed.start}\n\n{closed.end}\n\n"
    return Tokens(text, "", tokenizer(text, add_special_tokens=False)["input_ids"], [])


def render(prompt: Messages, tokenizer: Any, thinking: bool) -> str:
    """The chat as its template writes it; one that knows no system turn has its text in the user's first turn."""
    how = {"add_generation_prompt": True, "enable_thinking": thinking}
    try:
        return chats.render(prompt, tokenizer, **how)
    except HftError:
        system, (first, *others) = apart(prompt)
        user = {**first, "content": "\n\n".join([*system, first["content"]])}
        return chats.render([user, *others], tokenizer, **how)
