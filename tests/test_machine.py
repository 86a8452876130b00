"""What a machine has, and what of it this process may use."""

import subprocess
from types import SimpleNamespace

import pytest

from hft import machine
from hft.machine import Gpu, Machine

SMALL, LARGE = Gpu("RTX 4090", 24.0, "580.1", "8.9"), Gpu("H100", 79.6, "580.1", "9.0")
ALL = Machine([SMALL, LARGE], 8, 64.0, "a CPU")


@pytest.mark.parametrize(
    ("callers", "gpus"),
    [(None, [SMALL, LARGE]), ("1", [LARGE]), ("1,0", [LARGE, SMALL]), ("", []), ("GPU-5e1f", [SMALL]), ("7", [SMALL])],
)
def test_a_usable_machine_has_the_gpus_that_the_caller_named(monkeypatch, callers, gpus):
    monkeypatch.setattr(machine, "CALLERS_GPUS", callers)
    monkeypatch.setattr(machine, "look", lambda: ALL)
    assert machine.usable() == Machine(gpus, 8, 64.0, "a CPU")
    assert machine.cards() == gpus


@pytest.fixture
def looked(monkeypatch):
    """Look again, with this answer or failure of nvidia-smi; returns the GPUs."""

    def look(answer):
        def run(*words, **options):
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(stdout=answer)

        monkeypatch.setattr(machine.subprocess, "run", run)
        return machine.look.__wrapped__().gpus

    return look


@pytest.mark.parametrize(
    ("answer", "gpus"),
    [
        ("H100, 81559, 580.1, 9.0\n", [Gpu("H100", 81559 / 1024, "580.1", "9.0")]),
        ("", []),
        ("Failed to initialize NVML: Driver/library version mismatch\n", []),
        ("GB10, [N/A], 580.1, 12.1\n", []),
        (FileNotFoundError("nvidia-smi"), []),
        (subprocess.TimeoutExpired("nvidia-smi", 30), []),
    ],
)
def test_what_nvidia_smi_says_is_read(looked, answer, gpus):
    assert looked(answer) == gpus


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), (None, 4)])
def test_a_containers_quota_limits_the_cores(monkeypatch, tmp_path, quota, cores):
    file = tmp_path / "cpu.max"
    if quota:
        file.write_text(quota)
    monkeypatch.setattr(machine, "Path", lambda path: file)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    assert machine.cores() == cores
