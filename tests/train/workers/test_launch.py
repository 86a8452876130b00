"""Several training processes: their environment, and real ones on the CPU (gloo) that are stopped, killed and go on, on two servers."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from several import hft, result, until_step, with_gpus

from hft import machine
from hft.train.workers import launch, worker


def test_workers_get_their_share_of_cores_and_all_visible_gpus(monkeypatch):
    with_gpus(monkeypatch, 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 9)
    assert [launch.environment(4, "cuda")[name] for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")] == [
        "2",
        "0,1,2,3",
    ]
    monkeypatch.setattr(machine, "CALLERS_GPUS", "2,3")
    assert launch.environment(2, "cuda")["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert launch.environment(2, "cpu")["CUDA_VISIBLE_DEVICES"] == ""


def test_a_worker_whose_card_is_full_before_the_first_step_says_so(monkeypatch, tmp_path, capsys):
    """Here nothing is left to plan again, as it is for a step."""

    def train(run, max_steps):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.\nand more")

    monkeypatch.setattr(worker, "train", train)
    monkeypatch.setattr(launch, "end_with_parent", lambda: None)
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "0,1"}.items():
        monkeypatch.setenv(name, value)
    assert worker.main(tmp_path, "call", None) == 1
    assert json.loads((tmp_path / launch.failed("call")).read_text()) == {
        "rank": 1,
        "kind": "error",
        "said": "the GPU's memory is full: CUDA out of memory. Tried to allocate 20.00 MiB.",
    }
    assert "Traceback" in capsys.readouterr().err  # for the workers' log


def workers(folder):
    """The process ids of a run's workers."""
    found = subprocess.run(
        ["pgrep", "--full", "python.* -m hft.train.workers.worker"], capture_output=True, text=True
    ).stdout.split()
    mine = [pid for pid in found if Path(f"/proc/{pid}/cwd").resolve() == folder]
    return [int(pid) for pid in mine if b"torch.distributed.run" not in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
def test_two_processes_stopped_killed_and_resumed_on_two_servers_give_the_curve_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    alone = hft(one)
    said, _ = alone.communicate(timeout=400)
    assert alone.returncode == 0, said
    both = ("--processes", "2", "--resume")

    stopped = hft(two, "--processes", "2")
    until_step(two, 1, stopped)
    stopped.send_signal(signal.SIGINT)
    said, _ = stopped.communicate(timeout=120)
    assert stopped.returncode == 130, said
    assert "Stopped; nothing is lost." in said

    killed = hft(two, *both)
    until_step(two, 4, killed)
    [*_, last] = workers(two)
    os.kill(last, signal.SIGKILL)
    said, _ = killed.communicate(timeout=120)
    assert killed.returncode == 1, said
    assert "Error: " in said
    assert "Traceback" not in said
    assert "go on" in said

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    servers = [
        hft(two, *both, PET_NNODES="2", PET_NODE_RANK=str(rank), PET_MASTER_ADDR="127.0.0.1", PET_MASTER_PORT=port)
        for rank in (0, 1)
    ]
    for server in servers:
        said, _ = server.communicate(timeout=400)
        assert server.returncode == 0, said
    assert "Trained. The first server writes the results." in said
    (single, reference), (double, losses) = result(one), result(two)
    assert double["plan"]["processes"] == 2
    assert double["data"]["tokens_in_order"] == single["data"]["tokens_in_order"]
    assert losses == pytest.approx(reference, abs=2e-5)
    assert double["training"]["steps"] == 8
