"""hft cache: what lies in the cache, how large, what removing it costs; clearing keeps what is in use or not ours."""

import fcntl
import os
from pathlib import Path

import pytest

from hft import libraries

USER = os.getuid()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with something at each place, and no variable that says otherwise."""
    for name in libraries.COMPILED:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setenv("HFT_CACHE", str(folder))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    sizes = {
        "models/small-v2/model.safetensors": 3 << 20,
        "models/.small-v2.lock": 0,
        "llama.cpp-0c1e/bin/llama-quantize": 1536,
        "codeio/ab.json": 10,
        "codeio/cd.json": 20,
        f"tokenised-{USER}/ab.parquet": 1000,
        f"answers-{USER}/ab.jsonl": 7,
        f"compiled-{USER}/0123/triton/kernel.cubin": 2048,
        f"compiled-{USER}/4567/triton/kernel.cubin": 2048,
        f"compiled-{USER}/0123/vllm/graph": 100,
        f"compiled-{USER}/.0123.lock": 0,
        f"unsloth-{USER}/unsloth_compiled_module.py": 4,
        "data/rows.json": 5,
        "../hub/hub/weights": 1 << 30,
    }
    for name, bytes_ in sizes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(bytes_)
    return folder


def left(cache):
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def test_each_place_has_its_size_and_its_cost(invoke, cache, tmp_path):
    hub = str(tmp_path / "hub")
    wide = max(len(hub), len("files fetched, or put there by you"))
    rows = [
        ("NAME", "HOLDS", "SIZE", "ONCE REMOVED"),
        ("models", "models converted from GGUF files", "3.0 MiB", "converted again: half a minute for 135M"),
        ("llama.cpp", "llama.cpp, built", "1.5 KiB", "built again: in 7 minutes on 2 cores"),
        ("codeio", "pairs of CodeI/O functions", "30 B", "the functions run again"),
        ("tokenised", "your tokenised rows", "1000 B", "tokenised again"),
        ("answers", "bases' answers to your questions", "7 B", "the bases are asked again"),
        ("compiled", "your compiled code", "4.1 KiB", "compiled again as it is used"),
        ("  triton", "", "4.0 KiB", ""),
        ("  vllm", "", "100 B", ""),
        ("(data)", "files fetched, or put there by you", "5 B", "not cleared: may be yours"),
        ("(Hub)", hub, "1.0 GiB", "not cleared: the Hub's own tool is hf cache"),
    ]
    table = [f"{name:9}  {holds:{wide}}  {size:7}  {cost}".rstrip() for name, holds, size, cost in rows]
    assert invoke("cache").output.splitlines() == [str(cache), *table]


def test_an_empty_cache_is_no_mistake(invoke, tmp_path):
    result = invoke("cache", HFT_CACHE=str(tmp_path / "none"), HF_HOME=str(tmp_path / "none"))
    assert result.exit_code == 0
    assert result.output.count("  0 B  ") == 8
    assert list(tmp_path.iterdir()) == []


def test_what_a_variable_keeps_elsewhere_is_not_cleared(invoke, cache, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kernel").write_text("code")
    lines = invoke("cache", "compiled", TRITON_CACHE_DIR=str(tmp_path / "mine")).output.splitlines()
    assert [line.split() for line in lines[3:]] == [
        ["(triton)", str(tmp_path / "mine"), "4", "B", "not", "cleared:", "TRITON_CACHE_DIR", "is", "set"],
        ["vllm", "100", "B"],
    ]
    invoke("cache", "--clear", "all", TRITON_CACHE_DIR=str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "kernel").exists()


def test_only_what_is_named_is_cleared(invoke, cache):
    before = left(cache)
    assert invoke("cache", "--clear", "compiled", "codeio").output == "codeio: 30 B freed\ncompiled: 4.1 KiB freed\n"
    gone = [name for name in before if name not in left(cache)]
    assert gone == [
        "codeio/ab.json",
        "codeio/cd.json",
        f"compiled-{USER}/0123/triton/kernel.cubin",
        f"compiled-{USER}/0123/vllm/graph",
        f"compiled-{USER}/4567/triton/kernel.cubin",
        f"unsloth-{USER}/unsloth_compiled_module.py",
    ]
    assert (cache / "codeio").is_dir()


def test_all_leaves_fetched_files_the_hubs_and_locks(invoke, cache, tmp_path):
    assert invoke("cache", "--clear", "all").output.splitlines() == [
        "models: 3.0 MiB freed",
        "llama.cpp: 1.5 KiB freed",
        "codeio: 30 B freed",
        "tokenised: 1000 B freed",
        "answers: 7 B freed",
        "compiled: 4.1 KiB freed",
    ]
    assert left(cache) == [f"compiled-{USER}/.0123.lock", "data/rows.json", "models/.small-v2.lock"]
    assert (tmp_path / "hub" / "hub" / "weights").exists()


def test_what_another_process_makes_is_kept(invoke, cache):
    with (cache / "models" / ".small-v2.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = invoke("cache", "--clear", "models", "answers").output
    assert said == "models: in use by another process, kept; clear it when that has ended\nanswers: 7 B freed\n"
    assert (cache / "models" / "small-v2" / "model.safetensors").exists()
    assert invoke("cache", "--clear", "models").output == "models: 3.0 MiB freed\n"


def test_what_this_user_may_not_remove_stays_whole(invoke, cache, monkeypatch):
    def refused(path, target):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "rename", refused)  # as in a sticky folder of several users
    assert invoke("cache", "--clear", "models").output == "models: 0 B freed; 3.0 MiB of other users stay\n"
    assert (cache / "models" / "small-v2" / "model.safetensors").exists()


def test_what_a_killed_command_left_half_made_is_cleared_too(invoke, cache):
    for name in ("models/.small-v2.77.1.tmp", ".llama.cpp-0c1e.77.1.tmp", ".llama.cpp.ab12"):
        (cache / name).mkdir()
        (cache / name / "half").write_text("x" * 512)
    said = invoke("cache", "--clear", "models", "llama.cpp").output
    assert said == "models: 3.0 MiB freed\nllama.cpp: 2.5 KiB freed\n"
    assert sorted(path.name for path in cache.glob(".*")) == []
    assert [path.name for path in (cache / "models").iterdir()] == [".small-v2.lock"]


def test_compiled_code_is_kept_as_long_as_a_process_may_load_it(invoke, cache):
    (cache / f"compiled-{USER}").chmod(0o700)
    folder = libraries.prepare()
    assert "compiled: in use by another process, kept" in invoke("cache", "--clear", "compiled").output
    os.close(libraries.hold(folder))  # as the process's end does
    libraries.hold.cache_clear()
    assert invoke("cache", "--clear", "compiled").output == "compiled: 4.1 KiB freed\n"


def test_links_are_not_followed_out_of_the_cache(invoke, cache, tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "weights").write_text("mine")
    (cache / "models" / "linked").symlink_to(tmp_path / "big")
    (cache / "codeio" / "ab.json").unlink()
    (cache / "codeio" / "cd.json").unlink()
    (cache / "codeio").rmdir()
    (cache / "codeio").symlink_to(tmp_path / "big")
    assert "codeio: 0 B freed" in invoke("cache", "--clear", "all").output
    assert (tmp_path / "big" / "weights").read_text() == "mine"
    assert not (cache / "models" / "linked").is_symlink()
    assert (cache / "codeio").is_symlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--clear"],
            "--clear needs names\n"
            "  Fix: hft cache --clear compiled   (or models, llama.cpp, codeio, tokenised, answers, compiled, all)\n",
        ),
        (
            ["--clear", "compild"],
            "the cache has no 'compild'; did you mean 'compiled'?\n"
            "  Fix: choose from: models, llama.cpp, codeio, tokenised, answers, compiled, all\n",
        ),
        (
            ["data"],
            "the cache has no 'data'\n"
            "  Fix: choose from: models, llama.cpp, codeio, tokenised, answers, compiled, all\n",
        ),
    ],
    ids=" ".join,
)
def test_a_wrong_name_removes_nothing(invoke, cache, words, said):
    before = left(cache)
    result = invoke("cache", *words)
    assert (result.exit_code, result.output) == (1, f"Error: {said}")
    assert left(cache) == before


def test_without_a_variable_the_cache_is_in_the_home(monkeypatch):
    from hft.commands import cache

    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.hub_folder() == Path.home() / ".cache" / "huggingface"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache.hub_folder() == Path("/caches/huggingface")
