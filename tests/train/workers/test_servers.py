"""Several servers: who this one is, and how the others find the first one's run. Real ones are in test_launch.py."""

import json
import threading

import pytest
from planning import make, wish

from hft.errors import HftError
from hft.plan.wishes import kept
from hft.recipe import file as recipe_file
from hft.runs import folder as runs
from hft.train.workers import launch, servers

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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PET_NODE_RANK": ""}, "PET_NNODES=2 asks for several servers, but PET_NODE_RANK is not set"),
        ({"PET_MASTER_PORT": ""}, "PET_NNODES=2 asks for several servers, but PET_MASTER_PORT is not set"),
        ({"PET_NODE_RANK": "2"}, "PET_NNODES=2 and PET_NODE_RANK=2 name no server"),
        ({"PET_NNODES": "1:2"}, "PET_NNODES=1:2 and PET_NODE_RANK=1 name no server"),
    ],
)
def test_half_of_the_variables_is_an_error(told, changes, said):
    told(**changes)
    with pytest.raises(HftError, match=said):
        servers.here()


@pytest.mark.parametrize(("wanted", "made"), [(None, 2), ("all", 2), ("8", 8)])
def test_a_plan_counts_the_processes_of_all_servers(monkeypatch, wanted, made):
    monkeypatch.delenv("HFT_PROCESSES", raising=False)
    assert make(recipe_file.load("quickstart").recipe, device="cpu", servers=2, processes=wanted).processes == made


def test_only_training_asks_which_servers_there_are(told):
    """Asking a finished run again, or exporting it, is one server's work; half of the variables do not disturb it."""
    told(PET_NODE_RANK="")
    assert make(recipe_file.load("grpo_quickstart").recipe, device="cpu").processes == 1


@pytest.mark.parametrize(("before", "processes"), [(1, None), (2, "2"), (3, None), (4, "4")])
def test_a_run_begun_on_one_server_goes_on_with_two(before, processes):
    wished = kept({"processes": before, "rows_per_device": 4, "backend": "plain"}, wish(servers=2))
    assert (wished.processes, wished.backend) == (processes, "plain")


@pytest.mark.parametrize(
    ("recipe", "wanted", "said"),
    [
        ("quickstart", "1", "--processes: 1 processes cannot be shared evenly by 2 servers"),
        ("grpo_quickstart", None, "method: grpo trains on one GPU"),
    ],
)
def test_what_servers_cannot_share(recipe, wanted, said):
    with pytest.raises(HftError, match=said):
        make(recipe_file.load(recipe).recipe, device="cpu", servers=2, processes=wanted)


def test_each_server_starts_its_share_without_a_rendezvous_of_our_own(told, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(launch, "wait", lambda words, env, run, beat: started.append(words[3:]) or beat() or 0)
    assert launch.launch(tmp_path, "7", 8, "cpu", 5) == 0
    assert not (tmp_path / servers.CALL).exists()  # only the first server calls
    launch.launch(tmp_path, "7", 8, "cpu", 5, leads=True)
    said = json.loads((tmp_path / servers.CALL).read_text())
    assert (said["name"], said["call"], said["max_steps"]) == ("10.0.0.1:29500", "7", 5)
    told(PET_NNODES="1")
    launch.launch(tmp_path, "8", 8, "cpu", None)
    share = ["--nproc-per-node", "4", "-m", "hft.train.workers.worker", str(tmp_path), "7", "5"]
    assert started == [
        share,
        share,
        ["--standalone", "--nproc-per-node", "8", "-m", "hft.train.workers.worker", str(tmp_path), "8"],
    ]


@pytest.fixture
def folders(told, monkeypatch):
    """(recipe, two runs of it, oldest first), and one of another recipe's digest."""
    monkeypatch.setattr(servers, "PAUSE", 0.03)
    loaded = recipe_file.load("quickstart")
    names = (f"1-{loaded.digest[:12]}", f"2-{loaded.digest[:12]}", "3-another")
    made = [runs.root() / "quickstart" / name for name in names]
    for run in made:
        run.mkdir(parents=True)
    return loaded, *made


def beat(run, call, times=100):
    """Call as a first server does that lives for so many beats of a twentieth of a second."""
    over = threading.Event()

    def go_on():
        for _ in range(times):
            servers.call(run, call, 7)
            if over.wait(0.05):
                return

    threading.Thread(target=go_on, daemon=True).start()
    return over


def test_the_others_find_the_run_that_the_first_one_calls_for(folders):
    loaded, old, _, other = folders
    where = servers.here()
    servers.call(old, "left behind by a killed server", None)
    assert servers.called(loaded, where, set(), 0.3) is None
    over = beat(other, "another recipe's")
    assert servers.called(loaded, where, set(), 0.3) is None
    over.set()
    over = beat(old, "a1")  # the older of two runs: it is the unfinished one
    assert servers.called(loaded, where, set(), 10) == (old, "a1", 7)
    assert servers.called(loaded, where, {"a1"}, 0.3) is None
    assert servers.called(loaded, where._replace(name="another job"), set(), 0.3) is None
    over.set()


def test_a_server_lends_its_processes_until_the_run_is_trained(folders, monkeypatch, capsys):
    loaded, _, run, _ = folders
    (run / "plan.json").write_text('{"processes": 4, "device": "cpu"}')
    monkeypatch.setattr(launch, "PATIENCE", dict.fromkeys(launch.PATIENCE, 5))
    codes = [1, 0]
    monkeypatch.setattr(launch, "wait", lambda words, env, run, beat: codes.pop(0))
    first = beat(run, "a1")
    threading.Timer(0.3, lambda: (first.set(), beat(run, "b2"))).start()
    launch.follow(loaded, servers.here())
    assert codes == []
    assert "Trained. The first server writes the results." in capsys.readouterr().out


def test_a_server_with_too_few_gpus_says_so(folders, monkeypatch):
    loaded, _, run, _ = folders
    (run / "plan.json").write_text('{"processes": 4, "device": "cuda"}')
    over = beat(run, "a1")
    with pytest.raises(HftError, match="the first server's plan wants 2 GPUs here, and there are 0"):
        launch.follow(loaded, servers.here())
    over.set()


def test_a_server_that_is_not_called_says_so(told, monkeypatch, invoke, capsys):
    monkeypatch.setattr(servers, "PAUSE", 0.03)
    monkeypatch.setattr(launch, "PATIENCE", dict.fromkeys(launch.PATIENCE, 0.1))
    done = invoke("train", "quickstart")
    assert done.exit_code == 1
    assert "Server 2 of 2: waiting for the first one's run of quickstart" in done.output
    assert "no run of quickstart was started by the first server within an hour" in done.output
    launch.follow(recipe_file.load("quickstart"), servers.here(), runs.root() / "quickstart" / "1")
    assert "is finished, and the first server does not call" in capsys.readouterr().out
