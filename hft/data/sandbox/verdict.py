"""Verify what a model says about a function's input or output: by comparison, or by running the function on the predicted input."""

import json
import math
from typing import NamedTuple

from hft.data.sandbox import run as sandbox

RELATIVE = 1e-3  # of numbers with equal whole parts: CodeI/O's tolerance
LIMITS = sandbox.Limits(seconds=5)


class Verdict(NamedTuple):
    status: str  # correct, wrong, unreadable (no such JSON), error or timeout (of the function on the predicted input)
    feedback: str  # in words, as the second turn gets it


def judge(row: dict, said: str) -> Verdict:
    """Judge a prediction for one row of `source: codeio`: `said` ends in {"output": ...} or {"input": ...}."""
    kind = row["kind"]
    found = last_object(said, kind)
    if found is None:
        return Verdict("unreadable", f'There is no JSON object with the key "{kind}" at the end of the answer.')
    if kind == "output":
        if close(json.loads(row["output_json"]), found[kind]):
            return Verdict("correct", "The output is right.")
        return Verdict("wrong", f"The output {short(found[kind])} is wrong.")
    outcome = sandbox.run(
        {"code": row["code"], "function": row["name"], "inputs": [text(found[kind])], "sizes": False}, LIMITS
    )
    pair = outcome.pairs[0] if outcome.pairs else {"status": outcome.status, "detail": outcome.detail}
    if pair["status"] == "timeout":
        return Verdict("timeout", f"With the input {short(found[kind])} the function does not end in time.")
    if pair["status"] != "ok":
        return Verdict(
            "error", f"With the input {short(found[kind])} the function fails: {pair.get('detail') or pair['status']}"
        )
    try:
        right = close(json.loads(row["output_json"]), json.loads(pair["output"]))
    except RecursionError:
        right = False
    if right:
        return Verdict("correct", "The input gives the wanted output.")
    return Verdict(
        "wrong", f"The input {short(found[kind])} gives {pair['output'][:200]}, which is not the wanted output."
    )


def last_object(said: str, key: str) -> dict | None:
    """The last JSON object in a text that has this key, an outer one before those in it; NaN and infinities make it unreadable."""
    decoder, found, place = json.JSONDecoder(parse_constant=refuse, parse_float=finite), None, 0
    while (place := said.find("{", place)) >= 0:
        try:
            value, end = decoder.raw_decode(said, place)
        except (ValueError, RecursionError):
            value, end = {}, place
        if key in value:
            found, place = value, end
        else:
            place += 1
    return found


def refuse(name: str):
    raise ValueError(name)


def finite(written: str) -> float:
    number = float(written)
    return number if math.isfinite(number) else refuse(written)


def close(wanted, given) -> bool:
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


def text(value) -> str:
    """A value as JSON text, as the sandbox writes it."""
    return json.dumps(value, ensure_ascii=False)


def short(value) -> str:
    return text(value)[:200]
