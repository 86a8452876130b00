"""A Ctrl-C, or a stop from outside, becomes a checkpoint after the step at hand; several processes stop together."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

STOP = "stop"  # a file in the run folder that asks several training processes to stop together
STOPS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what `docker stop` sends


class Stopping:
    """Whether to stop after this step: after a signal, or where several processes were asked by the file STOP."""

    def __init__(self, run: Path, several: bool):
        self.run, self.several = run, several
        self.interrupted = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        if not self.several:  # else the process that started them hears the signals
            try:
                self.before = {number: signal.signal(number, self.interrupt) for number in STOPS}
            except ValueError:  # not in the main thread, as under some test runners
                self.before = {}
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ask for a stop; the second time it stops at once."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        print("\nStopping after this step; Ctrl-C again stops at once.", flush=True)

    def agreed(self) -> bool:
        """True when training is to stop after this step: every process must call it once a step, and hears the same."""
        if self.several:
            self.interrupted = agree((self.run / STOP).exists())
        return self.interrupted


def agree(asked: bool) -> bool:
    """What the first of several processes says: all stop in the same step."""
    import torch
    import torch.distributed as dist

    first_says = torch.tensor([float(asked)], device="cuda" if torch.cuda.is_available() else "cpu")
    dist.broadcast(first_says, 0)
    return bool(first_says.item())


def wait_for_all() -> None:
    """Wait until every process is here."""
    import torch.distributed as dist

    dist.barrier()
