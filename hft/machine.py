"""What this machine has, found without importing torch."""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

CALLERS_GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")  # before hft keeps to one of them
HELD = 0.6  # GiB that the driver keeps of a card that nothing uses: 0.3 to 0.7 on cards from 24 to 140 GiB
SMALL = 1.0  # GiB that others may hold without a word: a display


class Gpu(NamedTuple):
    """One card, as nvidia-smi names it."""

    name: str
    memory: float  # GiB
    driver: str
    capability: str  # such as 9.0


class Use(NamedTuple):
    """What other processes hold of a card at this moment: no fact of the machine, so no passport lists it."""

    gpu: int  # by nvidia-smi's number
    gib: float
    of: float  # GiB of the card
    by: str  # such as python (pid 123, 63.4 GiB)

    @property
    def free(self) -> float:
        """GiB that are left."""
        return round(max(0.0, self.of - self.gib), 1) if self.gib else self.of


class Machine(NamedTuple):
    """The hardware that a plan is made for."""

    gpus: list[Gpu]
    cores: int
    memory: float  # GiB
    cpu: str
    uses: tuple[Use, ...] = ()  # of each GPU, when this process first looked; empty where nothing is known of it


def cores() -> int:
    """Cores this process may use: the affinity mask, or less where a container's CPU quota is less."""
    count = len(os.sched_getaffinity(0))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        allowed, period = quota.read_text().split()
        if allowed != "max":
            count = min(count, max(1, int(allowed) // int(period)))
    return count


def visible() -> list[str]:
    """The GPUs that this process may use: what CUDA_VISIBLE_DEVICES named when it began, else all."""
    if CALLERS_GPUS is None:
        return [str(number) for number in range(len(look().gpus))]
    return [name for name in CALLERS_GPUS.split(",") if name]


def cards() -> list[Gpu]:
    """Those GPUs; where they are not named by number, as many of all."""
    return usable().gpus


def usable() -> Machine:
    """The machine with the GPUs that this process may use, instead of all that it has.

    Where they are not named by number, as many of all, and nothing is known of their use.
    """
    here, names = look(), visible()
    if not all(name.isdigit() and int(name) < len(here.gpus) for name in names):
        return here._replace(gpus=here.gpus[: len(names)], uses=())
    places = [int(name) for name in names]
    uses = tuple(here.uses[place] for place in places) if here.uses else ()
    return here._replace(gpus=[here.gpus[place] for place in places], uses=uses)


@functools.cache
def look() -> Machine:
    """Ask nvidia-smi and /proc, once, before this process takes memory; without a driver there are no GPUs."""
    answer = ask("gpu=name,memory.total,driver_version,compute_cap,memory.free,uuid")
    rows = [row for row in (line.split(", ") for line in answer) if len(row) == 6 and is_number(row[1])]
    gpus = [Gpu(name, float(mib) / 1024, driver, capability) for name, mib, driver, capability, *_ in rows]
    free = [float(row[4]) / 1024 if is_number(row[4]) else None for row in rows]
    uses = in_use([gpu.memory for gpu in gpus], free, [row[5] for row in rows])
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace") if Path("/proc/cpuinfo").exists() else ""
    cpu = next(
        (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(gpus, cores(), round(memory, 1), cpu, uses)


def ask(query: str) -> list[str]:
    """The lines of nvidia-smi's answer, with sizes in MiB; none without a driver, or where it is not understood."""
    command = ["nvidia-smi", f"--query-{query}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines()


def is_number(text: str) -> bool:
    """Whether nvidia-smi knows a size: where it does not, it writes [N/A] or [Insufficient Permissions]."""
    return text.replace(".", "", 1).isdigit()


def in_use(memory: list[float], free: list[float | None], uuids: list[str]) -> tuple[Use, ...]:
    """What others hold of each of these cards, and who; the processes are asked for only where it is more than SMALL.

    Empty where no card is in use.
    """
    taken = [0.0 if left is None else size - left - HELD for size, left in zip(memory, free, strict=True)]
    if all(gib < SMALL for gib in taken):
        return ()
    processes = ask("compute-apps=gpu_uuid,pid,used_memory,process_name")
    return tuple(
        Use(number, round(gib, 1), size, names(processes, uuid)) if gib >= SMALL else Use(number, 0.0, size, "")
        for number, (gib, size, uuid) in enumerate(zip(taken, memory, uuids, strict=True))
    )


def names(processes: list[str], uuid: str) -> str:
    """Who uses a card, by nvidia-smi's lines: program, number and GiB; a container does not see who is outside."""
    told = []
    for line in processes:
        card, pid, mib, path = (line.split(", ", 3) + [""] * 3)[:4]
        if card == uuid and pid.isdigit():
            # arguments and escape codes of another user's program are nothing for this terminal
            program = "".join(filter(str.isprintable, Path((path.split() or [""])[0]).name))[:40]
            name = program if program and not path.startswith("[") else "another process"
            told.append(f"{name} (pid {pid}" + (f", {float(mib) / 1024:.1f} GiB)" if is_number(mib) else ")"))
    return ", ".join(told) or "another process"
