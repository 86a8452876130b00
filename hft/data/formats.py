"""Prompt formats, shared by training, evaluation, generation and export. A format turns a row into (prompt, answer)."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from hft.data import messages
from hft.data.messages import Messages
from hft.recipe import beside

EMPTY = ("", "")  # what a format makes of a row that asks nothing: it is dropped and counted
THINK = ("<think>", "</think>")  # around the reasoning, as the R1 models write it

# The form of the Alpaca instruction data, which the QLoRA tutorials use.
ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
ALPACA_SHORT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)


def instruction(row: dict, told: str | None) -> tuple[str, str]:
    """Alpaca's form: instruction (or question), input (or context, may be empty), output (or answer)."""
    asked, answer = pick(row, "instruction", "question"), pick(row, "output", "answer")
    if not asked.strip():
        return EMPTY
    given = optional(row, "input", "context")
    middle = f"\n\n### Input:\n{given}" if given else ""
    head = told or (ALPACA if middle else ALPACA_SHORT)
    return f"{head}\n\n### Instruction:\n{asked.strip()}{middle}\n\n### Response:", answer


def question(row: dict, told: str | None) -> tuple[str, str]:
    """A passage, a question about it, and its answer in the passage's words."""
    head = f"{told}\n\n" if told else ""
    context, asked, answer = pick(row, "context").strip(), pick(row, "question").strip(), pick(row, "answer")
    passage = f"{context}\n\n" if context else ""
    return (f"{head}{passage}Question: {asked}\nAnswer:", answer) if asked else EMPTY


# The lab's medical reasoning models are trained and asked in this form: told who it is, it thinks before it answers.
EXPERT = (
    "Below is an instruction that describes a task, paired with a question. Before you answer, think carefully about "
    "the question and reason step by step, so that the response is logical and accurate."
)
MEDICAL = (
    "You are a medical expert with advanced knowledge of clinical reasoning, diagnostics and treatment planning. "
    "Answer the following medical question."
)


def reasoning(row: dict, told: str | None) -> tuple[str, str]:
    """The lab's template: an expert's instruction, question, reasoning between <think> tags, answer.

    Columns: question; reasoning (or Complex_CoT); answer (or Response).
    """
    asked = pick(row, "question", "Question", "instruction").strip()
    given = optional(row, "context", "input")
    thought, answer = pick(row, "reasoning", "Complex_CoT").strip(), pick(row, "answer", "Response", "output").strip()
    if not asked:
        return EMPTY
    asked = f"{asked}\n\n{given}" if given else asked
    prompt = f"{EXPERT}\n\n### Instruction:\n{told or MEDICAL}\n\n### Question:\n{asked}\n\n### Response:\n{THINK[0]}\n"
    return prompt, f"{thought}\n{THINK[1]}\n{answer}" if thought and answer else ""


def ko_en(row: dict, told: str | None) -> tuple[str, str]:
    """A Korean text (ko) and its English translation (en)."""
    return translation(told or "Translate this Korean text into English.", pick(row, "ko"), pick(row, "en"))


def en_ko(row: dict, told: str | None) -> tuple[str, str]:
    """An English text (en) and its Korean translation (ko)."""
    return translation(told or "다음 영어 문장을 한국어로 번역하세요.", pick(row, "en"), pick(row, "ko"))


def translation(task: str, text: str, wanted: str) -> tuple[str, str]:
    """A text to translate, in Alpaca's form."""
    return instruction({"instruction": task, "input": text, "output": wanted}, None) if text.strip() else EMPTY


