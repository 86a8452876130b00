"""What a recipe may write is what lies in hft's folders: a new source is its file alone."""

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from good import GOOD

from hft.recipe.section import members

PINS = '''"""`source: pins`: numbered rows."""

from typing import Literal

from hft.recipe.section import Count, Rows


class Spec(Rows):
    """So many rows."""

    source: Literal["pins"]
    count: Count
'''


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("data/sources", ("aihub", "codeio", "hub", "jsonl", "korquad", "mixture")),
        ("train/methods", ("grpo", "sft")),
        ("model/backends", ("plain", "unsloth")),
    ],
)
def test_a_folders_modules_are_the_names(folder, names):
    assert members(folder) == names


def test_a_new_source_is_a_file(tmp_path):
    shutil.copytree(ROOT / "hft", tmp_path / "hft", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "hft" / "data" / "sources" / "pins.py").write_text(PINS)
    (tmp_path / "recipes").mkdir()
    recipe = GOOD.replace("source: jsonl", "source: pins").replace("file: rows.jsonl", "cuont: 3")
    (tmp_path / "recipes" / "mine.yaml").write_text(recipe)
    command = [sys.executable, "-m", "hft", "check", "mine"]
    done = subprocess.run(command, cwd=tmp_path, env={"HFT_RECIPES": "recipes"}, capture_output=True, text=True)
    assert done.stderr.splitlines()[1:3] == [
        "  line 7: data.train.count: is missing",
        "  line 9: data.train.cuont: unknown key; did you mean 'count'?",
    ]
