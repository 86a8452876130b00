"""One of several training processes, as torchrun starts it; the first one writes.

`python -m hft.train.workers.worker RUN CALL [MAX_STEPS]`
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

from hft import errors, files, libraries, redact, terminal
from hft.data import rows
from hft.errors import HftError
from hft.plan.plan import Plan
from hft.runs import passport, stages
from hft.train.trainer import OutOfMemory
from hft.train.workers import launch


def main(run: Path, call: str, max_steps: int | None) -> int:
    """Train this process's share; returns the exit code."""
    launch.end_with_parent()
    rank, gpus = int(os.environ["RANK"]), os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[int(os.environ["LOCAL_RANK"]) % len(gpus)]
    os.environ["LOCAL_RANK"] = "0"  # of the one GPU that this process sees
    try:
        with contextlib.nullcontext() if rank == 0 else contextlib.redirect_stdout(io.StringIO()):
            facts = train(run, max_steps)
    except OutOfMemory:
        return leave_reason(run, call, rank, "memory")
    except KeyboardInterrupt:
        return leave_reason(run, call, rank, "stopped")
    except Exception as problem:
        import traceback

        traceback.print_exc()
        known = problem if isinstance(problem, HftError) else errors.of_memory(problem)  # full while it loads the model
        reason = known.problem if known else f"{type(problem).__name__}: {problem}"
        return leave_reason(run, call, rank, "error", reason)
    if rank == 0:
        files.write_json(run / launch.DONE, facts)
    return 0


def train(run: Path, max_steps: int | None) -> dict:
    """Train as the run's own recipe and plan say; returns what the passport keeps of training."""
    from hft.train import session

    libraries.quiet()
    loaded = stages.of_recipe(run)
    plan = Plan(**json.loads((run / "plan.json").read_text(encoding="utf-8")))
    with terminal.to(run / "log.txt"):
        prepared = session.prepare(loaded, plan, rows.read(loaded))
        passport.same_data(run, loaded, prepared)  # another server may hold another copy
        return session.fit(run, session.open_model(loaded, plan, prepared, run), max_steps)


def leave_reason(run: Path, call: str, rank: int, kind: str, reason: str = "") -> int:
    """Say why to the process that waits, unless another worker was first: its failure made the others fail."""
    draft = run / f".failed-{call}.{rank}"
    draft.write_text(json.dumps({"rank": rank, "kind": kind, "said": redact.text(reason)}), encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(draft, run / launch.reason_file(call))  # whole, and only the first one's
    draft.unlink()
    return 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None))
