"""What a machine has, and what of it this process may use."""

import subprocess
from types import SimpleNamespace

import pytest

from hft import machine
from hft.machine import Gpu, Machine, Use

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


NOTHING, MUCH = Use(0, 0.0, 24.0, ""), Use(1, 64.0, 79.6, "python (pid 123, 63.4 GiB)")


@pytest.mark.parametrize(
    ("callers", "uses"),
    [(None, (NOTHING, MUCH)), ("1", (MUCH,)), ("1,0", (MUCH, NOTHING)), ("GPU-5e1f", ()), ("", ())],
)
def test_the_use_of_the_gpus_that_the_caller_named(monkeypatch, callers, uses):
    monkeypatch.setattr(machine, "CALLERS_GPUS", callers)
    monkeypatch.setattr(machine, "look", lambda: ALL._replace(uses=(NOTHING, MUCH)))
    assert machine.usable().uses == uses


@pytest.fixture
def looked(monkeypatch):
    """Look again, with these answers or failures of nvidia-smi: of the GPUs, of the processes; returns what was seen.

    And the queries that were made.
    """

    def look(*answers):
        queries = []

        def run(command, **options):
            queries.append(command[1])
            answer = answers[len(queries) - 1]
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(stdout=answer)

        monkeypatch.setattr(machine.subprocess, "run", run)
        return machine.look.__wrapped__(), queries

    return look


GPUS = "--query-gpu=name,memory.total,driver_version,compute_cap,memory.free,uuid"
PROCESSES = "--query-compute-apps=gpu_uuid,pid,used_memory,process_name"


@pytest.mark.parametrize(
    ("answer", "gpus"),
    [
        ("H100, 81559, 580.1, 9.0, 81008, GPU-a\n", [Gpu("H100", 81559 / 1024, "580.1", "9.0")]),
        ("", []),
        ("Failed to initialize NVML: Driver/library version mismatch\n", []),
        ("GB10, [N/A], 580.1, 12.1, [N/A], GPU-a\n", []),
        (
            "H100, 81559, 580.1, 9.0, [Insufficient Permissions], GPU-a\n",
            [Gpu("H100", 81559 / 1024, "580.1", "9.0")],
        ),
        (
            "H100, 81559, 580.1, 9.0, 80100, GPU-a\n",  # a display
            [Gpu("H100", 81559 / 1024, "580.1", "9.0")],
        ),
        (FileNotFoundError("nvidia-smi"), []),
        (subprocess.TimeoutExpired("nvidia-smi", 30), []),
    ],
)
def test_what_nvidia_smi_says_is_read(looked, answer, gpus):
    seen, queries = looked(answer)
    assert (seen.gpus, seen.uses, queries) == (gpus, (), [GPUS])


BUSY = "RTX 4090, 24576, 580.1, 8.9, 24100, GPU-a\nH100, 81920, 580.1, 9.0, 15360, GPU-b\n"


@pytest.mark.parametrize(
    ("processes", "by"),
    [
        ("GPU-b, 123, 64922, /usr/bin/python3\n", "python3 (pid 123, 63.4 GiB)"),
        (
            "GPU-a, 7, 300, Xorg\nGPU-b, 123, 40960, python train.py, --token=abc\nGPU-b, 9, 23552, VLLM::EngineCore\n",
            "python (pid 123, 40.0 GiB), VLLM::EngineCore (pid 9, 23.0 GiB)",
        ),
        ("GPU-b, 123, [N/A], [Not Found]\n", "another process (pid 123)"),
        ("GPU-b, 123, 1024, \x1b[31mred\n", "[31mred (pid 123, 1.0 GiB)"),
        ("GPU-b, 123, 1024, \n", "another process (pid 123, 1.0 GiB)"),
        ("", "another process"),
        ("No devices were found\n", "another process"),
        ('Field "process_name" is not a valid field to query.\n', "another process"),
        (subprocess.TimeoutExpired("nvidia-smi", 30), "another process"),
    ],
)
def test_who_uses_a_card_is_named(looked, processes, by):
    seen, queries = looked(BUSY, processes)
    assert seen.uses == (Use(0, 0.0, 24.0, ""), Use(1, 64.4, 80.0, by))
    assert [use.free for use in seen.uses] == [24.0, 15.6]
    assert queries == [GPUS, PROCESSES]


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), (None, 4)])
def test_a_containers_quota_limits_the_cores(monkeypatch, tmp_path, quota, cores):
    file = tmp_path / "cpu.max"
    if quota:
        file.write_text(quota)
    monkeypatch.setattr(machine, "Path", lambda path: file)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    assert machine.cores() == cores
