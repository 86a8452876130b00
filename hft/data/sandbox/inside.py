"""Runs inside the sandbox, alone: reads a job from standard input, runs its code, writes the result to standard output.

A job is JSON: code, function, inputs (JSON texts) or generator and count, seed, days (what the clock is ahead), and
limits. The result is `{"pairs": [{"input", "output", "status"}], "status", "detail"}`; inputs and outputs stay JSON
texts. hft never imports this file, and this file imports nothing of hft: whatever the code does to it, it does to its
own process.
"""

import contextlib
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable  # typing would take longer to load than the rest

SIZES = {"bytes": 1024, "items": 20, "characters": 100}  # of a value: CodeI/O, arXiv 2502.07316, section 2.1
TRIES = 1000  # calls of a generator for `count` different inputs


class Refused(Exception):
    """A value that no row may have; the first argument is the status."""


def main() -> None:
    """Run the job at standard input; what the code prints, or lets run on, is lost."""
    job = json.loads(sys.stdin.read())
    answer = os.dup(1)  # the code's own prints go elsewhere, and end at the file limit
    printed = os.open("printed", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(0)
    for name, limit in job["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    sys.path += job["path"]
    sys.setrecursionlimit(5000)
    turn_clock(job["days"])
    result: dict = {"pairs": [], "status": "ok", "detail": ""}
    try:
        run(job, result["pairs"])
    except BaseException as problem:
        result |= {"status": status(problem), "detail": detail(problem)}
    os.write(answer, json.dumps(result).encode())
    os._exit(0)  # threads that outlive the function end here


def run(job: dict, pairs: list[dict]) -> None:
    """Call the function on each input, and append what came of it to `pairs`. Raises what the code raises by itself."""
    seed(job["seed"])
    space: dict = {"__name__": "reference"}
    exec(compile(job["code"], "reference.py", "exec"), space)
    function = space.get(job["function"])
    if not callable(function):
        raise NameError(f"the code has no function {job['function']}")
    texts = job["inputs"] if job.get("inputs") is not None else generated(space, job)
    for text in texts:
        pair = {"input": text, "output": None, "status": "ok"}
        pairs.append(pair)
        try:
            pair["output"] = called(function, text, job)
        except BaseException as problem:
            pair |= {"status": status(problem), "detail": detail(problem)}


def called(function: Callable, text: str, job: dict) -> str:
    """The output for one input, as JSON text; the input is a copy of its own and must come out as it went in."""
    given = json.loads(text)
    seed(job["seed"])
    output = function(**given) if isinstance(given, dict) else function(given)
    try:
        if json.dumps(given, sort_keys=True) != json.dumps(json.loads(text), sort_keys=True):
            raise Refused("mutates its input")
    except TypeError:
        raise Refused("mutates its input") from None
    return written(output, job["sizes"])


def generated(space: dict, job: dict) -> list[str]:
    """Different inputs from the code's own generator, in its order."""
    generator = space.get(job["generator"])
    if not callable(generator):
        raise NameError(f"the code has no function {job['generator']}")
    texts: dict[str, None] = {}
    for _ in range(TRIES):
        with contextlib.suppress(Refused):
            texts.setdefault(written(generator(), job["sizes"]))
        if len(texts) == job["count"]:
            break
    return list(texts)


def written(value: object, sizes: bool = True) -> str:
    """A value as JSON text.

    Raises Refused for what JSON cannot hold, for NaN and infinities, and for what is too large.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        again = json.loads(text)
    except ValueError as problem:
        raise Refused("not finite" if "compliant" in str(problem) else "not JSON") from None
    except (TypeError, RecursionError):
        raise Refused("not JSON") from None
    if sizes and (len(text.encode()) >= SIZES["bytes"] or not small(again)):
        raise Refused("too large")
    return text


def small(value: object) -> bool:
    """Whether no text and no list in a value is longer than a question should have."""
    if isinstance(value, str):
        return len(value) < SIZES["characters"]
    if isinstance(value, (list, dict)):
        return len(value) < SIZES["items"] and all(map(small, value.values() if isinstance(value, dict) else value))
    return True


def seed(number: int) -> None:
    """Seed what the code may draw from."""
    random.seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number % 2**32)


def turn_clock(days: int) -> None:
    """Let the clock run ahead, so that what depends on the date shows."""
    if not days:
        return
    import datetime

    ahead, real = days * 86400, time.time
    localtime, gmtime, ctime, strftime = time.localtime, time.gmtime, time.ctime, time.strftime
    time.localtime = lambda seconds=None: localtime(real() + ahead if seconds is None else seconds)
    time.gmtime = lambda seconds=None: gmtime(real() + ahead if seconds is None else seconds)
    time.ctime = lambda seconds=None: ctime(real() + ahead if seconds is None else seconds)
    time.strftime = lambda form, when=None: strftime(form, time.localtime() if when is None else when)
    time.time = lambda: real() + ahead
    time.time_ns = lambda: int((real() + ahead) * 1e9)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(real() + ahead, tz)

        @classmethod
        def today(cls):
            return cls.now()

        @classmethod
        def utcnow(cls):
            return cls.fromtimestamp(real() + ahead, datetime.UTC).replace(tzinfo=None)

    class LaterDay(datetime.date):
        @classmethod
        def today(cls):
            return cls.fromtimestamp(real() + ahead)

    datetime.datetime, datetime.date = Later, LaterDay  # type: ignore[misc]  # for the code that imports them later


def detail(problem: BaseException) -> str:
    """The kind of an error and the beginning of its message."""
    return f"{type(problem).__name__}: {problem}"[:300]


def status(problem: BaseException) -> str:
    """What an error is to hft: the value refused, memory or output exhausted, an exit, or any other."""
    if isinstance(problem, Refused):
        return problem.args[0]
    if isinstance(problem, MemoryError):
        return "memory"
    if isinstance(problem, SystemExit):
        return "exits"
    if isinstance(problem, OSError) and problem.errno == 27:  # EFBIG
        return "output"
    return "error"


main()
