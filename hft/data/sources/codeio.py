"""`source: codeio`: functions become questions about their inputs and outputs, answered by running them.

After CodeI/O (arXiv 2502.07316). A .jsonl file holds one function a line: refcode and funcname, with input_generator
(the name of a function in refcode, or code of its own) or with ios (inputs whose outputs are known),
problem_description and io_requirements. The code runs in hft/data/sandbox/ only.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hft import files, machine, terminal
from hft.data import files as data_files
from hft.data.sandbox import run as sandbox
from hft.data.sandbox import verdict
from hft.data.sources import jsonl
from hft.errors import HftError
from hft.recipe.section import Count, Rows
from hft.terminal import say

LICENCE = None  # the user's own file
CHEAP = False  # every function runs

# Of a whole function: a busy machine may be to blame, so it is tried again the next time.
BUSY = ("timeout", "killed", "memory", "exits")
AHEAD = 400  # days that the clock of the last repetition is ahead


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
    seconds: Annotated[float, Field(gt=0, le=600)] = Field(20.0, description="that all runs of one function may take")


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield one row a question, function by function.

    A row: `{id, function, kind, problem, requirements, code, name, input_json, output_json, answer}`.

    Each function runs twice, with other hashes and another seed; what differs is dropped. The pairs are kept in the
    cache, under a digest of the code, the settings and hft's own sandbox: the same file gives the same rows. Raises
    HftError for a line that has no code.
    """
    lines = jsonl.lines(data_files.find(source.file, beside))
    functions = [function(line, number) for number, line in enumerate(lines, 1)]
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
    """The file's name and SHA-256."""
    return data_files.facts(source.file, beside)


def usable(functions: list[dict], source: Spec) -> list[list[dict]]:
    """The pairs of each function that are of use, in its order; says how many are, and why the others are not."""
    counts: Counter[str] = Counter()
    kept = []
    places = [place_of(function, source) for function in functions]
    with (
        made_once(places),
        ThreadPoolExecutor(machine.cores()) as pool,
        terminal.bar("running functions", len(functions)) as shown,
    ):
        run = pool.map(lambda function, place: cached(function, source, place), functions, places)
        for number, pairs in enumerate(run, 1):
            counts.update(pair["status"] for pair in pairs)
            kept.append([pair for pair in pairs if pair["status"] == "ok"])
            shown.advance(number, f"{counts['ok']} pairs")
    outcomes = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    say(f"CodeI/O: {len(functions)} functions, pairs: {outcomes or 'none'}")
    return kept


def function(row: dict, number: int) -> dict:
    """One line of the file in hft's terms. Raises HftError for one without code."""
    code, name = row.get("refcode"), row.get("funcname") or "main_solution"
    if not isinstance(code, str) or not (row.get("input_generator") or row.get("ios")):
        raise HftError(
            f"line {number} has no refcode, or neither input_generator nor ios; it has: {', '.join(row)}",
            "write functions in the unified form: hft codeio unify --help",
        )
    generator = row.get("input_generator") or ""
    if "def " in generator:
        code, generator = f"{code}\n\n{generator}", "input_generator"
    known = [
        {"input": verdict.text(pair["input"]), "output": verdict.text(pair["output"])} for pair in row.get("ios") or []
    ]
    return {
        "number": number,
        "code": code,
        "name": name,
        "generator": generator,
        "known": known,
        "problem": row.get("problem_description") or "",
        "requirements": row.get("io_requirements") or "",
    }


def place_of(function: dict, source: Spec) -> Path:
    """Where the cache has the function's pairs, under a digest of all that they depend on."""
    settings = [source.tries, source.seed, source.seconds, sandbox.INSIDE.read_text(encoding="utf-8")]
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


def cached(function: dict, source: Spec, place: Path) -> list[dict]:
    """The function's pairs from the cache, else by running it."""
    if place.exists():
        return json.loads(place.read_text(encoding="utf-8"))
    pairs = pairs_of(function, source)
    if not any(pair["input"] is None and pair["status"] in BUSY for pair in pairs):
        files.write_json(place, pairs)
    return pairs


def pairs_of(function: dict, source: Spec) -> list[dict]:
    """Run a function on its inputs, and again: `{input, output, status}` of each pair.

    status: ok, or why it is of no use. A function that cannot be run has one pair, without input and output.
    """
    job = {"code": function["code"], "function": function["name"], "seed": source.seed}
    asked: dict[str, Any] = {"generator": function["generator"], "count": source.tries}
    if function["known"]:
        asked = {"inputs": [pair["input"] for pair in function["known"]]}
    limits = sandbox.Limits(seconds=source.seconds)
    first = sandbox.run({**job, **asked}, limits, hash_seed=1)
    inputs = [pair["input"] for pair in first.pairs]
    if first.status != "ok" or not inputs:
        return [{"input": None, "output": None, "status": "no input" if first.status == "ok" else first.status}]
    # In another order too: what a function remembers from call to call shows.
    repeated = [
        sandbox.run({**job, "inputs": inputs[::-1], "seed": source.seed + 1}, limits, hash_seed=2),
        sandbox.run({**job, "inputs": inputs[::-1], "days": AHEAD}, limits, hash_seed=1),
    ]
    if failed := next((outcome.status for outcome in repeated if outcome.status != "ok"), None):
        return [{"input": None, "output": None, "status": failed}]
    again, later = (
        {pair["input"]: pair["output"] for pair in outcome.pairs if pair["status"] == "ok"} for outcome in repeated
    )
    recorded = {pair["input"]: pair["output"] for pair in function["known"]}
    return [
        judged(pair, again.get(pair["input"]), later.get(pair["input"]), recorded.get(pair["input"]))
        for pair in first.pairs
    ]


def judged(pair: dict, again: str | None, later: str | None, recorded: str | None) -> dict:
    """The pair with its status after all repetitions."""
    state = pair["status"]
    if state == "ok" and again != pair["output"]:
        state = "random"
    elif state == "ok" and later != pair["output"]:
        state = "depends on time"
    elif state == "ok" and recorded is not None and not verdict.close(json.loads(recorded), json.loads(pair["output"])):
        state = "other than recorded"
    return {"input": pair["input"], "output": pair["output"], "status": state}
