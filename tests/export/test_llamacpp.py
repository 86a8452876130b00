"""llama.cpp is built once, also where two want it at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hft.errors import HftError
from hft.export import llamacpp


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("HFT_LLAMA_CPP", raising=False)
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def finish(folder):
    (folder / "bin").mkdir(parents=True)
    for program in llamacpp.PROGRAMS:
        (folder / "bin" / program).touch()


def test_of_two_that_want_it_one_builds_it(cache, monkeypatch):
    begun, go_on, builds = threading.Event(), threading.Event(), []

    def build(folder):
        builds.append(folder)
        begun.set()
        assert go_on.wait(10)
        finish(folder)

    monkeypatch.setattr(llamacpp, "build", build)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(llamacpp.home)
        assert begun.wait(10)
        second = pool.submit(llamacpp.home)
        assert not second.done()
        go_on.set()
        assert first.result() == second.result() == cache / f"llama.cpp-{llamacpp.COMMIT}"
    assert builds == [first.result()]


def test_what_is_built_is_not_built_again(cache, monkeypatch):
    monkeypatch.setattr(llamacpp, "build", finish)
    built = llamacpp.home()
    monkeypatch.delattr(llamacpp, "build")
    assert llamacpp.home() == built


def test_a_build_of_ones_own_must_be_whole(tmp_path, monkeypatch):
    finish(tmp_path)
    monkeypatch.setenv("HFT_LLAMA_CPP", str(tmp_path))
    assert llamacpp.home() == tmp_path
    (tmp_path / "bin" / "llama-server").unlink()
    with pytest.raises(
        HftError, match=r"lacks bin/llama-server\n  Fix: unset HFT_LLAMA_CPP to let hft build llama.cpp"
    ):
        llamacpp.home()


def test_a_tool_that_fails_says_how_and_leaves_no_draft(tmp_path):
    draft = tmp_path / "draft"
    draft.touch()
    with pytest.raises(HftError, match=r"trying failed \(exit 3\):\nwhy\n  Fix: mend it"):
        llamacpp.run(["sh", "-c", "echo why; exit 3"], "trying", "mend it", draft=draft)
    assert not draft.exists()
