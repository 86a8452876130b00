"""One image, one caller's folders, one short training and one second build for all tests of the image."""

import contextlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from in_image import IMAGE, OWNER, SHORT, STRANGER, TOKEN, call, hft, newest


@pytest.fixture(scope="session", autouse=True)
def built():
    found = call("docker", "image", "inspect", IMAGE)
    if found.returncode:
        pytest.fail(f"{IMAGE} is not there: make build LOCK=cpu\n{found.stdout}")
    return json.loads(found.stdout)[0]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folders as a caller has them: recipes with one of their own, runs that belong to the caller."""
    place = tmp_path_factory.mktemp("caller")
    for parent in (place, *place.parents):
        if parent != Path("/tmp"):
            with contextlib.suppress(PermissionError):
                parent.chmod(0o755)
    shutil.copytree(ROOT / "recipes", place / "recipes")
    own = (place / "recipes" / "quickstart.yaml").read_text(encoding="utf-8")
    own = re.sub(r"(?m)^  format: .*$", "  format: quickstart_2.py:shouted", own).replace(
        "learning_rate: ", "learning_rate: 0.5e-3  # "
    )
    (place / "recipes" / "quickstart_2.yaml").write_text(own, encoding="utf-8")
    (place / "recipes" / "quickstart_2.py").write_text(
        "def shouted(row, instruction):\n    return row['context'] + row['question'].upper(), ' ' + row['answer']\n",
        encoding="utf-8",
    )
    for name in ("runs", "data", "cache"):
        (place / name).mkdir()
        os.chown(place / name, *OWNER)
    return {
        "RECIPES": place / "recipes",
        "RUNS": place / "runs",
        "DATA": place / "data",
        "CACHE": place / "cache",
        "HFT_USER": STRANGER,
    }


@pytest.fixture(scope="session")
def trained(folders):
    """One short training in the image, with a token at hand."""
    done = hft("train", "quickstart", *SHORT, **folders, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stdout
    return newest(folders), done.stdout


@pytest.fixture(scope="session")
def again():
    """A second build of the same files, from nothing, by somebody whose shell and folder hold a token."""
    stray = ROOT / ".env"
    kept = stray.read_bytes() if stray.exists() else None
    stray.write_text(f"HF_TOKEN={TOKEN}\n", encoding="utf-8")
    call("docker", "builder", "prune", "--all", "--force")  # uv's cache too, or the packages would be the first build's
    try:
        done = call(
            sys.executable,
            "tools/docker.py",
            "build",
            "cpu",
            "--no-cache-filter",
            "base,uv,runtime,cpu-libraries,code,cpu",
            IMAGE="hft:again",
            HF_TOKEN=TOKEN,
            timeout=1500,
        )
    finally:
        stray.unlink() if kept is None else stray.write_bytes(kept)
    assert done.returncode == 0, done.stdout[-3000:]
    yield "hft:again"
    call("docker", "image", "rm", "hft:again")
