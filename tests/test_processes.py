"""Several training processes: their environment, and real ones on the CPU (gloo) that are stopped, killed and go on, on two servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from hft import machine, processes, worker
from hft.machine import Gpu, Machine

SETTINGS = ("train.batch_size=4", "train.steps=8", "data.train.sample=40", "data.evaluate=null", "export.formats=[]")
WORDS = ["train", "quickstart", "--save-every", "1", "--backend", "plain", *(word for one in SETTINGS for word in ("--set", one))]


H100 = Gpu("NVIDIA H100", 79.6, "580.1", "9.0")


def with_gpus(monkeypatch, count, card=H100):
    monkeypatch.setattr(machine, "CALLERS_GPUS", None)
    monkeypatch.setattr(machine, "look", lambda: Machine([card] * count, 8, 64.0, "a CPU", True))


def test_workers_get_their_share_of_cores_and_all_visible_gpus(monkeypatch):
    with_gpus(monkeypatch, 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 9)
    assert [processes.environment(4, "cuda")[name] for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")] == ["2", "0,1,2,3"]
    monkeypatch.setattr(machine, "CALLERS_GPUS", "2,3")
    assert processes.environment(2, "cuda")["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert processes.environment(2, "cpu")["CUDA_VISIBLE_DEVICES"] == ""


def test_a_worker_whose_card_is_full_before_the_first_step_says_so(monkeypatch, tmp_path, capsys):
    """Here nothing is left to plan again, as it is for a step."""
    def train(run, max_steps):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.\nand more")

    monkeypatch.setattr(worker, "train", train)
    monkeypatch.setattr(processes, "end_with_parent", lambda: None)
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "0,1"}.items():
        monkeypatch.setenv(name, value)
    assert worker.main(tmp_path, "call", None) == 1
    assert json.loads((tmp_path / processes.failed("call")).read_text()) == {
        "rank": 1, "kind": "error", "said": "the GPU's memory is full: CUDA out of memory. Tried to allocate 20.00 MiB."}
    assert "Traceback" in capsys.readouterr().err  # for the workers' log


def hft(folder, *options, path=(), **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HFT_") or name == "HFT_CACHE"} | variables
    return subprocess.Popen([sys.executable, "-m", "hft", *WORDS, *options], cwd=folder, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env={**environment, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path)))})


def until_step(folder, step, process):
    """Wait for a sealed checkpoint; fails when the process ends before."""
    while not list(folder.glob(f"runs/quickstart/2*/checkpoints/checkpoint-{step}/sealed.json")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)


def result(folder):
    [run] = (folder / "runs" / "quickstart").glob("2*")
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    return json.loads((run / "passport.json").read_text()), losses


def workers(folder):
    """The process ids of a run's workers."""
    found = subprocess.run(["pgrep", "--full", "python.* -m hft.worker"], capture_output=True, text=True).stdout.split()
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
    servers = [hft(two, *both, PET_NNODES="2", PET_NODE_RANK=str(rank), PET_MASTER_ADDR="127.0.0.1", PET_MASTER_PORT=port)
               for rank in (0, 1)]
    for server in servers:
        said, _ = server.communicate(timeout=400)
        assert server.returncode == 0, said
    assert "Trained. The first server writes the results." in said
    (single, reference), (double, losses) = result(one), result(two)
    assert double["plan"]["processes"] == 2
    assert double["data"]["tokens_in_order"] == single["data"]["tokens_in_order"]
    assert losses == pytest.approx(reference, abs=2e-5)
    assert double["training"]["steps"] == 8
