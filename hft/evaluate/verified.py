"""Answers to rows of `source: codeio`: right is what running the code confirms, whatever the words and the input."""

from concurrent.futures import ThreadPoolExecutor

from hft import machine
from hft.data import codeio_lessons
from hft.data.sandbox import verdict
from hft.evaluate.reasoning import Tags, answer_of


def measured(answers: list[str], rows: list[dict], tags: Tags) -> list[dict[str, float] | None]:
    """`{right, format}` of each answer to its row, each 0 or 1; None for a row of another source.

    right: the last JSON object with the wanted key, behind the last end tag, gives the wanted output: any input that
    does so is right
    format: there is such an object
    """

    def one(text: str, row: dict) -> dict[str, float] | None:
        if not codeio_lessons.is_question(row):
            return None
        status = verdict.judge(row, answer_of(text, tags)).status
        return {"right": float(status == "correct"), "format": float(status != "unreadable")}

    with ThreadPoolExecutor(machine.cores()) as pool:
        return list(pool.map(one, answers, rows))
