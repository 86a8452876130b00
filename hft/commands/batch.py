"""Several recipes in one go: in order, each in a process of its own, until one fails, with one table at the end."""

import signal
import subprocess
import sys
import time
from typing import NamedTuple

from hft.runs import folder as runs
from hft.runs import tables
from hft.terminal import columns
from hft.train.stopping import STOPS


class Part(NamedTuple):
    name: str
    state: str  # done, failed, stopped, not begun
    seconds: float


def each(command: str, names: tuple[str, ...], options: list[str]) -> int:
    """Run `hft COMMAND NAME OPTIONS` for each name; returns the exit code of the first failure, else 0.

    Each name has its own process: what one training leaves in the libraries must not change the next one's result.
    """
    parts, code = [], 0
    for count, name in enumerate(names, 1):
        if code:
            parts.append(Part(name, "not begun", 0))
            continue
        print(f"== {count} of {len(names)}: hft {command} {name}", flush=True)
        begin = time.monotonic()
        code = one([sys.executable, "-m", "hft", command, name, *options])
        parts.append(Part(name, state_of(code), time.monotonic() - begin))
    print(table(parts), flush=True)
    return code


def state_of(code: int) -> str:
    """How a command ended, by its exit code."""
    if not code:
        return "done"
    return "stopped" if code in (130, -signal.SIGTERM, -signal.SIGINT) else f"failed (exit {code})"


def one(command: list[str]) -> int:
    """Run a command to its end; Ctrl-C and a stop (SIGTERM) are handed on to it: it saves and then ends.

    It has a process group of its own, so that a terminal's Ctrl-C reaches it once and not twice.
    """
    with subprocess.Popen(command, process_group=0) as process:
        before = {number: signal.signal(number, lambda number, frame: process.send_signal(number)) for number in STOPS}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def table(parts: list[Part]) -> str:
    """One line a recipe: how it ended, its exact match before and after, its newest run."""
    lines = [["recipe", "state", "seconds", "exact match", "run"]]
    for part in parts:
        newest = next(iter(reversed(runs.every(part.name))), None)
        began = newest and part.state != "not begun"
        facts = began and runs.passport(newest)
        lines.append(
            [
                part.name,
                part.state,
                f"{part.seconds:.0f}",
                tables.scores(facts) if facts else "-",
                str(newest) if began else "-",
            ]
        )
    return columns(lines)
