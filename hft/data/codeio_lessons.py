"""What is learned from a model's answers to CodeI/O's questions: those that running the code has verified."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hft.data.sources import jsonl
from hft.errors import HftError

QUESTION = ("kind", "code", "name", "input_json", "output_json")  # columns that make a question, and judge an answer
AGAIN = "Think again, find the mistake, and end with the corrected JSON."


def answered(questions: Iterator[dict], answers: Path, revised: bool) -> Iterator[dict]:
    """A row for each right answer of a file of `hft codeio answer`, question by question; `turns` stand before it.

    Raises HftError where it has none to these questions.
    """
    right: dict[str, list[tuple[int, list[dict], str]]] = defaultdict(list)
    for record in jsonl.lines(answers):
        if taught := lesson(record, revised):
            right[record.get("question", "")].append((record.get("sample", 1), *taught))
    found = False
    for row in questions:
        for sample, turns, answer in right.get(known_by(row), ()):
            found = True
            yield {**row, "id": f"{row['id']}.{sample}", "turns": turns, "answer": answer}
    if not found:
        raise HftError(
            f"{answers} has no right answer to these questions",
            f"let a model answer them: hft codeio answer NAME --out {answers.name}",
        )


def lesson(record: dict, revised: bool) -> tuple[list[dict], str] | None:
    """(the turns between question and answer, the right answer) of a record of `hft codeio answer`; None without one.

    revised: the second turn counts too, where the first was wrong
    """
    if record.get("status_1") == "correct":
        return [], record["turn_1"]
    if revised and record.get("status_2") == "correct":
        return again(record["turn_1"], record["feedback_1"]), record["turn_2"]
    return None


def again(answer: str, feedback: str) -> list[dict]:
    """The turns that ask for a wrong answer's revision."""
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": f"{feedback} {AGAIN}"}]


def is_question(row: dict) -> bool:
    """Whether a row is one of `source: codeio`, whose answers are judged by running its code."""
    return all(isinstance(row.get(name), str) for name in QUESTION)


def known_by(row: dict) -> str:
    """The same name for the same question, whatever file and line it comes from."""
    return hashlib.sha256(json.dumps([row[name] for name in QUESTION]).encode()).hexdigest()[:16]
