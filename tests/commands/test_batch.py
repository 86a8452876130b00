"""Several recipes in one command: in order, checked before the first begins, stopping at a failure, one table."""

import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def recipes(tmp_path):
    """A folder with the quickstart and one whose data is missing."""
    folder = tmp_path / "recipes"
    shutil.copytree(ROOT / "recipes", folder)
    text = (folder / "quickstart.yaml").read_text(encoding="utf-8")
    (folder / "dataless.yaml").write_text(text.replace("quickstart/train.jsonl", "missing.jsonl"), encoding="utf-8")
    return folder


def columns(line):
    return [word for word in line.split("  ") if word.strip()]


def test_they_run_in_order_and_stop_at_a_failure(shell, recipes):
    done = shell("train", "quickstart", "dataless", "quickstart", "--dry-run", HFT_RECIPES=str(recipes))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("== ")] == [
        "== 1 of 3: hft train quickstart",
        "== 2 of 3: hft train dataless",
    ]
    assert "no data file missing.jsonl" in done.stderr
    states = [[word.strip() for word in columns(line)][:2] for line in lines[-3:]]
    assert states == [["quickstart", "done"], ["dataless", "failed (exit 1)"], ["quickstart", "not begun"]]
    assert columns(lines[-4])[0].strip() == "recipe"


def test_a_mistake_in_the_last_shows_before_the_first_begins(invoke, recipes):
    (recipes / "broken.yaml").write_text("method: sft\n", encoding="utf-8")
    result = invoke("train", "quickstart", "broken", HFT_RECIPES=str(recipes))
    assert result.exit_code == 1
    assert "broken.yaml has" in result.output
    assert "== 1 of 2" not in result.output


@pytest.mark.parametrize("words", [("train",), ("evaluate",), ("export", "--format", "q8_0")])
def test_without_a_name_the_recipes_are_listed(invoke, words):
    result = invoke(*words)
    assert result.exit_code == 2
    assert f"Recipes: {' '.join(sorted(path.stem for path in (ROOT / 'recipes').glob('*.yaml')))}\n" in result.output


def test_options_reach_every_recipe(monkeypatch, invoke):
    from hft.commands import batch

    called = []
    monkeypatch.setattr(batch, "one", lambda command: called.append(command[3:]) or 0)
    result = invoke(
        "train",
        "quickstart",
        "quickstart",
        "--set",
        "train.steps=3",
        "--max-steps",
        "2",
        "--backend",
        "plain",
        "--anew",
    )
    assert result.exit_code == 0, result.output
    wanted = ["train", "quickstart", "--anew", "--set", "train.steps=3", "--max-steps", "2", "--backend", "plain"]
    assert called == [wanted, wanted]
    called.clear()
    invoke("export", "quickstart", "quickstart", "--format", "q8_0", "--format", "merged", "--max-drop", "20")
    assert called[0] == ["export", "quickstart", "--format", "q8_0", "--format", "merged", "--max-drop", "20.0"]


CHILD = """
import signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: sys.exit(number + 40))
print("begun", flush=True)
time.sleep(30)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "a stop"])
def test_ctrl_c_and_a_stop_are_handed_on(number):
    """Also without a terminal, where nobody else tells the training: under `docker stop`, or in a pipe."""
    code = f"import sys; from hft.commands import batch; sys.exit(batch.one([sys.executable, '-c', {CHILD!r}]))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        assert process.wait(timeout=20) == number + 40
