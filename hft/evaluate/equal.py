"""math-verify in a process of its own that is killed when a formula takes too long, whichever thread asks.

math-verify's own limit works by signals, so in the main thread only.
"""

import atexit
import functools
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from hft.errors import HftError

INSIDE = Path(__file__).with_name("equal_inside.py")
FIX = "pip install 'math-verify[antlr4-13-2]==0.9.0', or use the environment that make setup builds from the locks"


class Worker:
    """One process that judges formulas; it starts when first asked, and again after one that it did not survive."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.lock = threading.Lock()

    def ask(self, given: str, truth: str) -> bool:
        """Whether two formulas are equal; False for a pair that kills it. Raises HftError without math-verify."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.process = start()
            try:
                self.process.stdin.write(json.dumps([given, truth]).encode() + b"\n")
                answer = self.process.stdout.readline()
            except BrokenPipeError:
                answer = b""
            except BaseException:  # a Ctrl-C: the answer that is under way would be taken for the next one's
                self.end()
                raise
            if not answer:
                self.end()
            return answer == b"true\n"

    def end(self) -> None:
        """Kill the process; the next question starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def forget(self) -> None:
        """In a fork: let go of the parent's process, which would else live as long as this one."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.returncode = 0  # nobody's child here: nothing to wait for
        self.process, self.lock = None, threading.Lock()


def start() -> subprocess.Popen[bytes]:
    """A process that has loaded math-verify (about a second). Raises HftError where it cannot."""
    if importlib.util.find_spec("math_verify") is None:
        raise HftError("math-verify, which compares answers, is not installed", FIX)
    process = subprocess.Popen(
        [sys.executable, "-P", str(INSIDE)],  # -P: the files beside it are no modules of its own
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,  # a fork has nothing to write twice
        start_new_session=True,  # a Ctrl-C is for the training, which may want a last answer judged
    )
    if process.stdout.readline() != b"ready\n":
        process.kill()
        process.communicate()
        raise HftError("math-verify, which compares answers, does not start", FIX)
    return process


WORKER = Worker()
atexit.register(WORKER.end)
os.register_at_fork(after_in_child=WORKER.forget)


@functools.lru_cache(maxsize=4096)  # rewards and evaluation ask about the same pairs
def mathematics(given: str, truth: str) -> bool:
    """Whether two formulas in LaTeX, without maths marks, are equal. Raises HftError without math-verify."""
    return WORKER.ask(given, truth)
