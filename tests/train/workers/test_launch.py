"""Several training processes: their environment, and real ones on the CPU (gloo).

They are stopped, killed and go on, on two servers.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from several import hft, result, until_step, with_gpus

from hft import machine
from hft.errors import HftError
from hft.train.stopping import STOP
from hft.train.trainer import OutOfMemory
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
    assert json.loads((tmp_path / launch.reason_file("call")).read_text()) == {
        "rank": 1,
        "kind": "error",
        "said": "the GPU's memory is full: CUDA out of memory. Tried to allocate 20.00 MiB.",
    }
    assert "Traceback" in capsys.readouterr().err  # for the workers' log


def of_workers(run, code, reason=None, said=""):
    """A torchrun that ends with this exit code, and workers that leave this behind."""

    def launch_nothing(run, call, *others, leads):
        (run / "workers.log").write_text(said)
        if reason:
            (run / launch.reason_file(call)).write_text(json.dumps(reason))
        elif not code:
            (run / launch.DONE).write_text('{"steps": 3}')
        return code

    return launch_nothing


@pytest.mark.parametrize(
    ("code", "reason", "said", "error", "problem"),
    [
        (1, {"kind": "memory", "rank": 1, "said": ""}, "", OutOfMemory, "^$"),
        (1, {"kind": "stopped", "rank": 0, "said": ""}, "", KeyboardInterrupt, "^$"),
        (1, {"kind": "error", "rank": 1, "said": "no row"}, "", HftError, "worker 1 of 2 failed: no row"),
        (1, None, "1/2 clients joined", HftError, "the other servers did not come within torchrun's 15 minutes"),
        (1, None, "", HftError, "a worker of 2 was killed: see "),
    ],
)
def test_why_workers_ended_early(monkeypatch, tmp_path, code, reason, said, error, problem):
    monkeypatch.setattr(launch, "launch", of_workers(tmp_path, code, reason, said))
    with pytest.raises(error, match=problem):
        launch.fit(tmp_path, 2, "cpu", None)
    assert list(tmp_path.glob("failed-*.json")) == []


def test_what_the_workers_trained_is_taken_over(monkeypatch, tmp_path):
    (tmp_path / launch.reason_file("before")).write_text("{}")
    (tmp_path / "stop").touch()
    monkeypatch.setattr(launch, "launch", of_workers(tmp_path, 0))
    assert launch.fit(tmp_path, 2, "cpu", None) == {"steps": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["workers.log"]


def test_what_workers_say_is_kept_and_the_exit_code_returned(tmp_path):
    words = [sys.executable, "-c", "import sys; print('to the log', file=sys.stderr); sys.exit(3)"]
    assert launch.wait(words, dict(os.environ), tmp_path, lambda: None) == 3
    assert (tmp_path / "workers.log").read_text() == "to the log\n"


def test_a_ctrl_c_asks_the_workers_to_stop_and_a_second_one_ends_them(tmp_path, capfd):
    before = signal.getsignal(signal.SIGINT)
    words = [sys.executable, "-c", "import signal; signal.pause()"]

    def beat():
        os.kill(os.getpid(), signal.SIGINT)
        assert (tmp_path / STOP).exists()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        launch.wait(words, dict(os.environ), tmp_path, beat)
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr().out.count("Stopping after this step") == 1


def workers(folder):
    """The process ids of a run's workers."""
    listed = subprocess.run(
        ["pgrep", "--full", "python.* -m hft.train.workers.worker"], capture_output=True, text=True
    ).stdout.split()
    mine = [pid for pid in listed if Path(f"/proc/{pid}/cwd").resolve() == folder]
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
