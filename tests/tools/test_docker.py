"""What make hands to Docker: a stand-in for docker on the PATH writes down what it was called with."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from docker import labels
from house import imports, modules

from hft.runs import image

STAND_IN = """#!{python}
import json, os, sys
if sys.argv[1:] == ["buildx", "version"]:
    sys.exit("NO_BUILDX" in os.environ)
if sys.argv[1:3] == ["image", "inspect"]:
    if "STAND_IN_ABSENT" in os.environ:
        sys.exit("Error response from daemon: No such image: hft:cpu")
    sys.exit(print(os.environ["STAND_IN_CODE"]))
secret = os.environ.get("HF_TOKEN_FILE")
said = dict(words=sys.argv[1:], environment=dict(os.environ), secret=open(secret).read() if secret else None,
            mode=oct(os.stat(secret).st_mode)[-3:] if secret else None)
json.dump(said, open(os.environ["STAND_IN_LOG"], "w"))
sys.exit(7)
"""


@pytest.fixture
def call(tmp_path):
    """Run tools/docker.py with the stand-in; returns (process, what docker was called with)."""
    tools, log = tmp_path / "tools", tmp_path / "log.json"
    tools.mkdir()
    (tools / "docker").write_text(STAND_IN.replace("{python}", sys.executable), encoding="utf-8")
    (tools / "docker").chmod(0o755)

    def run(*words, **given):
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "STAND_IN_LOG": str(log),
            "STAND_IN_CODE": image.content(ROOT / "hft"),
            "RUNS": str(tmp_path / "runs"),
            "DATA": str(tmp_path / "data"),
            **given,
        }
        done = subprocess.run(
            [sys.executable, "tools/docker.py", *words], cwd=ROOT, capture_output=True, text=True, env=environment
        )
        return done, json.loads(log.read_text()) if log.exists() else None

    return run


def test_hft_runs_as_the_caller_with_the_callers_folders(call, tmp_path):
    done, docker = call("run", "cpu", "train", "quickstart", "--max-steps", "5", GPUS="0,1")
    assert done.returncode == 7  # docker's own
    assert docker["words"] == [
        "compose",
        "--project-directory",
        str(ROOT),
        "--file",
        str(ROOT / "docker-compose.yml"),
        "run",
        "--rm",
        "--no-TTY",
        "cpu",
        "train",
        "quickstart",
        "--max-steps",
        "5",
    ]
    seen = docker["environment"]
    assert seen["HFT_USER"] == f"{os.getuid()}:{os.getgid()}"
    assert (seen["RUNS"], seen["DATA"], seen["RECIPES"]) == (
        str(tmp_path / "runs"),
        str(tmp_path / "data"),
        str(ROOT / "recipes"),
    )
    assert (tmp_path / "runs").is_dir()
    assert seen["GPUS"] == "0,1"


def test_the_cache_is_the_callers_and_there(call, tmp_path):
    _, docker = call("run", "cpu", "list")
    assert docker["environment"]["CACHE"] == str(tmp_path / ".cache" / "hft-image")
    assert (tmp_path / ".cache" / "hft-image").is_dir()
    assert call("run", "cpu", "list", CACHE="runs/../here")[1]["environment"]["CACHE"] == str(ROOT / "here")
    (ROOT / "here").rmdir()


def test_behind_sudo_the_results_belong_to_who_typed_it(call):
    _, docker = call("run", "cpu", "list", SUDO_UID="1234", SUDO_GID="1235")
    assert docker["environment"]["HFT_USER"] == ("1234:1235" if os.geteuid() == 0 else f"{os.getuid()}:{os.getgid()}")


def test_without_buildx_the_remedy_is_named(call):
    done, _ = call("build", "cpu", NO_BUILDX="1")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Error: docker has no buildx here\n  Fix: install Docker with the plugins buildx and compose"
    )


def test_the_token_goes_through_a_private_file(call):
    _, docker = call("run", "cuda", "train", "korquad_llama2", HF_TOKEN="hf_secret0123456789")
    assert (docker["secret"], docker["mode"]) == ("hf_secret0123456789\n", "600")
    assert "HF_TOKEN" not in docker["environment"]
    assert "hf_secret0123456789" not in " ".join(docker["words"])
    assert not Path(docker["environment"]["HF_TOKEN_FILE"]).exists()  # gone when docker has ended


def test_the_token_of_the_hugging_face_login_is_found(call, tmp_path):
    login = tmp_path / ".cache" / "huggingface" / "token"
    assert call("run", "cpu", "list")[1]["secret"] is None
    login.parent.mkdir(parents=True)
    login.write_text("hf_fromlogin0123456789")
    assert call("run", "cpu", "list")[1]["environment"]["HF_TOKEN_FILE"] == str(login)


def test_an_image_that_is_older_than_the_code_is_named(call):
    assert call("run", "cpu", "list")[0].stdout == ""
    assert call("run", "cpu", "list", STAND_IN_CODE="another")[0].stdout == (
        "Note: hft/ is not what hft:cpu was built from; `make build` takes it in.\n"
    )


def test_without_an_image_the_remedy_is_named(call):
    done, _ = call("run", "cpu", "list", STAND_IN_ABSENT="1")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: there is no image hft:cpu\n"
        "  Fix: make build LOCK=cpu   (or run without Docker: make ENGINE=local ...)\n",
    )


def test_without_docker_the_other_way_is_named(call):
    done, _ = call("run", "cpu", "list", PATH="/nonexistent")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: docker is not installed\n"
        "  Fix: install Docker with the compose plugin, or run without it: make ENGINE=local ...\n",
    )


def test_a_build_is_labelled_and_takes_what_is_named(call, tmp_path):
    _, docker = call(
        "build",
        "cuda",
        "--pull",
        BASE_IMAGE="mine:1",
        LLAMA_CPP="/llama",
        PIP_FIND_LINKS="/wheels /more",
        TORCH_INDEX="http://127.0.0.1/x",
    )
    words = docker["words"]
    assert words[:6] == ["buildx", "build", "--target", "cuda", "--pull", "--load"]
    assert words[-1] == str(ROOT)
    pairs = set(itertools.pairwise(words))
    assert {
        ("--build-arg", "BASE_IMAGE=mine:1"),
        ("--build-context", "llama=/llama"),
        ("--build-context", "wheels=/wheels"),
        ("--build-arg", "TORCH_INDEX=http://127.0.0.1/x"),
        ("--label", "hft.torch=2.11.0"),
        ("--label", "hft.llama-cpp=0c1e57098"),
        ("--label", f"hft.lock={image.lock_digest(ROOT / 'requirements' / 'cuda.lock')}"),
    } <= pairs


@pytest.mark.parametrize(("world", "torch", "cuda"), [("cpu", "2.13.0+cpu", "none"), ("cuda", "2.11.0", "13.0.96")])
def test_labels(world, torch, cuda):
    said = labels(world)
    assert (said["hft.torch"], said["hft.cuda"]) == (torch, cuda)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "Engine: local, .venv (no image yet; `make build` makes one)"),
        (("ENGINE=docker",), "Engine: docker, the image hft:cpu (ENGINE says so); /runs is RUNS"),
        (("ENGINE=local",), "Engine: local, .venv (ENGINE says so)"),
        (("IMAGE=lab/hft:1",), "Engine: docker, the image lab/hft:1 (IMAGE names it); /runs is RUNS"),
    ],
)
def test_make_says_where_it_runs_and_why(words, line, tmp_path):
    for name in ("Makefile", "requirements", "tools", "pyproject.toml", "hft", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["make", "--dry-run", "LOCK=cpu", *words, "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in ("ENGINE", "IMAGE")},
    )
    assert f"echo '{line}'" in done.stdout.splitlines(), done.stdout + done.stderr


def test_another_engine_is_refused():
    done = subprocess.run(["make", "ENGINE=podman", "list"], cwd=ROOT, capture_output=True, text=True)
    assert "ENGINE=podman: write ENGINE=docker or ENGINE=local" in done.stderr
    assert done.returncode == 2


def test_every_choice_of_the_environment_reaches_the_container():
    """Compose hands on what hft reads from HFT_*, but for folders, which are mounted, and what building needs."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "hft").rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"HFT_[A-Z_]+[A-Z]", text)}
    elsewhere = {
        "HFT_RECIPES",
        "HFT_DATA",
        "HFT_RUNS",
        "HFT_CACHE",
        "HFT_LLAMA_CPP",
        "HFT_LLAMA_OPTIONS",
        "HFT_REVISION",
        "HFT_USER",
    }
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    handed = {name for name in compose["x-hft"]["environment"] if name.startswith("HFT_")}
    assert handed == (read | {"HFT_GENERATE_ROWS"}) - elsewhere


def test_the_stage_that_builds_llama_cpp_has_all_that_its_builder_imports():
    known, wanted, waiting = modules(ROOT), set(), ["hft", "hft.export", "hft.export.llamacpp"]
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += {target for _, target in imports(name, known[name], known)} - wanted
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").partition(" AS llama-tools")[2].partition("\nFROM")[0]
    assert set(re.findall(r"\bhft/\S+\.py", stage)) == {str(known[name].relative_to(ROOT)) for name in wanted}
