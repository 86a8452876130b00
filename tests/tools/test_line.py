"""tools/line.py: a line's entries, run beside each other, not twice, the best one's settings for the runs."""

import json
import stat

import line
import pytest
from click.testing import CliRunner
from conftest import ROOT

DESCRIBED = """
recipe: small
common: [data.train.file=a.jsonl]
common_search: ["export.formats=[]"]
search:
  - {label: slow, set: [train.learning_rate=1.0e-4]}
  - {label: fast, set: [train.learning_rate=1.0e-3], options: [--backend, plain]}
  - {label: broken, set: [train.learning_rate=9.0e-1]}
runs:
  - label: reference
  - {label: stage, recipe: other}
"""
# Stands for python: `-m hft train RECIPE ...` leaves a run whose exact match is 1 at the learning rate 1e-3, else 0.
TRAINED = """#!/bin/sh
run="$HFT_RUNS/$4/$$"
mkdir -p "$run/answers"
echo "$4: new run $run"
echo "$@" > "$run/words"
case "$*" in
  *9.0e-1*) exit 3;;
  *1.0e-3*) hit=1;;
  *) hit=0;;
esac
echo "{\\"id\\": \\"1\\", \\"exact_match\\": $hit, \\"f1\\": $hit, \\"contains\\": $hit}" > "$run/answers/adapter.jsonl"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "references" / "small").mkdir(parents=True)
    (tmp_path / "references" / "small" / "line.yaml").write_text(DESCRIBED, encoding="utf-8")
    (tmp_path / "recipes").mkdir()
    for name, shipped in (("small", "quickstart"), ("other", "medical_quickstart_2")):
        text = (ROOT / "recipes" / f"{shipped}.yaml").read_text(encoding="utf-8")
        (tmp_path / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path / "recipes"))
    python = tmp_path / "python"
    python.write_text(TRAINED, encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(line, "REFERENCES", tmp_path / "references")
    monkeypatch.setattr(line.sys, "executable", str(python))
    return tmp_path


def run(folder, *words):
    return CliRunner().invoke(line.main, ["small", "--into", str(folder / "out"), *words])


def ended(folder):
    rows = json.loads((folder / "out" / "line.json").read_text(encoding="utf-8"))
    return {row["label"]: row for row in rows}


def words(folder, label):
    return (folder / "out" / ended(folder)[label]["run"] / "words").read_text(encoding="utf-8").split()


def test_an_entry_has_what_all_share_then_its_own_then_the_callers(folder):
    assert line.entries("small", "search", ["model.name=x"])[0] == line.Entry(
        label="slow",
        part="search",
        recipe="small",
        settings=["data.train.file=a.jsonl", "export.formats=[]", "train.learning_rate=1.0e-4", "model.name=x"],
        options=[],
    )


def test_a_stage_has_its_parents_model(folder):
    settings = ["model.name=models/x", "model.revision=local", "train.seed=2"]
    reference, stage = line.entries("small", "runs", settings)
    assert reference.settings == ["data.train.file=a.jsonl", *settings]
    assert stage == line.Entry("stage", "runs", "other", ["data.train.file=a.jsonl", "train.seed=2"], [])


def test_the_search_says_each_score_and_what_failed(folder):
    answer = run(folder, "--part", "search", "--at-once", "2", "--gpus", "0,1")
    assert answer.exit_code == 1
    assert "slow: exact match 0.0, " in answer.output
    assert "fast: exact match 100.0, " in answer.output
    assert "broken: failed (exit 3): " in answer.output
    assert {label: row["exit"] for label, row in ended(folder).items()} == {"slow": 0, "fast": 0, "broken": 3}
    assert words(folder, "fast")[-2:] == ["--backend", "plain"]


def test_what_has_finished_is_not_run_again(folder):
    run(folder, "--part", "search", "--labels", "slow,fast")
    before = ended(folder)
    answer = run(folder, "--part", "search", "--labels", "slow,fast")
    assert answer.output == "2 of 2 have finished already; 0 to run\n"
    assert answer.exit_code == 0
    assert ended(folder) == before
    changed = run(folder, "--part", "search", "--labels", "slow", "--set", "train.seed=1")
    assert "0 of 1 have finished already; 1 to run" in changed.output


def test_runs_take_the_best_configurations_settings(folder):
    run(folder, "--part", "search", "--labels", "slow,fast")
    answer = run(folder, "--part", "runs", "--with", "best")
    assert "With the settings of fast\n" in answer.output
    assert words(folder, "reference")[4:] == [
        "--set",
        "data.train.file=a.jsonl",
        "--set",
        "train.learning_rate=1.0e-3",
    ]
    assert words(folder, "stage")[3] == "other"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--with", "best"], "no searched configuration has finished\n  Fix: run them first: --part search"),
        (["--with", "odd"], "no searched configuration odd\n  Fix: take one of: slow, fast, broken"),
    ],
)
def test_settings_that_are_not_there(folder, words, said):
    answer = run(folder, "--part", "runs", *words)
    assert answer.exit_code == 1
    assert said in answer.output


def test_a_line_that_is_not_there(folder):
    answer = CliRunner().invoke(line.main, ["odd", "--into", str(folder / "out")])
    assert answer.exit_code == 1
    assert "no line odd: " in answer.output
    assert "Fix: take one of: small" in answer.output
