"""Training on several GPUs: torchrun starts a worker for each, and this process waits for them; servers.py has several servers."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from hft import files, machine, redact, runs, servers
from hft.errors import HftError
from hft.log import say
from hft.methods.training import OutOfMemory
from hft.methods.watch import STOP, STOPS
from hft.recipe_file import Loaded

PATIENCE = {"first": 3600, "again": 120}  # seconds: the first server may evaluate the base before; after a failure it starts again or ends
DONE, FAILED = "trained.json", "failed.json"  # what the first worker, and the first one that failed, leave in the run folder


def heard() -> str:
    """The file in the run folder for what torchrun and this server's workers say on standard error."""
    where = servers.here()
    return f"workers-{where.rank}.log" if where and where.rank else "workers.log"


def fit(run: Path, count: int, device: str, max_steps: int | None, attempt: int = 1) -> dict:
    """Train in `count` worker processes, on all servers together; returns what the passport keeps of training.

    Raises OutOfMemory when a worker's card was too small, KeyboardInterrupt after a Ctrl-C, and HftError when a worker failed.
    """
    for name in (DONE, FAILED, STOP):
        (run / name).unlink(missing_ok=True)
    servers.call(run, attempt, max_steps)
    try:
        code = launch(run, count, device, max_steps)
    finally:
        servers.dismiss(run)
    if (run / FAILED).exists():
        failed = json.loads((run / FAILED).read_text(encoding="utf-8"))
        for name in (FAILED, STOP):
            (run / name).unlink(missing_ok=True)
        if failed["kind"] == "memory":
            raise OutOfMemory
        if failed["kind"] == "stopped":
            raise KeyboardInterrupt
        raise HftError(f"worker {failed['rank']} of {count} failed: {failed['said']} (all of it: {run / heard()})",
                       f"mend it and go on: hft train {run.parent.name} --resume")
    if code or not (run / DONE).exists():
        raise HftError(f"a worker of {count} was killed: see {run / heard()}",
                       f"go on from the last checkpoint: hft train {run.parent.name} --resume")
    facts = json.loads((run / DONE).read_text(encoding="utf-8"))
    (run / DONE).unlink()
    return facts


def follow(loaded: Loaded, where: servers.Servers) -> None:
    """Lend this server's processes to the first server's run of the same recipe, until it is trained.

    Raises HftError when no such run appears, or its training fails, and KeyboardInterrupt after a Ctrl-C here, which stops all.
    """
    say(f"Server {where.rank + 1} of {where.count}: waiting for the first one's run of {loaded.name} in {runs.root()} ...")
    patience, done = PATIENCE["first"], 0
    while found := servers.called(loaded, where, done, patience):
        run, done = found.run, found.attempt
        plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
        say(f"{run}: training with the other servers; what they say is in {run / heard()}")
        if launch(run, plan["processes"], plan["device"], found.max_steps) == 0:
            say("Trained. The first server writes the results.")
            return
        patience = PATIENCE["again"]
    raise HftError("the training with the other servers ended early" if done else
                   f"no run of {loaded.name} was started by the first server within an hour",
                   f"see what the first server says; both need the same recipe, and one folder of runs (here {runs.root()})")


def launch(run: Path, count: int, device: str, max_steps: int | None) -> int:
    """Start torchrun for this server's share of `count` workers, and wait; returns its exit code."""
    where = servers.here()
    share = count // where.count if where else count
    words = [sys.executable, "-m", "torch.distributed.run", *([] if where else ["--standalone"]), "--nproc-per-node", str(share),
             "-m", "hft.worker", str(run), *([str(max_steps)] if max_steps else [])]
    return wait(words, environment(share, device), run)


def environment(count: int, device: str) -> dict[str, str]:
    """The workers': an even share of the cores, and all the GPUs, of which each takes its own."""
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, machine.cores() // count))),
            "CUDA_VISIBLE_DEVICES": "" if device == "cpu" else ",".join(machine.visible())}


def wait(words: list[str], env: dict[str, str], run: Path) -> int:
    """Run torchrun to its end; a Ctrl-C, SIGTERM or lost terminal asks the workers to save and stop together, a second one ends them.

    Raises KeyboardInterrupt after a second one, and on servers other than the first after one.
    """
    asked = []
    log = run / heard()
    with log.open("w") as said, subprocess.Popen(words, env=env, stderr=said, start_new_session=True,
                                                 preexec_fn=end_with_parent) as process:
        def stop(number, frame):
            if asked:
                process.terminate()  # torchrun ends its workers
            else:
                print("\nStopping after this step; Ctrl-C again stops at once.", flush=True)
                files.write(run / STOP, "")
            asked.append(number)

        before = {number: signal.signal(number, stop) for number in (*STOPS, signal.SIGHUP)}
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    log.write_text(redact.text(log.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
    where = servers.here()
    if len(asked) > 1 or (asked and where and where.rank):
        raise KeyboardInterrupt
    return code


def end_with_parent() -> None:
    """Let Linux send this process a SIGTERM when its parent ends, however that ends: no worker is left behind on a GPU."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
