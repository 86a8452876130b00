"""`source: codeio`: functions become questions about their inputs and outputs (CodeI/O, arXiv 2502.07316), answered by running them.

A .jsonl file holds one function a line: refcode and funcname, with input_generator (the name of a function in refcode, or code of its
own) or with ios (inputs whose outputs are known), problem_description and io_requirements. The code runs in hft/data/sandbox/ only.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hft import files, machine, terminal
from hft.data import files as data_files
from hft.data.sandbox import run as sandbox
from hft.data.sandbox import verdict
from hft.data.sources import jsonl
from hft.errors import HftError
from hft.terminal import say

BUSY = (
    "timeout",
    "killed",
    "memory",
    "exits",
)  # of a whole function: a busy machine may be to blame, so it is tried again the next time
AHEAD = 400  # days that the clock of the last repetition is ahead


def rows(source, beside: Path) -> Iterator[dict]:
    """Yield one row a question, function by function: `{id, function, kind, problem, requirements, code, input_json, output_json, answer}`.

    Each function runs twice, with other hashes and another seed; what differs is dropped. The pairs are kept in the cache, under a
    digest of the code, the settings and hft's own sandbox: the same file gives the same rows. Raises HftError for a line that has no code.
    """
    functions = [
        function(row, number) for number, row in enumerate(jsonl.lines(data_files.find(source.file, beside)), 1)
    ]
    counts, kept = Counter(), []
    with ThreadPoolExecutor(machine.cores()) as pool, terminal.bar("running functions", len(functions)) as shown:
        for number, (one, pairs) in enumerate(
            zip(functions, pool.map(lambda one: cached(one, source), functions), strict=True), 1
        ):
            counts.update(pair["status"] for pair in pairs)
            good = [pair for pair in pairs if pair["status"] == "ok"]
            kept.append((one, good))
            shown.advance(number, f"{counts['ok']} pairs")
    found = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    say(f"CodeI/O: {len(functions)} functions, pairs: {found or 'none'}")
    for one, pairs in kept:
        for place, pair in enumerate(pairs[: source.pairs], 1):
            for kind in source.kinds:
                yield {
                    "id": f"{one['number']}.{place}.{kind}",
                    "function": str(one["number"]),
                    "kind": kind,
                    "problem": one["problem"],
                    "requirements": one["requirements"],
                    "code": one["code"],
                    "name": one["name"],
                    "input_json": pair["input"],
                    "output_json": pair["output"],
                    "answer": json.dumps({kind: json.loads(pair[kind])}, ensure_ascii=False),
                }


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


def cached(one: dict, source) -> list[dict]:
    """The function's pairs from the cache, else by running it."""
    told = [
        one["code"],
        one["name"],
        one["generator"],
        one["known"],
        source.tries,
        source.seed,
        source.seconds,
        sandbox.INSIDE.read_text(),
    ]
    place = files.cache() / "codeio" / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()}.json"
    if place.exists():
        return json.loads(place.read_text(encoding="utf-8"))
    found = pairs_of(one, source)
    if not any(pair["input"] is None and pair["status"] in BUSY for pair in found):
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(place, found)
    return found


def pairs_of(one: dict, source) -> list[dict]:
    """Run a function on its inputs, and again: `{input, output, status}` of each pair; status ok, or why it is of no use."""
    job = {"code": one["code"], "function": one["name"], "seed": source.seed}
    asked = (
        {"inputs": [pair["input"] for pair in one["known"]]}
        if one["known"]
        else {"generator": one["generator"], "count": source.tries}
    )
    limits = sandbox.Limits(seconds=source.seconds)
    first = sandbox.run({**job, **asked}, limits, hash_seed=1)
    if first.status != "ok":
        return [{"input": None, "output": None, "status": first.status}]
    inputs = [pair["input"] for pair in first.pairs]
    if not inputs:
        return [{"input": None, "output": None, "status": "no input"}]
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
    recorded = {pair["input"]: pair["output"] for pair in one["known"]}
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
