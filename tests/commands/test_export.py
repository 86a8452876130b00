"""`hft export` and `push`: what they make of a pretended run, and what they refuse before any work."""

import pytest

from hft.commands import batch
from hft.recipe.schema import FORMATS
from hft.runs import folder as runs


def test_formats_are_made_in_their_order(lab, run, invoke):
    result = invoke("export", "one", "--format", "q8_0", "--format", "merged")
    assert result.exit_code == 0, result.output
    made = [line for line in result.output.splitlines() if line.endswith("MB")]
    assert made == [f"{run.resolve()}/one-q8_0.gguf  0 MB", f"{run.resolve()}/merged  0 MB"]
    assert set(runs.passport(run)["evaluation"]) == {"base", "adapter", "one-q8_0.gguf", "merged"}


@pytest.mark.parametrize("command", ["export", "push"])
@pytest.mark.parametrize(
    ("kind", "guess"), [("merge", "; did you mean 'merged'?"), ("q4", "; did you mean 'q4_0'?"), ("wide", "")]
)
def test_an_unknown_format_is_refused_before_the_run_is_looked_for(lab, invoke, command, kind, guess):
    result = invoke(command, "nothing", "--format", "merged", "--format", kind)
    assert result.exit_code == 1
    assert result.output == f"Error: unknown format '{kind}'{guess}\n  Fix: choose of: {', '.join(FORMATS)}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("one",), "Error: Missing option '--format'.\n"),
        (("one", "--format", "merged", "--max-drop", "101"), "101.0 is not in the range 0<=x<=100.\n"),
        (("--format", "merged"), "Which recipe? For example: hft export --format q4_k_m quickstart\nRecipes: one\n"),
    ],
)
def test_misuse_is_explained(lab, run, invoke, words, said):
    result = invoke("export", *words)
    assert result.exit_code == 2
    assert result.output.endswith(said)
    assert lab.calls == []


@pytest.mark.parametrize(("options", "code"), [((), 1), (("--max-drop", "50"), 0), (("--max-drop", "49"), 1)])
def test_an_export_may_lose_what_is_said(lab, run, invoke, options, code):
    lab.forgets = ("merged",)
    result = invoke("export", "one", "--format", "merged", *options)
    assert result.exit_code == code
    assert ("Error: merged loses more than" in result.output) == bool(code)


def test_several_runs_are_exported_one_after_the_other(lab, invoke, monkeypatch):
    called = []
    monkeypatch.setattr(batch, "one", lambda command: called.append(command[3:]) or 4)
    result = invoke("export", "one", "two", "--format", "merged", "--max-drop", "0")
    assert result.exit_code == 4
    assert called == [["export", "one", "--format", "merged", "--max-drop", "0.0"]]
    assert [line.split("  ")[0] for line in result.output.splitlines()[-2:]] == ["one", "two"]


@pytest.mark.parametrize("command", ["export", "push", "evaluate", "verify", "bless", "lineage"])
def test_an_unfinished_run_is_explained(lab, run, invoke, command):
    (run / runs.PASSPORT).unlink()
    words = ("--format", "merged") if command in ("export", "push") else ()
    result = invoke(command, str(run), *words)
    assert (result.exit_code, result.output) == (1, f"Error: {run} is not finished\n  Fix: hft train one --resume\n")
