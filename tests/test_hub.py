"""`source: hub` without a hub: what cannot be had is an error with a remedy. (Real hubs are not reached by the tests.)"""

import os
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("offline", ["0", "1"], ids=["no way there", "offline"])
def test_a_dataset_that_cannot_be_had_is_explained(tmp_path, offline):
    code = ("from hft.data import hub; from hft.recipe_data import Hub; from pathlib import Path\n"
            "list(hub.rows(Hub(source='hub', name='someone/something', revision='0123abc'), Path()))")
    environment = {**os.environ, "HF_HUB_OFFLINE": offline, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9",
                   "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    last = done.stderr.strip().splitlines()
    assert any("hft.errors.HftError: dataset someone/something@0123abc (train): " in line for line in last), done.stderr
    assert last[-1] == ("  Fix: check name, revision and split; a private one needs HF_TOKEN; offline it must be in the cache")


@pytest.mark.slow
def test_a_dataset_folder_is_read_in_order(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n{"question": "2 + 2", "answer": "4"}\n')
    code = ("from hft.data import hub; from hft.recipe_data import Hub; from pathlib import Path\n"
            f"print(list(hub.rows(Hub(source='hub', name={str(tmp_path / 'rows')!r}, revision='main'), Path())))")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "[{'question': '1 + 1', 'answer': '2'}, {'question': '2 + 2', 'answer': '4'}]", done.stderr
