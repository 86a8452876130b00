"""Libraries are told to keep quiet and to themselves, unless the user has said otherwise."""

import importlib.metadata
import os
import re
import subprocess
import sys
import types

import pytest

from hft import libraries
from hft.errors import HftError


@pytest.fixture
def environ(monkeypatch, tmp_path):
    """An environment that says where the cache is, and nothing else."""
    own = {"HFT_CACHE": str(tmp_path / "cache")}
    monkeypatch.setattr(os, "environ", own)
    monkeypatch.setattr(libraries, "_places", {})
    return own


def test_telemetry_is_off_and_waiting_threads_do_not_spin(environ):
    libraries.quiet()
    assert environ["UNSLOTH_DISABLE_STATISTICS"] == "1"
    assert environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize(
    ("name", "value"),
    [("HF_HUB_DISABLE_TELEMETRY", "0"), ("OMP_WAIT_POLICY", "ACTIVE"), ("TRITON_CACHE_DIR", "/fast/triton")],
)
def test_the_users_own_settings_stay(environ, name, value):
    environ[name] = value
    libraries.quiet()
    assert environ[name] == value


def test_all_that_is_compiled_lies_in_one_folder_that_nobody_else_reads(environ, tmp_path):
    umask = os.umask(0)
    try:
        libraries.quiet()
    finally:
        os.umask(umask)
    private = tmp_path / "cache" / f"compiled-{os.getuid()}" / libraries.environment()
    assert {name: environ[name] for name in libraries.COMPILED} == {
        "CUDA_CACHE_PATH": f"{private}/cuda",
        "FLASHINFER_WORKSPACE_BASE": f"{private}/flashinfer",
        "TORCHINDUCTOR_CACHE_DIR": f"{private}/torchinductor",
        "TRITON_CACHE_DIR": f"{private}/triton",
        "UNSLOTH_COMPILE_LOCATION": f"{private}/unsloth",
        "UNSLOTH_MEGA_CACHE_DIR": f"{private}/unsloth-whole",
        "VLLM_CACHE_ROOT": f"{private}/vllm",
    }
    made = [private.parent, *(path for path in private.parent.rglob("*") if path.is_dir())]
    assert len(made) == 2 + len(libraries.COMPILED)
    assert {oct(path.stat().st_mode & 0o777) for path in made} == {"0o700"}


@pytest.mark.parametrize("mode", [0o770, 0o702], ids=oct)
def test_a_folder_that_others_may_write_to_is_refused(environ, mode):
    libraries.compiled().mkdir(parents=True)
    libraries.compiled().chmod(mode)
    with pytest.raises(HftError) as refused:
        libraries.quiet()
    assert refused.value.message == (
        f"{libraries.compiled()} is writable for others, and what lies there is run as code by user {os.getuid()}\n"
        f"  Fix: rm -r {libraries.compiled()}   (all of it is made again), or a cache of your own: HFT_CACHE=/path"
    )
    assert "TRITON_CACHE_DIR" not in environ


def test_a_folder_of_another_user_is_refused(environ, monkeypatch):
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    libraries.compiled().mkdir(parents=True, mode=0o700)
    with pytest.raises(HftError, match=f"belongs to user {owner}, and what lies there is run as code by user"):
        libraries.quiet()


def test_the_folder_may_be_a_link_to_another_of_the_same_user(environ, tmp_path):
    (tmp_path / "fast").mkdir(mode=0o700)
    (tmp_path / "cache").mkdir()
    libraries.compiled().symlink_to(tmp_path / "fast")
    libraries.quiet()
    assert (tmp_path / "fast" / libraries.environment() / "triton").is_dir()
    (tmp_path / "fast").chmod(0o777)
    with pytest.raises(HftError, match="is writable for others"):
        libraries.quiet()


def test_other_versions_compile_into_another_folder(monkeypatch):
    here = libraries.environment()
    assert re.fullmatch("[0-9a-f]{12}", here)
    anew = libraries.environment.__wrapped__
    assert anew() == here
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    assert anew() != here


def test_what_unsloth_takes_back_is_set_again(environ, monkeypatch):
    bars = types.SimpleNamespace(disable_progress_bar=lambda: None, set_verbosity_error=lambda: None)
    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    monkeypatch.setitem(sys.modules, "transformers.utils", types.SimpleNamespace(logging=bars))
    environ["TORCHINDUCTOR_CACHE_DIR"] = "/mine"
    libraries.quiet()
    del environ["TORCHINDUCTOR_CACHE_DIR"]  # as unsloth_zoo.patching_utils.patch_torch_compile does on a GPU
    libraries.hush()
    assert environ["TORCHINDUCTOR_CACHE_DIR"] == "/mine"


def test_the_settings_come_before_the_libraries(tmp_path):
    code = "import sys\nfrom hft import libraries\nlibraries.quiet()\nprint(*sys.modules)"
    environment = {**os.environ, "HFT_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not {"torch", "transformers", "triton", "unsloth", "vllm"} & set(done.stdout.split())
