"""Runs inside the sandbox, alone: reads a job from standard input, runs its code, writes the result to standard output.

A job is JSON: code, function, inputs (JSON texts) or generator and count, seed (of the generator), draw (of the calls),
order (that shuffles the inputs, or null), calls and enough (the inputs are gone through again up to that many calls, or
seconds of processor time), ahead (seconds of the clock), and limits. The result is `{"pairs": [{"input", "output",
"status"}], "status", "detail"}`; inputs and outputs stay JSON texts. hft never imports this file, and this file imports
nothing of hft: whatever the code does to it, it does to its own process.
"""

import contextlib
import errno
import gc
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable  # typing would take longer to load than the rest

SIZES = {"bytes": 1024, "items": 20, "characters": 100}  # of a value: CodeI/O, arXiv 2502.07316, section 2.1
TRIES = 1000  # calls of a generator for `count` different inputs
# A clock that is ahead goes on from call to call (31 h 7 min 13 s, all prime), and runs ten times as fast.
STEP = 31 * 3600 + 7 * 60 + 13
FASTER = 9
CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
ahead = {"seconds": 0.0}  # what the clock is ahead now
used = time.process_time


class Refused(Exception):
    """A value that no row may have; the first argument is the status."""


def main() -> None:
    """Run the job at standard input; what the code prints, or lets run on, is lost."""
    job = json.loads(sys.stdin.read())
    answer = os.dup(1)  # the code's own prints go elsewhere, and end at the file limit
    printed = os.open("printed", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(0)
    for name, limit in job["limits"].items():
        # At the first of two limits on processor time it is told from other kills.
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit + (name == "CPU")))
    sys.path += job["path"]
    sys.setrecursionlimit(5000)
    if job["ahead"]:
        turn_clock()
    result: dict = {"pairs": [], "status": "ok", "detail": ""}
    try:
        run(job, result["pairs"])
    except BaseException as problem:
        result |= {"status": status(problem), "detail": detail(problem)}
    os.write(answer, json.dumps(result).encode())
    os._exit(0)  # threads that outlive the function end here


def run(job: dict, pairs: list[dict]) -> None:
    """Call the function on each input, and append what came of it to `pairs`. Raises what the code raises by itself."""
    ahead["seconds"] = job["ahead"]
    seed(job["seed"])
    space: dict = {"__name__": "reference"}
    exec(compile(job["code"], "reference.py", "exec"), space)
    function = space.get(job["function"])
    if not callable(function):
        raise NameError(f"the code has no function {job['function']}")
    seed(job["seed"])  # once more: the code may have loaded numpy
    texts = job["inputs"] if job.get("inputs") is not None else generated(space, job)
    if job["order"] is not None:
        random.Random(job["order"]).shuffle(texts)
    rounds = -(-job["calls"] // len(texts)) if texts else 0
    for number, text in enumerate(texts * max(1, rounds)):
        if number >= len(texts) and used() > job["enough"]:
            break
        pair = {"input": text, "output": None, "status": "ok"}
        pairs.append(pair)
        try:
            pair["output"] = called(function, text, job, number)
        except BaseException as problem:
            pair |= {"status": status(problem), "detail": detail(problem)}


def called(function: Callable, text: str, job: dict, number: int) -> str:
    """The output for one input, as JSON text; the input is a copy of its own and must come out as it went in."""
    given = json.loads(text)
    written(given, sizes=False)
    ahead["seconds"] = job["ahead"] + number * STEP
    seed(job["draw"] + number)
    with contextlib.suppress(OSError):
        os.ftruncate(1, 0)  # what earlier calls printed does not count
    held = [object() for _ in range(number)]  # what the function makes lies elsewhere than at the last call
    output = function(**given) if isinstance(given, dict) else function(given)
    del held
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

    Raises Refused for what JSON cannot hold (half a surrogate pair included), for NaN and infinities, and for what is
    too large.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        again, size = json.loads(text), len(text.encode())
    except ValueError as problem:
        raise Refused("not finite" if "compliant" in str(problem) else "not JSON") from None
    except (TypeError, RecursionError):
        raise Refused("not JSON") from None
    if sizes and (size >= SIZES["bytes"] or not small(again)):
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


def turn_clock() -> None:
    """Let every clock of Python be ahead, so that what depends on the date or on the machine's speed shows."""
    import datetime

    begin, monotonic = time.monotonic(), time.monotonic
    localtime, gmtime, ctime, asctime, strftime = time.localtime, time.gmtime, time.ctime, time.asctime, time.strftime

    def turned(read: Callable, unit: int) -> Callable:
        return lambda *which: read(*which) + unit * (ahead["seconds"] + FASTER * (monotonic() - begin))

    def whole(read: Callable) -> Callable:
        return lambda *which: int(read(*which))

    for name in CLOCKS:
        setattr(time, name, turned(getattr(time, name), 1))
        setattr(time, f"{name}_ns", whole(turned(getattr(time, f"{name}_ns"), 10**9)))
    time.localtime = lambda seconds=None: localtime(time.time() if seconds is None else seconds)
    time.gmtime = lambda seconds=None: gmtime(time.time() if seconds is None else seconds)
    time.ctime = lambda seconds=None: ctime(time.time() if seconds is None else seconds)
    time.asctime = lambda when=None: asctime(time.localtime() if when is None else when)
    time.strftime = lambda form, when=None: strftime(form, time.localtime() if when is None else when)
    # The type itself, not a subclass: `isinstance`, `repr` and modules that have it already see the same. Its `today`,
    # and that of `date`, ask time.time.
    methods = gc.get_referents(datetime.datetime.__dict__)[0]
    methods["now"] = classmethod(lambda cls, tz=None: cls.fromtimestamp(time.time(), tz))
    methods["utcnow"] = classmethod(lambda cls: cls.utcfromtimestamp(time.time()))


def detail(problem: BaseException) -> str:
    """The kind of an error and the beginning of its message, of characters that can be written."""
    return f"{type(problem).__name__}: {problem}"[:300].encode("utf-8", "replace").decode()


def status(problem: BaseException) -> str:
    """What an error is to hft: the value refused, memory, output or processes exhausted, an exit, or any other."""
    if isinstance(problem, Refused):
        return problem.args[0]
    if isinstance(problem, MemoryError):
        return "memory"
    if isinstance(problem, SystemExit):
        return "exits"
    if isinstance(problem, OSError) and problem.errno == errno.EFBIG:
        return "output"
    if isinstance(problem, BlockingIOError) or "can't start new thread" in str(problem):
        return "processes"
    return "error"


main()
