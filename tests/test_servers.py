"""Several servers: who this one is, and how the others find the first one's run. Real ones are in test_processes.py."""

import json
import threading

import pytest

from hft import plan, processes, recipe_file, runs, servers
from hft.errors import HftError

TOLD = {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "10.0.0.1", "PET_MASTER_PORT": "29500"}


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Set torchrun's variables: this is the second of two servers, but for what is given."""
    monkeypatch.setenv("HFT_RUNS", str(tmp_path))

    def tell(**changes):
        for name, value in {**TOLD, **changes}.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)

    tell()
    return tell


def test_who_this_server_is(told):
    assert servers.here() == (2, 1, "10.0.0.1:29500")
    told(PET_NODE_RANK="0", PET_RDZV_ID="job-7")
    assert servers.here() == (2, 0, "job-7")
    told(PET_NNODES="1")
    assert servers.here() is None
    told(PET_NNODES="")
    assert servers.here() is None


@pytest.mark.parametrize(("changes", "said"), [
    ({"PET_NODE_RANK": ""}, "PET_NNODES=2 asks for several servers, but PET_NODE_RANK is not set"),
    ({"PET_MASTER_PORT": ""}, "PET_NNODES=2 asks for several servers, but PET_MASTER_PORT is not set"),
    ({"PET_NODE_RANK": "2"}, "PET_NNODES=2 and PET_NODE_RANK=2 name no server"),
    ({"PET_NNODES": "1:2"}, "PET_NNODES=1:2 and PET_NODE_RANK=1 name no server")])
def test_half_of_the_variables_is_an_error(told, changes, said):
    told(**changes)
    with pytest.raises(HftError, match=said):
        servers.here()


@pytest.mark.parametrize(("wanted", "made"), [(None, 2), ("all", 2), ("8", 8)])
def test_a_plan_counts_the_processes_of_all_servers(told, monkeypatch, wanted, made):
    monkeypatch.delenv("HFT_PROCESSES", raising=False)
    assert plan.make(recipe_file.load("quickstart").recipe, device="cpu", processes=wanted).processes == made


@pytest.mark.parametrize(("recipe", "wanted", "said"), [
    ("quickstart", "1", "--processes: 1 processes cannot be shared evenly by 2 servers"),
    ("grpo_quickstart", None, "method: grpo trains on one GPU")])
def test_what_servers_cannot_share(told, recipe, wanted, said):
    with pytest.raises(HftError, match=said):
        plan.make(recipe_file.load(recipe).recipe, device="cpu", processes=wanted)


def test_each_server_starts_its_share_without_a_rendezvous_of_our_own(told, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(processes, "wait", lambda words, env, run: started.append(words[3:]) or 0)
    assert processes.launch(tmp_path, 8, "cpu", 5) == 0
    told(PET_NNODES="1")
    processes.launch(tmp_path, 8, "cpu", None)
    assert started == [["--nproc-per-node", "4", "-m", "hft.worker", str(tmp_path), "5"],
                       ["--standalone", "--nproc-per-node", "8", "-m", "hft.worker", str(tmp_path)]]


def test_the_others_find_the_run_that_the_first_one_calls_for(told, monkeypatch):
    loaded = recipe_file.load("quickstart")
    where = servers.here()
    old, new = runs.root() / "quickstart" / f"1-{loaded.digest[:12]}", runs.root() / "quickstart" / f"2-{loaded.digest[:12]}"
    for run in (old, new, runs.root() / "quickstart" / "3-another"):
        run.mkdir(parents=True)
        servers.call(run, 1, None)
    servers.dismiss(new)
    assert servers.called(loaded, where, 0, 0.1) is None  # the old run's call is stale
    threading.Timer(0.2, servers.call, (new, 2, 7)).start()
    assert servers.called(loaded, where, 1, 10) == (new, 2, 7)
    assert servers.called(loaded, where, 2, 0.1) is None
    (new / servers.CALL).write_text(json.dumps({"name": "another job", "attempt": 9, "max_steps": None}))
    assert servers.called(loaded, where, 0, 0.1) is None


def test_a_server_that_is_not_called_says_so(told, monkeypatch, invoke):
    monkeypatch.setattr(processes, "PATIENCE", {"first": 0.1, "again": 0.1})
    done = invoke("train", "quickstart")
    assert done.exit_code == 1
    assert "Server 2 of 2: waiting for the first one's run of quickstart" in done.output
    assert "no run of quickstart was started by the first server within an hour" in done.output
