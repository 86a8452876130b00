"""`source: codeio`: functions become questions about their inputs and outputs, answered by running them.

After CodeI/O (arXiv 2502.07316). A .jsonl file holds one function a line: refcode and funcname, with input_generator
(the name of a function in refcode, or code of its own) or with ios (inputs whose outputs are known),
problem_description and io_requirements. The code runs in hft/data/sandbox/ only. With `answers`, what a model has said
to the questions (`hft codeio answer`) and running the code has verified is what they are answered with.
"""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hft import files, machine, terminal
from hft.data import codeio_lessons
from hft.data import files as data_files
from hft.data.sandbox import repeat, verdict
from hft.data.sandbox import run as sandbox
from hft.data.sources import jsonl
from hft.errors import HftError
from hft.recipe.section import Count, Rows
from hft.terminal import say

LICENCE = None  # the user's own file
CHEAP = False  # every function runs

# Of a whole function: a busy machine may be to blame, so it runs again with nothing beside it.
BUSY = ("timeout", "killed", "memory", "exits", "processes")
WAIT = 5  # times as long by the wall clock as in processor time may a function take that runs alone
NAMED = 5  # lines of the file that a message names

Place = Annotated[float, Field(ge=0, le=1)]


class Spec(Rows):
    """A file of functions."""

    source: Literal["codeio"]
    file: str = Field(
        description="a .jsonl file of functions (refcode, funcname, input_generator or ios); hft runs them in a sandbox"
    )
    pairs: Count = Field(3, description="input/output pairs of a function that become questions")
    kinds: list[Literal["output", "input"]] = Field(
        ["output", "input"], min_length=1, description="what is to be predicted"
    )
    tries: Count = Field(10, description="different inputs that a generator makes")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(0, description="of the generators and the functions")
    seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        20.0, description="of processor time that a function may take for all its inputs"
    )
    functions: tuple[Place, Place] | None = Field(
        None,
        description="[from, to]: only functions whose place lies there, which their code's hash gives them between 0 "
        "and 1: [0, 0.7] on one side and [0.7, 1] on the other share none",
    )
    answers: str | None = Field(
        None, description="a .jsonl of `hft codeio answer`: each right answer is a row, questions without one are none"
    )
    revised: bool | None = Field(
        None, description="of `answers` also those right after a revision: for a format that puts `turns` before them"
    )

    @model_validator(mode="after")
    def in_order(self) -> "Spec":
        """A range goes upwards, and answers are revised where there are some."""
        if self.functions and self.functions[0] >= self.functions[1]:
            raise ValueError("'functions' goes from a smaller to a larger number, such as [0, 0.7]")
        if self.revised and not self.answers:
            raise ValueError("'revised' speaks of 'answers', and there are none")
        return self


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield one row a question, function by function; with `answers` one for each right answer to it.

    A row: `{id, function, kind, problem, requirements, code, name, input_json, output_json, answer}`, and `turns` where
    the answers are a model's. Raises HftError for a line that has no code, and for answers to other questions.
    """
    made = questions(source, beside)
    if not source.answers:
        return made
    return codeio_lessons.answered(made, data_files.find(source.answers, beside), bool(source.revised))


def questions(source: Spec, beside: Path) -> Iterator[dict]:
    """The rows without a model's answers.

    Each function runs six times, with other hashes, seeds, orders and clocks; where one pair differs none becomes a
    row. What did not end beside other functions runs again alone, where processor time decides, so the same file gives
    the same rows on a busy machine too. The pairs are kept in the cache, under a digest of the code, the settings, and
    hft's own sandbox.
    """
    lines = jsonl.lines(data_files.find(source.file, beside))
    first, end = source.functions or (0, 1)
    functions = [function(line, number) for number, line in enumerate(lines, 1)]
    functions = [one for one in functions if first <= one["place"] < end]
    for job, pairs in zip(functions, usable(functions, source), strict=True):
        for place, pair in enumerate(pairs[: source.pairs], 1):
            for kind in source.kinds:
                yield {
                    "id": f"{job['number']}.{place}.{kind}",
                    "function": str(job["number"]),
                    "kind": kind,
                    "problem": job["problem"],
                    "requirements": job["requirements"],
                    "code": job["code"],
                    "name": job["name"],
                    "input_json": pair["input"],
                    "output_json": pair["output"],
                    "answer": json.dumps({kind: json.loads(pair[kind])}, ensure_ascii=False),
                }


def locate(source: Spec) -> str:
    """The file's name."""
    return source.file


def facts(source: Spec, beside: Path) -> dict:
    """The file's name and SHA-256, and those of the answers."""
    answers = {"answers": data_files.facts(source.answers, beside)} if source.answers else {}
    return {**data_files.facts(source.file, beside), **answers}


