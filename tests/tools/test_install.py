"""The set-up: where torch's CPU build comes from, and that its hash is checked, with an index served on loopback."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import install
import pytest
from conftest import ROOT


def test_a_configured_folder_is_used_and_no_index(monkeypatch):
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    assert install.torch_source() == ["--no-index", "--find-links", "/wheels", "--find-links", "/more"]


@pytest.mark.parametrize(
    ("given", "index"), [(None, "https://download.pytorch.org/whl/cpu"), ("http://127.0.0.1/x", "http://127.0.0.1/x")]
)
def test_without_a_folder_the_index_is_asked(monkeypatch, given, index):
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS", "TORCH_INDEX"):
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv("TORCH_INDEX", given)
    assert install.torch_source() == ["--default-index", index]


@pytest.mark.parametrize("world", ["cpu", "cuda"])
def test_every_package_of_the_lock_has_a_hash(world):
    lock = (ROOT / "requirements" / f"{world}.lock").read_text(encoding="utf-8")
    pins = [line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert len(pins) > 75
    assert all(line.endswith("\\") for line in pins), "a line without hashes"


def test_the_locks_hold_what_the_lab_asked_for():
    for world, missing in (("cuda", set()), ("cpu", {"vllm", "xformers"})):
        lock = (ROOT / "requirements" / f"{world}.lock").read_text(encoding="utf-8")
        names = {line.partition("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith(" ")}
        wanted = {
            "unsloth",
            "trl",
            "transformers",
            "peft",
            "datasets",
            "bitsandbytes",
            "math-verify",
            "py3langid",
            "vllm",
            "xformers",
            "langid",
            "click",
        }
        assert wanted - names == missing
    assert "torch==2.13.0+cpu" in install.torch_requirement(ROOT / "requirements" / "cpu.lock")
    assert "\ntorch==2.11.0 " in (ROOT / "requirements" / "cuda.lock").read_text(encoding="utf-8")


@pytest.fixture
def index(tmp_path):
    """torch's wheel in a package index on loopback; yields (address, the served wheel)."""
    folders = (os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or "").split()
    wheels = [wheel for folder in folders for wheel in Path(folder).glob("torch-2.13.0+cpu-cp311-*.whl")]
    if not wheels:
        pytest.skip("no CPU wheel of torch in PIP_FIND_LINKS to serve")
    page = tmp_path / "index" / "torch"
    page.mkdir(parents=True)
    served = page / wheels[0].name
    served.symlink_to(wheels[0])
    (page / "index.html").write_text(f'<a href="{served.name.replace("+", "%2B")}">{served.name}</a>')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=tmp_path / "index")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", served
        server.shutdown()


def set_up(tmp_path, address):
    """Run the real set-up in a copy of the project, with the index instead of the folder."""
    project = tmp_path / "project"
    for folder in ("requirements", "tools", "hft"):
        shutil.copytree(ROOT / folder, project / folder)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, project / file)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("UV_FIND_LINKS", "PIP_FIND_LINKS", "VIRTUAL_ENV")
    }
    return subprocess.run(
        [sys.executable, "tools/install.py", "cpu"],
        cwd=project,
        capture_output=True,
        text=True,
        env={**kept, "TORCH_INDEX": address},
    )


@pytest.mark.slow
def test_torch_comes_from_the_index(tmp_path, index):
    done = set_up(tmp_path, index[0])
    assert done.returncode == 0, done.stdout + done.stderr
    python = tmp_path / "project" / ".venv" / "bin" / "python"
    said = subprocess.run(
        [python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "2.13.0+cpu"
    assert subprocess.run(
        [tmp_path / "project" / ".venv" / "bin" / "hft", "--version"], capture_output=True, check=True
    ).stdout


@pytest.mark.slow
def test_another_torch_is_refused(tmp_path, index):
    address, served = index
    served.unlink()
    served.write_bytes(b"not the wheel")
    done = set_up(tmp_path, address)
    assert done.returncode == 1
    assert "Error: torch, CPU build (190 MB): failed" in done.stderr
    assert "Fix:" in done.stderr
