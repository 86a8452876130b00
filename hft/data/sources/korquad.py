"""`source: korquad`: KorQuAD 1.0 and SQuAD 1.1 files; the official ones are fetched once and checked.

KorQuAD 1.0 is CC BY-ND 2.0 KR (korquad.github.io): hft reads it and never publishes a converted copy.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from hft.data import files as data_files
from hft.errors import HftError
from hft.recipe.section import Rows

LICENCE = "CC BY-ND 2.0 KR"
CHEAP = False  # the official files are fetched

ADDRESS = "https://korquad.github.io/dataset"
CHECKSUMS = {  # SHA-256
    "KorQuAD_v1.0_train.json": "40d5115879a701751781df721d901abfa736d8db5f89000f2619433f39bf2dd2",
    "KorQuAD_v1.0_dev.json": "25ffeb51e6c51ec02c071b60a10188e10005c144110f0d876b26079d80a35bdf",
}


class Spec(Rows):
    """A file of questions about passages."""

    source: Literal["korquad"]
    file: str = Field(
        description="a KorQuAD or SQuAD v1 file in the data folder; the official ones are fetched when absent"
    )


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield `{id, title, context, question, answer, answers}` for every question, in file order.

    Answers keep their text; spaces around questions and answers are removed. Raises HftError with article and question
    for what is missing or for an answer that does not stand at its offset.
    """
    path = official(source.file, beside)
    try:
        articles = list(json.loads(path.read_text(encoding="utf-8-sig"))["data"])
    except (ValueError, KeyError, TypeError) as problem:
        raise HftError(
            f"{path} is not a KorQuAD or SQuAD v1 file: {problem}", 'such a file is {"version": ..., "data": [...]}'
        ) from None
    for number, article in enumerate(articles):
        try:
            yield from questions(article)
        except (KeyError, IndexError, TypeError) as problem:
            raise HftError(
                f"{path}, article {number}: lacks {problem}", "the format is KorQuAD or SQuAD v1: data, paragraphs, qas"
            ) from None
        except ValueError as problem:
            raise HftError(f"{path}, article {number}: {problem}", "the file is damaged: fetch it again") from None


def locate(source: Spec) -> str:
    """The file's name."""
    return source.file


def facts(source: Spec, beside: Path) -> dict:
    """The file's name and SHA-256."""
    return data_files.facts(source.file, beside)


def questions(article: dict) -> Iterator[dict]:
    """The rows of an article. Raises KeyError, IndexError, TypeError or ValueError where it is not of the format."""
    title = article["title"]
    for paragraph in article["paragraphs"]:
        context = paragraph["context"]
        for item in paragraph["qas"]:
            name = item["id"]
            try:
                row = question(title, context, item)
            except (KeyError, TypeError) as problem:
                raise ValueError(f"question {name}: lacks {problem}") from None
            yield row


def question(title: str, context: str, item: dict) -> dict:
    """The row of one question. Raises ValueError for an answer that does not stand at its offset."""
    if not item["answers"]:
        raise ValueError(f"question {item['id']}: no answer")
    for answer in item["answers"]:
        start = answer["answer_start"]
        if context[start : start + len(answer["text"])] != answer["text"]:
            raise ValueError(f"question {item['id']}: the answer {answer['text']!r} is not at character {start}")
    texts = [answer["text"].strip() for answer in item["answers"]]
    return {
        "id": item["id"],
        "title": title,
        "context": context,
        "question": item["question"].strip(),
        "answer": texts[0],
        "answers": texts,
    }


def official(file: str, beside: Path) -> Path:
    """The file where it lies; one of the official two is fetched first."""
    if file not in CHECKSUMS:
        return data_files.find(file, beside)
    if path := data_files.present(file, beside):
        return path
    from hft import download

    address = os.environ.get("HFT_KORQUAD_ADDRESS") or ADDRESS
    return download.file(f"{address}/{file}", data_files.fetched() / file, CHECKSUMS[file])