def usable(functions: list[dict], source: Spec) -> list[list[dict]]:
    """The pairs of each function that are of use, in its order; says how many are, and why the others are not."""
    places = [place_of(function, source) for function in functions]
    beside = sandbox.Limits(source.seconds)
    alone = sandbox.Limits(source.seconds * WAIT, processor=source.seconds)
    with made_once(places), terminal.bar("running functions", len(functions)) as shown:
        made, found = [], 0
        with ThreadPoolExecutor(machine.cores()) as pool:
            run = pool.map(lambda function, place: cached(function, place, source, beside, BUSY), functions, places)
            for pairs in run:
                made.append(pairs)
                found += sum(pair["status"] == "ok" for pair in pairs)
                shown.advance(len(made), f"{found} pairs")
        again = [number for number, place in enumerate(places) if not place.exists()]
        for number in again:
            made[number] = cached(functions[number], places[number], source, alone)
    numbers = [function["number"] for function in functions]
    if again:
        say(f"CodeI/O: run again, alone: {named([numbers[place] for place in again])}")
    say(f"CodeI/O: {len(functions)} functions, {described(made, numbers)}")
    return [[pair for pair in pairs if pair["status"] == "ok"] for pairs in made]


def described(made: list[list[dict]], numbers: list[int]) -> str:
    """How many pairs are of use, why others are not, and which functions are dropped as a whole."""
    counts = Counter(pair["status"] for pairs in made for pair in pairs if pair["input"] is not None)
    whole: dict[str, list[int]] = {}
    for number, pairs in zip(numbers, made, strict=True):
        if pairs[0]["input"] is None:
            whole.setdefault(pairs[0]["status"], []).append(number)
    said = "pairs: " + (", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none")
    dropped = ", ".join(f"{name} {len(numbers)} ({named(numbers)})" for name, numbers in whole.items())
    return f"{said}; whole functions dropped: {dropped}" if whole else said


def named(numbers: list[int]) -> str:
    """`line 4, 7`: where functions stand in their file, the first of many."""
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"line {', '.join(map(str, numbers[:NAMED]))}{more}"


def function(row: dict, number: int) -> dict:
    """One line of the file in hft's terms. Raises HftError for one without code."""
    code, name = row.get("refcode"), row.get("funcname") or "main_solution"
    if not isinstance(code, str) or not (row.get("input_generator") or row.get("ios")):
        raise HftError(
            f"line {number} has no refcode, or neither input_generator nor ios; it has: {', '.join(row)}",
            "write functions in the unified form: hft codeio unify --help",
        )
    place = int(hashlib.sha256(code.strip().encode()).hexdigest()[:8], 16) / 16**8
    generator = row.get("input_generator") or ""
    if "def " in generator:
        code, generator = f"{code}\n\n{generator}", "input_generator"
    known = [
        {"input": verdict.text(pair["input"]), "output": verdict.text(pair["output"])} for pair in row.get("ios") or []
    ]
    return {
        "number": number,
        "place": place,
        "code": code,
        "name": name,
        "generator": generator,
        "known": known,
        "problem": row.get("problem_description") or "",
        "requirements": row.get("io_requirements") or "",
    }


def place_of(function: dict, source: Spec) -> Path:
    """Where the cache has the function's pairs, under a digest of all that they depend on."""
    ours = [path.read_text(encoding="utf-8") for path in sorted(sandbox.INSIDE.parent.glob("*.py"))]
    settings = [source.tries, source.seed, source.seconds, os.environ.get(sandbox.ALLOW), sys.version_info[:3], *ours]
    known_by = [*(function[key] for key in ("code", "name", "generator", "known")), *settings]
    return files.cache() / "codeio" / f"{hashlib.sha256(json.dumps(known_by).encode()).hexdigest()}.json"


def made_once(places: list[Path]) -> AbstractContextManager[None]:
    """Let one process at a time run these functions, so that others find their pairs made.

    Where all are there already nobody waits.
    """
    if all(place.exists() for place in places):
        return nullcontext()
    places[0].parent.mkdir(parents=True, exist_ok=True)
    together = hashlib.sha256("".join(place.name for place in places).encode()).hexdigest()
    return files.alone(places[0].with_name(together))


def cached(function: dict, place: Path, source: Spec, limits: sandbox.Limits, unsure: tuple = ()) -> list[dict]:
    """The function's pairs from the cache, else by running it; one dropped for what is `unsure` is not cached."""
    if place.exists():
        return json.loads(place.read_text(encoding="utf-8"))
    made = repeat.pairs_of(function, source.tries, source.seed, limits)
    if made[0]["status"] not in unsure or made[0]["input"] is not None:
        files.write_json(place, made)
    return made
