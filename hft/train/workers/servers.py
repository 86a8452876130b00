"""Training on several servers: torchrun's rendezvous, from its own environment variables.

They share the folder of runs. The first server makes the run, asks and writes; the others lend it their processes.
"""

import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from hft import files
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.runs import folder as runs

PAUSE = 0.5  # seconds between two looks for a call
CALL = "servers.json"  # what the first server leaves in the run folder while its torchrun waits for the others


class Servers(NamedTuple):
    """This server among those that train together."""

    count: int
    rank: int
    name: str  # of the rendezvous


def here() -> Servers | None:
    """What PET_NNODES, PET_NODE_RANK and PET_MASTER_ADDR say; None where one server trains.

    Raises HftError for half of them.
    """
    count = os.environ.get("PET_NNODES") or "1"
    if count == "1":
        return None
    told = {name: os.environ.get(name, "") for name in ("PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT")}
    if missing := [name for name, value in told.items() if not value]:
        raise HftError(
            f"PET_NNODES={count} asks for several servers, but {missing[0]} is not set",
            "each server needs PET_NNODES, PET_NODE_RANK (0, 1, ...), PET_MASTER_ADDR and PET_MASTER_PORT "
            "(of the first)",
        )
    if not (count.isdigit() and told["PET_NODE_RANK"].isdigit() and int(told["PET_NODE_RANK"]) < int(count)):
        raise HftError(
            f"PET_NNODES={count} and PET_NODE_RANK={told['PET_NODE_RANK']} name no server", "servers count from 0"
        )
    address = f"{told['PET_MASTER_ADDR']}:{told['PET_MASTER_PORT']}"
    return Servers(int(count), int(told["PET_NODE_RANK"]), os.environ.get("PET_RDZV_ID") or address)


class Call(NamedTuple):
    """The first server's: which run, which of its trainings, where training stops."""

    run: Path
    call: str
    max_steps: int | None


def call(run: Path, call: str, max_steps: int | None) -> None:
    """Let the other servers start their workers for this run; repeated while torchrun runs, as a sign of life."""
    if where := here():
        files.write_json(run / CALL, {"name": where.name, "call": call, "max_steps": max_steps, "beat": time.time()})


def dismiss(run: Path) -> None:
    """Take the call back."""
    (run / CALL).unlink(missing_ok=True)


def called(loaded: Loaded, where: Servers, after: set[str], patience: float) -> Call | None:
    """What the first server calls for, but for the calls in `after`; None without a call in `patience` seconds.

    A call counts once it is repeated: one that a killed server left behind never is.
    """
    end = time.monotonic() + patience
    beats: dict[str, float] = {}  # of each call, when it was first seen
    while time.monotonic() < end:
        for run in runs.every(loaded.name):
            if not run.name.endswith(loaded.digest[:12]):
                continue
            try:
                told = json.loads((run / CALL).read_text(encoding="utf-8"))
            except (OSError, ValueError):  # not yet
                continue
            if told["name"] != where.name or told["call"] in after:
                continue
            if beats.setdefault(told["call"], told["beat"]) != told["beat"]:
                return Call(run, told["call"], told["max_steps"])
        time.sleep(PAUSE)
    return None
