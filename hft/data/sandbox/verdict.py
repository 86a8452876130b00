"""Verify what a model says about a function's input or output.

An output by comparison, an input by running the function on it.
"""

import json
import math
from typing import Any, NamedTuple, NoReturn

from hft.data.sandbox import run as sandbox

RELATIVE = 1e-3  # of numbers with equal whole parts: CodeI/O's tolerance
LIMITS = sandbox.Limits(seconds=5)


class Verdict(NamedTuple):
    """What became of a prediction."""

    status: str  # correct, wrong, unreadable (no such JSON), error or timeout (of the function on the predicted input)
    feedback: str  # in words, as the second turn gets it


def judge(row: dict, answer: str) -> Verdict:
    """Judge a prediction for one row of `source: codeio`: the answer ends in {"output": ...} or {"input": ...}."""
    kind = row["kind"]
    last = last_object(answer, kind)
    if last is None:
        return Verdict("unreadable", f'There is no JSON object with the key "{kind}" at the end of the answer.')
    predicted, wanted = last[kind], json.loads(row["output_json"])
    if kind == "input":
        return run_on(predicted, row, wanted)
    if close(wanted, predicted):
        return Verdict("correct", "The output is right.")
    return Verdict("wrong", f"The output {short(predicted)} is wrong.")


def run_on(predicted: Any, row: dict, wanted: Any) -> Verdict:
    """Judge a predicted input by what the row's function makes of it."""
    job = {"code": row["code"], "function": row["name"], "inputs": [text(predicted)], "sizes": False}
    outcome = sandbox.run(job, LIMITS)
    pair = outcome.pairs[0] if outcome.pairs else {"status": outcome.status, "detail": outcome.detail}
    given = f"With the input {short(predicted)} the function"
    if pair["status"] == "timeout":
        return Verdict("timeout", f"{given} does not end in time.")
    if pair["status"] != "ok":
        return Verdict("error", f"{given} fails: {pair.get('detail') or pair['status']}")
    try:
        right = close(wanted, json.loads(pair["output"]))
    except RecursionError:
        right = False
    if right:
        return Verdict("correct", "The input gives the wanted output.")
    output = pair["output"][:200]
    return Verdict("wrong", f"The input {short(predicted)} gives {output}, which is not the wanted output.")


def last_object(answer: str, key: str) -> dict | None:
    """The last JSON object in a text that has this key, an outer one before those in it.

    NaN and infinities make an object unreadable.
    """
    decoder = json.JSONDecoder(parse_constant=refuse, parse_float=finite)
    last, place = None, 0
    while (place := answer.find("{", place)) >= 0:
        try:
            value, end = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError):
            value, end = {}, place
        if key in value:
            last, place = value, end
        else:
            place += 1
    return last


def refuse(name: str) -> NoReturn:
    """Raise ValueError for a number that JSON has not."""
    raise ValueError(name)


def finite(written: str) -> float:
    """The number. Raises ValueError for one that is too large for a float."""
    number = float(written)
    if not math.isfinite(number):
        refuse(written)
    return number


def close(wanted: Any, given: Any) -> bool:
    """Equal, with floats within RELATIVE of each other and equal in their whole parts; true is not 1."""
    if isinstance(wanted, bool) or isinstance(given, bool):
        return wanted is given
    if isinstance(wanted, int) and isinstance(given, int):
        return wanted == given
    if isinstance(wanted, (int, float)) and isinstance(given, (int, float)):
        try:
            return int(wanted) == int(given) and math.isclose(wanted, given, rel_tol=RELATIVE)
        except (OverflowError, ValueError):
            return False
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(map(close, wanted, given))
    if isinstance(wanted, dict) and isinstance(given, dict):
        return wanted.keys() == given.keys() and all(close(value, given[key]) for key, value in wanted.items())
    return type(wanted) is type(given) and wanted == given


def text(value: Any) -> str:
    """A value as JSON text, as the sandbox writes it."""
    return json.dumps(value, ensure_ascii=False)


def short(value: Any) -> str:
    """The beginning of a value's JSON text."""
    return text(value)[:200]
