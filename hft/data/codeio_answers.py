"""CodeI/O by a model: chains of thought for its questions, verified, with one revision (CodeI/O++)."""

import contextlib
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from hft import files, machine, terminal
from hft.data import chat_endpoint, codeio_lessons, prepare, rows
from hft.data.chat_endpoint import Ask, TooLong
from hft.data.rows import Sample
from hft.data.sandbox import verdict
from hft.data.sources import jsonl
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.recipe.sources import parts
from hft.terminal import say


def answer(
    loaded: Loaded,
    out: Path,
    ask: Ask | None,
    turns: Path | None = None,
    limit: int | None = None,
    samples: int = 1,
    at_once: int = 1,
) -> None:
    """Answer the CodeI/O questions that a recipe trains on, twice where need be; each record goes to `out` at once.

    So it can go on after an end; when all are there the file is in the questions' order. Turn 1 comes from
    `ask(messages, sample)` or from the file `turns` ({id, turn_1, and turn_2 if there is one}). A record: `{id, sample,
    question, kind, prompt, turn_1, feedback_1, turn_2, feedback_2, status_1, status_2, response}`; the last holds both
    turns and their feedback, as CodeI/O++ trains. Raises HftError.
    """
    questions = asked(loaded)[:limit]
    wanted = {
        (sample, one.id, codeio_lessons.known_by(one.row)): one for sample in range(1, samples + 1) for one in questions
    }
    given = {(row["id"], row.get("sample", 1)): row for row in read_turns(turns)} if turns else {}
    there = whole(out)
    done = {place(record) for record in there}
    waiting = [
        (question, given.get((question.id, key[0]), {}), key[0])
        for key, question in wanted.items()
        if key not in done and (ask or "turn_1" in given.get((question.id, key[0]), {}))
    ]
    made, refused = gathered(waiting, ask, out, at_once)
    records = there + made
    if refused and not records:
        raise refused[0]
    order = {key: number for number, key in enumerate(wanted)}
    records.sort(key=lambda record: order.get(place(record), len(order)))
    files.write_jsonl(out, records)
    say(f"{out}: {len(records)} answers")
    if refused:
        say(f"too long for the server and left out: {len(refused)} ({chat_endpoint.ROOM})")
    for turn in (1, 2):
        say(f"turn {turn}: " + describe(Counter(record[f"status_{turn}"] for record in records)))


def place(record: dict) -> tuple[int, str, str]:
    """What is not asked again: this sample of this question, as long as its line asks the same."""
    return record.get("sample", 1), record["id"], record.get("question", "")


def gathered(
    waiting: list[tuple[Sample, dict, int]], ask: Ask | None, out: Path, at_once: int
) -> tuple[list[dict], list[TooLong]]:
    """(the records in the order in which they came, each in the file at once; why others are none)."""
    records: list[dict] = []
    refused: list[TooLong] = []
    writing, judging = threading.Lock(), threading.Semaphore(machine.cores())

    def one(question: Sample, given: dict, sample: int) -> None:
        try:
            record = answered(question, given, sample, ask, judging)
        except TooLong as problem:
            refused.append(problem)
            return
        with writing:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            records.append(record)

    with out.open("a", encoding="utf-8") as file, terminal.bar("answering", len(waiting)) as shown:
        pool = ThreadPoolExecutor(at_once)
        try:
            for number, future in enumerate(as_completed([pool.submit(one, *each) for each in waiting]), 1):
                future.result()
                shown.advance(number)
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure what waits is not asked; what is on its way is kept
    return records, refused


def asked(loaded: Loaded) -> list[Sample]:
    """The CodeI/O questions that a recipe trains on, as it asks them: none of those that it holds out.

    In a mixture their ids begin with the part's number. Raises HftError where there are none.
    """
    data = loaded.recipe.data
    if not any(part.source == "codeio" for part in parts(data.train)):
        raise HftError(f"recipe {loaded.name} has no `source: codeio`", "take one that has, such as codeio")
    train = unanswered(data.train)
    if train.source == "mixture":
        train = train.model_copy(update={"parts": [unanswered(part) for part in train.parts]})
    alone = loaded.recipe.model_copy(update={"data": data.model_copy(update={"train": train, "evaluate": None})})
    questions = loaded._replace(recipe=alone)
    given = rows.read(questions)
    samples, _ = prepare.filtered(questions, given, None, given.counts)
    return [sample for sample in samples if codeio_lessons.is_question(sample.row)]


def unanswered(source: Any) -> Any:
    """A source with all its questions, those too that nobody has answered."""
    return source.model_copy(update={"answers": None}) if source.source == "codeio" else source


def answered(question: Sample, given: dict, sample: int, ask: Ask | None, judging: threading.Semaphore) -> dict:
    """The record of a question's two turns, each from `given`, else asked for; a right first turn is not revised.

    judging: as many run code at a time as there are cores, however many ask. Raises TooLong for the first turn.
    """
    row, prompt = question.row, question.prompt

    def judge(turn: str) -> verdict.Verdict:
        with judging:
            return verdict.judge(row, turn)

    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    first = writable(given["turn_1"] if ask is None or "turn_1" in given else ask(messages, sample))
    verdicts = [judge(first)]
    turns = [first, verdicts[0].feedback]
    second = given.get("turn_2")
    if verdicts[0].status == "correct":
        second = None
    elif second is None and ask:
        with contextlib.suppress(TooLong):  # then there is no room for a revision
            second = ask([*messages, *codeio_lessons.again(first, verdicts[0].feedback)], sample)
    if second is not None:
        second = writable(second)
        verdicts.append(judge(second))
        turns += [second, verdicts[1].feedback]
    return {
        "id": question.id,
        "sample": sample,
        "question": codeio_lessons.known_by(row),
        "kind": row["kind"],
        "prompt": prompt,
        "turn_1": first,
        "feedback_1": verdicts[0].feedback,
        "turn_2": second,
        "feedback_2": verdicts[1].feedback if second is not None else None,
        "status_1": verdicts[0].status,
        "status_2": verdicts[-1].status,
        "response": "\n\n".join(turns),
    }


def read_turns(path: Path) -> list[dict]:
    """The rows of a --turns file. Raises HftError for one without id."""
    turns = list(jsonl.lines(path))
    if absent := [number for number, row in enumerate(turns, 1) if "id" not in row]:
        raise HftError(
            f"{path} line {absent[0]}: no 'id'",
            'each line is {"id": ..., "turn_1": ...}; the ids: hft prepare NAME --out rows.jsonl',
        )
    return turns


def writable(turn: str) -> str:
    """A model's text, with ? for half a surrogate pair, which neither a file nor a server takes."""
    return turn.encode("utf-8", "replace").decode()


def whole(out: Path) -> list[dict]:
    """The records of an output file; half a line that a kill has left is cut off."""
    if not out.exists():
        return []
    text = out.read_bytes()
    if not text.endswith(b"\n"):
        files.write(out, text[: text.rfind(b"\n") + 1].decode())
    return list(jsonl.lines(out))


def describe(counts: Counter) -> str:
    """`correct 8, wrong 2`, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
