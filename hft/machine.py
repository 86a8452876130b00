"""What this machine has, found without importing torch."""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

CALLERS_GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")  # before hft keeps to one of them


class Gpu(NamedTuple):
    """One card, as nvidia-smi names it."""

    name: str
    memory: float  # GiB
    driver: str
    capability: str  # such as 9.0


class Machine(NamedTuple):
    """The hardware that a plan is made for."""

    gpus: list[Gpu]
    cores: int
    memory: float  # GiB
    cpu: str


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
    gpus, names = look().gpus, visible()
    known = all(name.isdigit() and int(name) < len(gpus) for name in names)
    return [gpus[int(name)] for name in names] if known else gpus[: len(names)]


def usable() -> Machine:
    """The machine with the GPUs that this process may use, instead of all that it has."""
    return look()._replace(gpus=cards())


@functools.cache
def look() -> Machine:
    """Ask nvidia-smi and /proc; a machine without a driver has no GPUs."""
    command = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,driver_version,compute_cap",
        "--format=csv,noheader,nounits",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    rows = [line.split(", ") for line in answer.splitlines() if line.count(", ") == 3]
    gpus = [
        Gpu(name, float(mib) / 1024, driver, capability)
        for name, mib, driver, capability in rows
        if mib.replace(".", "").isdigit()
    ]
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace") if Path("/proc/cpuinfo").exists() else ""
    cpu = next(
        (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(gpus, cores(), round(memory, 1), cpu)
