"""Training on several GPUs: torchrun starts a worker for each, and this process waits for them.

servers.py has several servers.
"""

import contextlib
import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from hft import files, machine, redact
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.runs import folder as runs
from hft.terminal import say
from hft.train.stopping import STOP, STOPS
from hft.train.trainer import OutOfMemory
from hft.train.workers import servers

# Seconds to wait for the first server: it may evaluate the base before; after a failure it starts again or ends.
PATIENCE = {"first": 3600, "again": 120, "finished": 120}
DONE = "trained.json"  # what the first worker leaves in the run folder


def log_file() -> str:
    """The file in the run folder for what torchrun and this server's workers say on standard error."""
    where = servers.here()
    return f"workers-{where.rank}.log" if where and where.rank else "workers.log"


def reason_file(call: str) -> str:
    """The file in the run folder where the first worker of a training to fail says why."""
    return f"failed-{call}.json"


def fit(run: Path, count: int, device: str, max_steps: int | None) -> dict:
    """Train in `count` worker processes, on all servers together; returns what the passport keeps of training.

    Raises OutOfMemory when a worker's card was too small, KeyboardInterrupt after a Ctrl-C, and HftError when a worker
    failed.
    """
    call = secrets.token_hex(4)
    for old in (run / DONE, run / STOP, *run.glob(reason_file("*"))):
        old.unlink(missing_ok=True)
    try:
        code = launch(run, call, count, device, max_steps, leads=True)
    finally:
        servers.dismiss(run)
    raise_reason(run, call, count, code)
    facts = json.loads((run / DONE).read_text(encoding="utf-8"))
    (run / DONE).unlink()
    return facts


def raise_reason(run: Path, call: str, count: int, code: int) -> None:
    """Raise what ended a training early: what a worker left behind, else what torchrun's exit code says."""
    again = f"hft train {run.parent.name} --resume"
    if (run / reason_file(call)).exists():
        left = json.loads((run / reason_file(call)).read_text(encoding="utf-8"))
        for name in (reason_file(call), STOP):
            (run / name).unlink(missing_ok=True)
        if left["kind"] == "memory":
            raise OutOfMemory
        if left["kind"] == "stopped":
            raise KeyboardInterrupt
        raise HftError(
            f"worker {left['rank']} of {count} failed: {left['said']} (all of it: {run / log_file()})",
            f"mend it and go on: {again}",
        )
    if code and "clients joined" in (run / log_file()).read_text(encoding="utf-8"):
        raise HftError(
            "the other servers did not come within torchrun's 15 minutes",
            f"start the same command on all of them: {again}",
        )
    if code or not (run / DONE).exists():
        raise HftError(
            f"a worker of {count} was killed: see {run / log_file()}", f"go on from the last checkpoint: {again}"
        )


def follow(loaded: Loaded, where: servers.Servers, finished: Path | None = None) -> None:
    """Lend this server's processes to the first server's run of the same recipe, until it is trained.

    Where a run is `finished` already, the first server may have nothing to train. Raises HftError when no such run
    appears, or its training fails, and KeyboardInterrupt after a Ctrl-C here, which stops all.
    """
    say(
        f"Server {where.rank + 1} of {where.count}: "
        f"waiting for the first one's run of {loaded.name} in {runs.root()} ..."
    )
    patience = PATIENCE["finished" if finished else "first"]
    done: set[str] = set()  # calls that ended early
    while call := servers.called(loaded, where, done, patience):
        if lend(call, where):
            say("Trained. The first server writes the results.")
            return
        done.add(call.call)
        patience = PATIENCE["again"]
    if finished and not done:
        say(f"Nothing to train: {finished} is finished, and the first server does not call.")
        return
    raise HftError(
        "the training with the other servers ended early"
        if done
        else f"no run of {loaded.name} was started by the first server within an hour",
        f"see what the first server says; both need the same recipe, and one folder of runs (here {runs.root()})",
    )


def lend(call: servers.Call, where: servers.Servers) -> bool:
    """Train this server's share of a run that the first one calls for; returns whether it came to its end.

    Raises HftError where the run's plan wants more GPUs than there are.
    """
    plan = json.loads((call.run / "plan.json").read_text(encoding="utf-8"))
    share = share_of(plan["processes"])
    if plan["device"] == "cuda" and share > len(machine.cards()):
        raise HftError(
            f"the first server's plan wants {share} GPUs here, and there are {len(machine.cards())}",
            f"--processes {where.count * max(1, len(machine.cards()))} on the first server",
        )
    say(f"{call.run}: training with the other servers; what the workers here say is in {call.run / log_file()}")
    return launch(call.run, call.call, plan["processes"], plan["device"], call.max_steps) == 0


def share_of(count: int) -> int:
    """This server's of `count` workers."""
    where = servers.here()
    return count // where.count if where else count


def launch(run: Path, call: str, count: int, device: str, max_steps: int | None, leads: bool = False) -> int:
    """Start torchrun for this server's share of `count` workers, and wait; returns its exit code."""
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *([] if servers.here() else ["--standalone"]),
        "--nproc-per-node",
        str(share_of(count)),
        "-m",
        "hft.train.workers.worker",
        str(run),
        call,
        *([str(max_steps)] if max_steps else []),
    ]

    def beat() -> None:
        if leads:
            servers.call(run, call, max_steps)

    return wait(words, environment(share_of(count), device), run, beat)


def environment(count: int, device: str) -> dict[str, str]:
    """The workers': an even share of the cores, and all the GPUs, of which each takes its own."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, machine.cores() // count))),
        "CUDA_VISIBLE_DEVICES": "" if device == "cpu" else ",".join(machine.visible()),
    }


def wait(words: list[str], env: dict[str, str], run: Path, beat: Callable[[], None]) -> int:
    """Run torchrun to its end, with a `beat` every two seconds; returns its exit code.

    A Ctrl-C, SIGTERM or lost terminal asks the workers to save and stop together, a second one ends them. Raises
    KeyboardInterrupt after a second one, and on servers other than the first after one.
    """
    log = run / log_file()
    with (
        log.open("w") as errors,
        subprocess.Popen(words, env=env, stderr=errors, start_new_session=True, preexec_fn=end_with_parent) as process,
        passed_on(process, run) as asked,
    ):
        while (code := process.poll()) is None:
            beat()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
    log.write_text(redact.text(log.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
    where = servers.here()
    if len(asked) > 1 or (asked and where and where.rank):
        raise KeyboardInterrupt
    return code


@contextlib.contextmanager
def passed_on(process: subprocess.Popen, run: Path) -> Iterator[list[int]]:
    """Pass a stop on to the workers until the block ends; yields the signals that came."""
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if asked:
            process.terminate()  # torchrun ends its workers
        else:
            print("\nStopping after this step; Ctrl-C again stops at once.", flush=True)
            files.write(run / STOP, "")
        asked.append(number)

    before = {number: signal.signal(number, stop) for number in (*STOPS, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Let Linux send this process a SIGTERM when its parent ends, however that ends: none is left behind on a GPU."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
