"""Training on several GPUs: torchrun starts a worker for each, and this process waits for them."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from hft import files, machine, redact
from hft.errors import HftError
from hft.methods.training import OutOfMemory
from hft.methods.watch import STOP, STOPS

DONE, FAILED = "trained.json", "failed.json"  # what the first worker, and the first one that failed, leave in the run folder
HEARD = "workers.log"  # what torchrun and the workers say on standard error


def fit(run: Path, count: int, device: str, max_steps: int | None) -> dict:
    """Train in `count` worker processes on this machine; returns what the passport keeps of training.

    Raises OutOfMemory when a worker's card was too small, KeyboardInterrupt after a Ctrl-C, and HftError when a worker failed.
    """
    for name in (DONE, FAILED, STOP):
        (run / name).unlink(missing_ok=True)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m", "hft.worker",
             str(run)]
    code = wait([*words, *([str(max_steps)] if max_steps else [])], environment(count, device), run)
    if (run / FAILED).exists():
        failed = json.loads((run / FAILED).read_text(encoding="utf-8"))
        for name in (FAILED, STOP):
            (run / name).unlink(missing_ok=True)
        if failed["kind"] == "memory":
            raise OutOfMemory
        if failed["kind"] == "stopped":
            raise KeyboardInterrupt
        raise HftError(f"worker {failed['rank']} of {count} failed: {failed['said']} (all of it: {run / HEARD})",
                       f"mend it and go on: hft train {run.parent.name} --resume")
    if code or not (run / DONE).exists():
        raise HftError(f"a worker of {count} was killed: see {run / HEARD}",
                       f"go on from the last checkpoint: hft train {run.parent.name} --resume")
    facts = json.loads((run / DONE).read_text(encoding="utf-8"))
    (run / DONE).unlink()
    return facts


def environment(count: int, device: str) -> dict[str, str]:
    """The workers': an even share of the cores, and all the GPUs, of which each takes its own."""
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, machine.cores() // count))),
            "CUDA_VISIBLE_DEVICES": "" if device == "cpu" else ",".join(machine.visible())}


def wait(words: list[str], env: dict[str, str], run: Path) -> int:
    """Run torchrun to its end; a Ctrl-C, SIGTERM or lost terminal asks the workers to save and stop together, a second one ends them.

    Raises KeyboardInterrupt after a second one.
    """
    asked = []
    with (run / HEARD).open("w") as heard, subprocess.Popen(words, env=env, stderr=heard, start_new_session=True,
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
    (run / HEARD).write_text(redact.text((run / HEARD).read_text(encoding="utf-8", errors="replace")), encoding="utf-8")
    if len(asked) > 1:
        raise KeyboardInterrupt
    return code


def end_with_parent() -> None:
    """Let Linux send this process a SIGTERM when its parent ends, however that ends: no worker is left behind on a GPU."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
