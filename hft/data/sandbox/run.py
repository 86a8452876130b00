"""Run foreign Python in a sandbox: bubblewrap, with its own network, processes and files, and limits on the rest."""

import contextlib
import functools
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

from hft.errors import HftError

GIB = 2**30
INSIDE = Path(__file__).with_name("inside.py")
SCRATCH = 16 * 2**20  # bytes that the code may write, in memory
ANSWER = 4 * 2**20  # bytes that it may answer
ALLOW = "HFT_RUN_CODE"
STATUSES = (
    *("ok", "error", "exits", "memory", "output", "processes"),
    *("mutates its input", "not JSON", "not finite", "too large"),
)
# Exit codes of a process that was killed, by the shell's count and by Python's: KILL, XCPU, SEGV.
ENDS = {137: "killed", 152: "timeout", 139: "memory", -9: "killed", -24: "timeout", -11: "memory"}

ALONE = (
    *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--new-session", "--clearenv"),
)
READ_ONLY = ("--remount-ro", "/dev", "--remount-ro", "/")
NOBODY = "65534"
AS_NOBODY = (
    *("/usr/bin/setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
    *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
)
# Of a job that says nothing else.
USUAL = {"seed": 0, "draw": 0, "order": None, "calls": 0, "enough": 0.0, "ahead": 0, "sizes": True}
TRIAL: dict = {**USUAL, "code": "def f(n): return n", "function": "f", "inputs": ["1"], "path": [], "limits": {}}


class Limits(NamedTuple):
    """What one process of the code may take; it is killed, with all that it started, when it takes more."""

    seconds: float = 20.0  # of wall clock
    processor: float | None = None  # seconds of processor time, rounded up; None: as many as of wall clock
    memory: int = 1 * GIB  # bytes of address space
    processes: int = 32
    file: int = 1 * 2**20  # bytes of one file, what it prints included


class Outcome(NamedTuple):
    """What came of a job."""

    status: str  # ok, or why there is no result: timeout, memory, exits, killed, output, error
    pairs: list[dict]  # {input, output, status}
    detail: str = ""


def run(job: dict, limits: Limits = Limits(), hash_seed: int = 0) -> Outcome:  # noqa: B008  a named tuple never changes
    """Run a job of inside.py. Raises HftError where there is no isolation and none was waived."""
    whole = {**USUAL, "path": [sysconfig.get_path("purelib")], **job, "limits": resource_limits(limits)}
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as answer:
        process = subprocess.Popen(
            [*isolation(), *python(hash_seed)],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            cwd=scratch,
            env={},
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(whole).encode(), timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            return Outcome("timeout", [])
        except BrokenPipeError:
            pass
        finally:
            stop(process)
        answer.seek(0)
        return read(answer.read(ANSWER + 1), process.returncode)


def resource_limits(limits: Limits) -> dict[str, int]:
    """What the inside sets itself, by the names of `resource`."""
    return {
        "AS": limits.memory,
        "CPU": math.ceil(limits.processor or limits.seconds),
        "NPROC": limits.processes,
        "FSIZE": limits.file,
        "CORE": 0,
        "NOFILE": 64,
    }


def stop(process: subprocess.Popen) -> None:
    """Kill the whole group; bubblewrap's death takes everything inside with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def read(answer: bytes, code: int) -> Outcome:
    """What the inside answered; a process that ended without an answer was killed or ended itself."""
    if len(answer) > ANSWER:
        return Outcome("output", [])
    try:
        result = json.loads(answer)
        return Outcome(known(result["status"]), [sound(pair) for pair in result["pairs"]], str(result["detail"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # the code may have written it itself
        return Outcome(ENDS.get(code, "exits"), [])


def sound(pair: dict) -> dict:
    """A pair of an answer, whose texts are JSON. Raises one of `read`'s errors for anything else."""
    for text in filter(None, (pair["input"], pair["output"])):
        json.loads(text)
    return {
        "input": str(pair["input"]),
        "output": pair["output"],
        "status": known(pair["status"]),
        "detail": str(pair.get("detail", "")),
    }


def known(status: str) -> str:
    """The status, where it is one. Raises ValueError for anything else."""
    return STATUSES[STATUSES.index(status)]


def python(hash_seed: int) -> list[str]:
    """The interpreter, without the user's settings, on the file that runs inside."""
    environment = (
        f"PYTHONHASHSEED={hash_seed}",
        "OPENBLAS_NUM_THREADS=1",
        "OMP_NUM_THREADS=1",
        "HOME=/scratch",
        "LANG=C.UTF-8",
    )
    return ["/usr/bin/env", "-i", *environment, os.path.realpath(sys.executable), "-s", "-P", "-B", str(INSIDE)]


def interpreter() -> list[Path]:
    """What Python needs: the program, its library, hft's packages, the file that runs inside.

    Not all of a prefix, which may be a home.
    """
    library = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("LDLIBRARY") or "")
    places = [
        os.path.realpath(sys.executable),
        *(os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")),
        sysconfig.get_path("purelib"),
        str(INSIDE),
        *([str(library)] if library.suffix == ".so" and library.exists() else []),
    ]
    return [Path(place) for place in dict.fromkeys(places)]


@functools.cache
def isolation() -> tuple[str, ...]:
    """The words in front of the interpreter.

    Raises HftError where the machine cannot isolate and HFT_RUN_CODE does not waive it.
    """
    if os.environ.get(ALLOW) == "unprotected":
        return ()
    remedy = f"in a machine or container that holds nothing of value: {ALLOW}=unprotected (limits only, no isolation)"
    program = shutil.which("bwrap")
    if not program:
        raise HftError(
            "the data brings code to run, and the sandbox for it, bubblewrap, is not installed",
            f"apt-get install bubblewrap; or, {remedy}",
        )
    words = (program, *bubblewrap())
    tried = subprocess.run([*words, *python(0)], input=json.dumps(TRIAL), capture_output=True, text=True)
    if tried.returncode or '"status": "ok"' not in tried.stdout:
        raise HftError(
            f"the data brings code to run, and bubblewrap may not isolate it here: {tried.stderr.strip()}",
            f"run it outside of the container, or with --security-opt seccomp=unconfined; or, {remedy}",
        )
    return words


def bubblewrap() -> list[str]:
    """No network, no processes but its own, no file but the interpreter's; a scratch folder in memory to write to."""
    words = [*ALONE, "--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for place in map(Path, ("/bin", "/sbin", "/lib", "/lib64")):
        if place.is_symlink():
            words += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            words += ["--ro-bind", str(place), str(place)]
    for place in interpreter():
        if not place.is_relative_to("/usr"):
            for parent in reversed(place.parents[:-1]):  # bubblewrap would make them for root alone
                words += ["--perms", "0755", "--dir", str(parent)]
            words += ["--ro-bind", str(place), str(place)]
    words += ["--size", str(SCRATCH), "--perms", "1777", "--tmpfs", "/scratch", "--chdir", "/scratch", *READ_ONLY]
    if os.geteuid() == 0:  # limits on processes do not hold for root
        return [*words, "--", *AS_NOBODY]
    return [*words, "--unshare-user", "--cap-drop", "ALL", "--"]
