"""Fixtures shared by the tests: an empty working folder, a recipe to break, and hft as users call it."""

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import settings

from hft import files
from hft.export import llamacpp

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
os.environ.pop("MAKEFLAGS", None)  # `make ENGINE=local test` hands its variables on to every make that a test runs

settings.register_profile("hft", deadline=None, database=None)  # a busy machine is no failure
settings.load_profile("hft")


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write tests/train/golden_losses.json anew")


@pytest.fixture(scope="session", autouse=True)
def users_cache(tmp_path_factory):
    """The user's cache; another one takes its place while tests run, for fixtures that several of them share."""
    users = files.cache()
    (users / "models").mkdir(parents=True, exist_ok=True)  # half a minute for each model: made there, and kept
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFT_CACHE", str(cache_beside(users, tmp_path_factory)))
        yield users


@pytest.fixture(autouse=True)
def own_cache(request, users_cache, tmp_path_factory, monkeypatch):
    """A cache of the test's own, so that no test knows the answers of another one."""
    if request.node.get_closest_marker("export"):
        monkeypatch.setenv("HFT_CACHE", str(users_cache))
        llamacpp.home()  # minutes: built there, and kept
    monkeypatch.setenv("HFT_CACHE", str(cache_beside(users_cache, tmp_path_factory)))


def cache_beside(users, tmp_path_factory):
    """A new cache with all that takes minutes to make of the user's, and nothing of their rows and answers."""
    own = tmp_path_factory.getbasetemp() / "caches" / uuid.uuid4().hex
    own.mkdir(parents=True)
    for there in users.glob("[!.]*"):
        if not there.name.startswith(("answers", "tokenised")):
            (own / there.name).symlink_to(there.resolve())
    return own


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Pretended bases are asked each time; a module of tests that wants their answers kept has its own such fixture."""
    monkeypatch.setattr("hft.evaluate.known.base_of", lambda opened: None)


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Call hft in this process, in an empty folder; returns click's result."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HFT_") and name != "HFT_CACHE"]:
        monkeypatch.delenv(name)

    def call(*words, **environment):
        from hft.cli import cli

        return CliRunner(env=environment).invoke(cli, words, catch_exceptions=False)

    return call


@pytest.fixture
def shell(tmp_path):
    """Call hft in a process of its own, in an empty folder; returns the finished process."""

    def call(*words, timeout=900, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HFT_") or name == "HFT_CACHE"}
        return subprocess.run(
            [sys.executable, "-m", "hft", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**kept, "PYTHONPATH": str(ROOT), "HFT_RUNS": str(tmp_path / "runs"), **environment},
        )

    return call


@pytest.fixture
def serve():
    """Call it to answer HTTP on loopback while the test runs; it returns (address, Range headers that were asked)."""
    from fetching import serving

    with contextlib.ExitStack() as stack:
        yield lambda how, context=None: stack.enter_context(serving(how, context))


@pytest.fixture
def target(tmp_path, monkeypatch):
    """Where a fetched file goes; tries follow each other without a pause."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("hft.download.PAUSE", 0)
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "rows.json"
