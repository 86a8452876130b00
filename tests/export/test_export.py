"""Exports of a really trained adapter answer like it; broken ones are refused. May build llama.cpp."""

import json

import pytest

from hft.errors import HftError
from hft.export import export, gguf
from hft.runs import folder as runs

SMALL = ["--set", "train.steps=30", "--set", "data.train.sample=240", "--set", "evaluate.rows=20"]
KINDS = ("merged", "f16", "q8_0", "q5_k_m", "q4_k_m", "adapter_gguf")
pytestmark = [pytest.mark.slow, pytest.mark.export]


def test_every_export_answers_like_the_adapter(shell, tmp_path):
    trained = shell("train", "quickstart", *SMALL)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    done = shell(
        "export",
        "quickstart",
        *(word for kind in KINDS for word in ("--format", kind)),
        HFT_RUNS=str(tmp_path / "runs"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = (tmp_path / "runs" / "quickstart" / "latest").resolve()
    scores = {
        name: row["exact_match"]["mean"] for name, row in json.loads((run / "evaluation.json").read_text()).items()
    }
    print(done.stdout)
    names = [f"quickstart-{kind}.gguf" for kind in ("f16", "q8_0", "q5_k_m", "q4_k_m", "adapter")]
    assert sorted(scores) == sorted(["base", "base-chat", "adapter", "merged", *names])
    assert scores["base"] < scores["adapter"]
    assert all(scores[name] >= scores["adapter"] - 5 for name in ["merged", *names]), scores
    artefacts = runs.passport(run)["artefacts"]
    assert set(names) <= artefacts.keys()
    assert "merged/model.safetensors" in artefacts
    assert not list(run.glob(".quickstart*"))

    strict = shell("export", "quickstart", "--format", "q2_k")  # too small for a 135M model: it forgets
    assert strict.returncode == 1, strict.stdout
    assert "loses more than 5 points of 'exact match'" in strict.stderr
    assert "exact match" in strict.stderr

    damaged = run / "quickstart-q8_0.gguf"
    damaged.write_bytes(damaged.read_bytes()[:50_000_000])
    with pytest.raises(HftError, match=r"llama.cpp cannot run quickstart-q8_0.gguf"), gguf.server(damaged, 512):
        pass


def test_a_full_disk_is_noticed_before_any_work(monkeypatch, tmp_path):
    from collections import namedtuple

    from hft import files
    from hft.recipe import file as recipe_file

    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: namedtuple("U", "free")(2**20))
    with pytest.raises(HftError, match=r"exporting q4_k_m needs 0\.[0-9] GiB of disk under .*, and 0\.0 GiB are free"):
        export.need_disk(tmp_path, recipe_file.load("quickstart"), ["q4_k_m"])
