"""The CPU image from outside, as its users meet it: how the tests of tests/tools/image/ call it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT

from hft.train import checkpoints

IMAGE = "hft:cpu"
# A user that the image has never heard of; only root can give folders to one.
OWNER = (4321, 4321) if os.geteuid() == 0 else (os.getuid(), os.getgid())
STRANGER = "{}:{}".format(*OWNER)
SHORT = ("--max-steps", "6", "--save-every", "2", "--set", "evaluate.rows=8")
TOKEN = "hf_ThisTokenIsForTestsOnly0123456789"
HARDENED = (
    "--network",
    "none",
    "--read-only",
    "--tmpfs",
    "/tmp:exec,mode=1777",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
)
CACHED = ("--volume", "hft_cache:/cache")


def call(*command, timeout=600, **environment):
    """Run a command in the project's folder; returns the finished process with its whole output in stdout."""
    # Make hands its own variables on: ARGS here is pytest's, and compose would read it.
    ours = {name: value for name, value in os.environ.items() if name not in ("ARGS", "RECIPE")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        text=True,
        errors="replace",
        timeout=timeout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**ours, **{k: str(v) for k, v in environment.items()}},
    )


def docker(*command, options=()):
    return call("docker", "run", "--rm", *HARDENED, *CACHED, *options, IMAGE, *command)


MAKE = (sys.executable, "tools/docker.py", "run", "cpu")  # hft in the image, the way `make` does it


def hft(*words, **environment):
    return call(*MAKE, *words, **environment)


def begin(*words, **environment):
    """The same, not waited for."""
    return subprocess.Popen(
        [*MAKE, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
    )


def newest(folders, name="quickstart"):
    return max(Path(folders["RUNS"]).glob(f"{name}/2*"))


def adapter(run):
    return json.loads((run / "passport.json").read_text())["artefacts"]["adapter/adapter_model.safetensors"]


def compose(profile, **environment):
    """A batch run as the README types it; returns its exit code and what it printed.

    The stand-in for NVIDIA's hook lets the CPU image have the GPUs of these services.
    """
    done = call(
        "docker", "compose", "--profile", profile, "up", "--no-log-prefix", "--abort-on-container-exit", **environment
    )
    call("docker", "compose", "--profile", profile, "down")
    return done.returncode, re.sub(r"\x1b\[\d*[A-Z]", "", done.stdout)


def until(true, process):
    """Wait until `true()`; fails when the process ends before or nothing happens for minutes."""
    end = time.monotonic() + 300
    while not true():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.2)


def killed_and_resumed(folders, tmp_path):
    """Train, kill the container after checkpoint 2, go on; returns the hash of the adapter."""
    tmp_path.mkdir()
    os.chown(tmp_path, *OWNER)
    here = {**folders, "RUNS": tmp_path}
    with begin("train", "quickstart", *SHORT, **here) as begun:
        until(lambda: list(tmp_path.glob("quickstart/2*/checkpoints/checkpoint-2/" + checkpoints.SEAL)), begun)
        [container] = call("docker", "ps", "--quiet", "--filter", "ancestor=" + IMAGE).stdout.split()
        call("docker", "kill", container)
        begun.communicate(timeout=60)
    assert not list(tmp_path.glob("quickstart/2*/passport.json"))
    done = hft("train", "quickstart", *SHORT, "--resume", **here)
    assert done.returncode == 0, done.stdout
    assert "Going on after step" in done.stdout
    return adapter(max(tmp_path.glob("quickstart/2*")))


def token_file(folders):
    path = Path(folders["RUNS"]).parent / "token"
    path.write_text(TOKEN + "\n", encoding="utf-8")
    path.chmod(0o644)
    return path


def readable(path):
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
