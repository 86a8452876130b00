"""Runs and stages as tables: what stands in each cell, and what is said where there is none."""

import pytest

from hft import files
from hft.errors import HftError
from hft.runs import folder as runs
from hft.runs import stages, tables

GOOD, BAD = ({"mean": mean, "low": 0.0, "high": 100.0} for mean in (80.0, 0.6))
TRAINED, BASE = ({"questions": 160, "exact_match": cell, "f1": cell, "contains": cell} for cell in (GOOD, BAD))
CHAT = {**BASE, "exact_match": {"mean": 59.0, "low": 50.0, "high": 65.0}}
NEVER = {"mean": 40.0, "low": 0.0, "high": 100.0}
REASONED = {**TRAINED, "reasoning": {"right": NEVER, "format": NEVER, "tokens": NEVER}}


@pytest.mark.parametrize(
    ("evaluation", "text"),
    [
        (None, "-"),
        ({"base": BASE, "adapter": TRAINED}, "0.6 -> 80.0"),
        ({"base": BASE, "model": TRAINED}, "0.6 -> 80.0"),
        ({"base": REASONED, "adapter": REASONED}, "40.0 -> 40.0"),
        ({"base": BASE, "base-chat": CHAT, "adapter": {**TRAINED, "gain": {"over": "base-chat"}}}, "59.0 -> 80.0"),
        ({"base": BASE}, "-"),
        ({"adapter": TRAINED}, "-"),
    ],
)
def test_the_score_of_a_run(evaluation, text):
    assert tables.scores({"evaluation": evaluation}) == text


def facts(steps):
    return {
        "training": {"steps": steps, "of_steps": 45},
        "evaluation": {"base": BASE, "adapter": TRAINED},
        "recipe": {"digest": "0123456789abcdef"},
    }


def test_one_line_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_RUNS", str(tmp_path))
    folders = [tmp_path / "quickstart" / f"2026112{day}T000000-0123456789ab" for day in (1, 2, 3)]
    for folder, steps in zip(folders, (45, 10, None), strict=True):
        folder.mkdir(parents=True)
        if steps:
            files.write_json(folder / runs.PASSPORT, facts(steps))
    lines = [line.split("  ") for line in tables.runs_table("quickstart").splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [
        ["run", "state", "steps", "exact match", "digest"],
        [str(folders[0]), "finished", "45/45", "0.6 -> 80.0", "0123456789ab"],
        [str(folders[1]), "stopped", "10/45", "0.6 -> 80.0", "0123456789ab"],
        [str(folders[2]), "unfinished", "-", "-", "0123456789ab"],
    ]


def test_without_runs_it_is_said_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_RUNS", str(tmp_path))
    assert tables.runs_table(None) == f"No runs in {tmp_path} yet. Start with: make train RECIPE=quickstart"
    assert tables.runs_table("codeio") == f"No runs of codeio in {tmp_path} yet. Start with: make train RECIPE=codeio"
    with pytest.raises(HftError, match=r"no runs and no recipe of the name 'quikstart'; did you mean 'quickstart'\?"):
        tables.runs_table("quikstart")


def test_one_line_a_stage(monkeypatch):
    first = stages.Stage("base", "run-1", "d" * 64, "w" * 64, None)
    second = stages.Stage("tuned", "run-2", "e" * 64, "v" * 64, facts(45))
    monkeypatch.setattr(stages, "lineage", lambda run: [first, second])
    assert [line.split() for line in tables.lineage(None).splitlines()[1:]] == [
        ["base", "run-1", "d" * 12, "w" * 12, "gone"],
        ["tuned", "run-2", "e" * 12, "v" * 12, "0.6", "->", "80.0"],
    ]
