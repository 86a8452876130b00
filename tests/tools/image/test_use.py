"""The CPU image from outside, as its users meet it: make test-image (Docker, and `make build LOCK=cpu` first)."""

import json
import re
import sys

import pytest
from conftest import ROOT
from in_image import HARDENED, IMAGE, OWNER, SHORT, STRANGER, adapter, call, compose, docker, hft

from hft.runs import image

pytestmark = pytest.mark.image


@pytest.mark.parametrize("user", ["0:0", "1000:1000", STRANGER], ids=["root", "an ordinary user", "an unknown user"])
def test_help_runs_as(user):
    done = docker("--help", options=["--user", user])
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("Usage: hft [OPTIONS] COMMAND [ARGS]...")


def test_the_recipes_come_with_it():
    done = docker("check")
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) == len(list((ROOT / "recipes").glob("*.yaml")))


def test_without_a_recipe_the_recipes_are_named():
    done = docker("train")
    assert done.returncode == 2
    assert f"Recipes: {' '.join(sorted(path.stem for path in (ROOT / 'recipes').glob('*.yaml')))}" in done.stdout


def test_the_manifest_is_the_locks(built):
    manifest = json.loads(docker("image").stdout)
    assert (
        manifest["lock"]
        == image.lock_digest(ROOT / "requirements" / "cpu.lock")
        == built["Config"]["Labels"]["hft.lock"]
    )
    assert "trl==1.15.0" in manifest["packages"]
    assert [line for line in manifest["debian"] if line.startswith("libc6=")]
    assert manifest["revision"] == built["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert set(json.loads(docker("image", "--digest").stdout)) == {
        "lock",
        "site_packages",
        "llama_cpp",
        "python",
        "revision",
    }


def test_a_training_belongs_to_its_caller(trained):
    run, _ = trained
    for path in (run, *run.rglob("*")):
        about = path.lstat()
        assert (about.st_uid, about.st_gid) == OWNER, path
        assert path.is_symlink() or about.st_mode & 0o060 == 0o060 or path.name == ".lock", (
            f"{path} is not for the group"
        )


def test_the_passport_carries_the_manifest(trained):
    run, _ = trained
    passport = json.loads((run / "passport.json").read_text())
    assert passport["machine"]["image"] == json.loads(docker("image").stdout)


def test_the_same_adapter_comes_out_of_the_image_and_of_the_venv(trained, tmp_path):
    """To the bit where both have one C library; another one's exp and log change losses by about 3e-6."""
    run, _ = trained
    done = call(sys.executable, "-m", "hft", "train", "quickstart", *SHORT, HFT_RUNS=tmp_path)
    assert done.returncode == 0, done.stdout
    outside = max(tmp_path.glob("quickstart/2*"))
    compared = call(sys.executable, "-m", "hft", "compare", run, outside)
    assert compared.returncode == 0, compared.stdout
    systems = [json.loads((one / "passport.json").read_text())["machine"]["system"] for one in (run, outside)]
    one_library = len({system.partition("-with-")[2] for system in systems}) == 1
    assert (adapter(outside) == adapter(run)) or not one_library, compared.stdout


def test_batch_runs_train_ask_and_export(trained, folders):
    here = {**folders, "IMAGE": IMAGE, "RECIPE": "quickstart"}
    code, said = compose("train", **here, ARGS="--max-steps 6 --set evaluate.rows=8")
    assert (code, f"Nothing to train: /runs/quickstart/{trained[0].name} is finished." in said) == (0, True), said
    code, said = compose("evaluate", **here)
    assert (code, "8 of 160 held-out questions (a sample)" in said) == (0, True), said
    code, said = compose("export", **here, FORMAT="q8_0", ARGS="--max-drop 100")
    assert code == 0, said
    gguf = trained[0] / "quickstart-q8_0.gguf"
    assert (gguf.stat().st_uid, gguf.read_bytes()[:4]) == (OWNER[0], b"GGUF")


@pytest.mark.parametrize("profile", ["train", "evaluate", "export"])
def test_a_batch_run_without_a_recipe_names_them(profile):
    done = call("docker", "compose", "config", "--quiet")
    assert done.returncode == 0, done.stdout
    code, said = compose(profile, IMAGE=IMAGE)
    assert (code, "Recipes: codeio " in said) == (2, True), said


def test_a_stranger_may_fill_the_caches(folders):
    made = " ".join(f"/cache/{name}/x" for name in ("huggingface", "huggingface/hub", "models"))
    volume = "hft_test_cache"
    done = call(
        "docker",
        "run",
        "--rm",
        *HARDENED,
        "--user",
        "4322:4322",
        "--volume",
        f"{volume}:/cache",
        "--entrypoint",
        "sh",
        IMAGE,
        "-c",
        f"mkdir {made}",
    )
    call("docker", "volume", "rm", volume)
    assert (done.returncode, done.stdout) == (0, "")


def test_choices_of_the_environment_reach_the_plan(folders):
    done = hft("plan", "quickstart", **folders, HFT_ROWS_PER_DEVICE="2")
    assert re.search(r"rows_per_device +2 +HFT_ROWS_PER_DEVICE", done.stdout), done.stdout


def test_the_mounted_folders_of_the_caller_are_read_only():
    for folder in ("/recipes", "/data", "/opt/hft", "/opt/venv"):
        done = call("docker", "compose", "run", "--rm", "--no-TTY", "--entrypoint", "touch", "cpu", f"{folder}/x")
        assert "Read-only file system" in done.stdout


def test_two_recipes_run_in_order_and_one_table_ends_them(folders):
    """The second is the caller's own, with Python beside it, from the mounted folder."""
    code, said = compose(
        "smoke", **folders, RECIPE="quickstart quickstart_2", ARGS=" ".join((*SHORT, "--max-steps", "2"))
    )
    assert code == 0, said
    table = said[said.index("recipe        state") :].splitlines()
    assert [line.split()[:2] for line in table[1:3]] == [["quickstart", "done"], ["quickstart_2", "done"]], said