def codeio(row: dict, told: str | None) -> tuple[str, str]:
    """A row of `source: codeio`: a problem, code that solves it, its input or its output; the other is asked for."""
    kind = pick(row, "kind")
    given = "Output" if kind == "input" else "Input"
    wanted = "an input that gives this output" if kind == "input" else "the output for this input"
    problem = "\n\n".join(part for part in (optional(row, "problem"), optional(row, "requirements")) if part)
    task = told or f"Find {wanted}, without running the code. Reason step by step and end with JSON:"
    code, known = pick(row, "code").strip(), pick(row, f"{given.lower()}_json")
    if not code or not known.strip():
        return EMPTY
    return (
        f"{problem}\n\n### Code:\n```python\n{code}\n```\n\n"
        f"### {given} of `{pick(row, 'name')}`:\n"
        f'{known}\n\n### Task:\n{task} {{"{kind}": ...}}\n\n### Response:'
    ), pick(row, "answer")


def chat(row: dict, told: str | None) -> tuple[Messages, str]:
    """The model's own chat template: `messages` (and `tools`), or context and question as the user's turn.

    The answer is the model's turn; its reasoning (Complex_CoT, or the last turn's reasoning_content) stands between
    <think> tags in front of it. The instruction is the system turn, in front of the row's own.
    """
    if row.get("messages"):
        prompt, thought, answer = messages.conversation(row, told)
    else:
        if "messages" in row and not any(row.get(name) for name in ("question", "Question", "instruction")):
            return [], ""
        question, given = pick(row, "question", "Question", "instruction").strip(), optional(row, "context", "input")
        thought, answer = optional(row, "reasoning", "Complex_CoT"), pick(row, "answer", "Response", "output")
        asked = f"{given}\n\n{question}" if given else question
        prompt = messages.led([{"role": "user", "content": asked}], told) if question else []
    if thought and THINK[1] not in answer:
        answer = f"{THINK[0]}\n{thought}\n{THINK[1]}\n\n{answer.strip()}"
    return (prompt, answer) if prompt else ([], "")


def asked(prompt: str, context: str) -> dict:
    """A row for one prompt in any format; a column that only a recipe's own format knows reads as the prompt."""
    return defaultdict(
        lambda: prompt,
        question=prompt,
        instruction=prompt,
        context=context,
        input=context,
        answer="",
        output="",
        reasoning="",
        ko=prompt,
        en=prompt,
    )


BUILT_IN: tuple[Callable, ...] = (instruction, question, reasoning, codeio, chat, ko_en, en_ko)
FORMATS = {function.__name__: function for function in BUILT_IN}


def pick(row: dict, *names: str) -> str:
    """The first of these columns that the row has, as text. Raises KeyError that names them and what there is."""
    for name in names:
        if row.get(name) is not None:
            return text(row, name)
    null = [name for name in names if name in row]
    raise KeyError(
        f"{' or '.join(repr(n) for n in names)}; the row has: {', '.join(str(k) for k in row if k is not None)}"
        + (f" ({null[0]} is null)" if null else "")
    )


def optional(row: dict, *names: str) -> str:
    """The first of these columns that is not blank, as text without white space around it; else an empty string."""
    return next((said for name in names if row.get(name) is not None and (said := text(row, name).strip())), "")


def text(row: dict, name: str) -> str:
    """A cell as text. Raises ValueError for a list or an object, of which no prompt holds Python's form."""
    if isinstance(row[name], list | dict):
        raise ValueError(f"'{name}' is {messages.kind(row[name])}, not a text")
    return str(row[name])


def blank(form: Callable, row: dict, told: str | None, prompt: str | Messages) -> bool:
    """Whether a recipe's own format made this prompt of empty cells alone.

    Then texts put into the empty cells change the prompt, and taking all others out does not.
    """
    empty = {name for name, value in row.items() if isinstance(value, str) and not value.strip()}
    if not empty:
        return False
    filled = {name: "text" if name in empty else value for name, value in row.items()}
    nothing = {name: value if name in empty else "" if isinstance(value, str) else None for name, value in row.items()}
    try:
        return form(filled, told)[0] != prompt == form(nothing, told)[0]
    except Exception:  # a function that cannot do with other texts has read the row's
        return False


def form(written: str, folder: Path) -> Callable:
    """The prompt format that a recipe names: a built-in one, or a function beside the recipe."""
    return beside.load(written, folder) if ":" in written else FORMATS[written]
