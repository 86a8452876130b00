"""Verify what a model says about a function's input or output.

An output by comparison, an input by running the function on it.
"""

import ast
import contextlib
import json
import math
import re
from typing import Any, NamedTuple, NoReturn

from hft.data.sandbox import run as sandbox

RELATIVE = 1e-3  # of numbers with equal whole parts: CodeI/O's tolerance
LIMITS = sandbox.Limits(seconds=25, processor=5)  # a busy machine does not make a right input wrong

# A Python literal where JSON was asked for is read too, as CodeI/O's own verification does.
TAIL, DEEPEST = 20_000, 50  # characters before the end where one may begin; brackets within each other
TEXT = r"""(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')"""
NUMBER = r"[-+]?(?:\d++\.?+\d*+|\.\d++)(?:[eE][-+]?\d++)?"
BEGIN = re.compile(r"\{\s*+[\"']")
WORDS = {"true": "True", "false": "False", "null": "None"}
PIECE = re.compile(rf"{TEXT}|{NUMBER}|[{{}}\[\](),:\s]|True|False|None|true|false|null", re.DOTALL)


class Verdict(NamedTuple):
    """What became of a prediction."""

    status: str  # correct, wrong, unreadable (no such JSON), error or timeout (of the function on the predicted input)
    feedback: str  # in words, as the second turn gets it


def judge(row: dict, answer: str) -> Verdict:
    """Judge a prediction for one row of `source: codeio`: the answer ends in {"output": ...} or {"input": ...}."""
    try:
        return judged(row, answer)
    except RecursionError:  # nested as deep as Python can read it
        return Verdict("wrong", f"The {row['kind']} is nested too deep.")


def judged(row: dict, answer: str) -> Verdict:
    """As `judge`. Raises RecursionError for a value that is nested too deep to compare or to write."""
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
    """The last object in a text that has this key, an outer one before those in it: JSON, else a Python literal.

    NaN, infinities, and what cannot be written as UTF-8 (half a surrogate pair) make an object unreadable.
    """
    last, place, final = None, 0, answer.rfind(key)
    while 0 <= (place := answer.find("{", place)) < final:
        value, end = read_json(answer, place) or read_literal(answer, place) or ({}, place)
        if key in value:
            last, place = value, end
        else:
            place += 1
    return last


def read_json(answer: str, place: int) -> tuple[dict, int] | None:
    """(object, where it ends) of the JSON at a place."""
    decoder = json.JSONDecoder(parse_constant=refuse, parse_float=finite)
    try:
        value, end = decoder.raw_decode(answer, place)
        text(value).encode()
    except (ValueError, RecursionError):
        return None
    return value, end


def read_literal(answer: str, place: int) -> tuple[dict, int] | None:
    """(object, where it ends) of the Python literal at a place, with words and texts of JSON in it, too.

    Tuples become lists, and keys texts, as where a function's output is written.
    """
    pieces: list[str] = []
    depth, end = 0, place
    if len(answer) - place > TAIL or not BEGIN.match(answer, place):
        return None
    while depth <= DEEPEST and (found := PIECE.match(answer, end)):
        pieces.append(as_python(found[0]))
        depth += (found[0] in "{[(") - (found[0] in "}])")
        end = found.end()
        if not depth:
            break
    if depth:
        return None
    try:
        value = json.loads(json.dumps(ast.literal_eval("".join(pieces)), allow_nan=False))
        text(value).encode()
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return (value, end) if isinstance(value, dict) else None


def as_python(piece: str) -> str:
    """A word or a text of JSON as Python writes it; else the piece itself."""
    with contextlib.suppress(ValueError):
        return repr(json.loads(piece)) if piece[0] == '"' else WORDS.get(piece, piece)
    return piece


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
