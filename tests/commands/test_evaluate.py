"""`hft evaluate`, `generate` and `rewards`: what they say of a pretended run, and what they refuse."""

import json

import pytest

from hft.commands import batch
from hft.runs import folder as runs

HEAD = "2 held-out questions, scores x 100 [95 % interval]\n"


def test_a_run_is_asked_again_by_its_recipes_name_or_its_folder(lab, run, invoke):
    for name in ("one", str(run)):
        result = invoke("evaluate", name)
        assert (result.exit_code, result.output.startswith(HEAD)) == (0, True)
        assert "\nexact match   0.0 [0.0, 81.3]   50.0 [1.8, 98.2]\n" in result.output
    assert lab.calls.count("asking adapter (questions)") == 2


def test_predictions_are_scored_without_a_run(lab, invoke, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"evaluate0": "Lena"}))
    result = invoke("evaluate", "one", "--predictions", str(path), "--set", "evaluate.by=answer")
    assert result.exit_code == 0
    assert result.output == (
        '{"exact_match": 50.0, "f1": 50.0}\n'
        f"{HEAD}"
        "                     mine.json\n"
        "exact match          50.0 [1.8, 98.2]\n"
        "character F1         50.0 [0.0, 100.0]\n"
        "contains             50.0 [1.8, 98.2]\n"
        "exact match by part\n"
        "  Ida (1)            0.0\n"
        "  Lena (1)           100.0\n"
        "1 of 2 answers are missing and count 0\n"
    )
    assert (lab.calls, runs.every()) == ([], [])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("one", "two", "--predictions", "PATH"), 2, "Error: --predictions is scored on one recipe\n"),
        (("one", "--predictions", "gone.json"), 2, "File 'gone.json' does not exist.\n"),
        (("nothing", "--predictions", "PATH"), 1, "Error: no recipe 'nothing' in recipes\n  Fix: choose one of: one\n"),
        (
            ("one", "--set", "data.evaluate=null", "--predictions", "PATH"),
            1,
            "Error: recipe one has no held-out rows\n  Fix: add data.evaluate or data.held_out to it\n",
        ),
        (
            ("one", "--set", "train.seed=1"),
            2,
            "Error: --set belongs to --predictions; a finished run keeps its recipe\n",
        ),
        (("one",), 1, "Error: recipe one has no finished run in runs\n  Fix: make train RECIPE=one\n"),
    ],
)
def test_misuse_is_explained(lab, invoke, tmp_path, words, code, said):
    path = tmp_path / "answers.json"
    path.write_text("{}")
    result = invoke("evaluate", *(str(path) if word == "PATH" else word for word in words))
    assert result.exit_code == code
    assert result.output.endswith(said)


def test_several_runs_are_asked_one_after_the_other(lab, run, invoke, monkeypatch):
    called = []
    monkeypatch.setattr(batch, "one", lambda command: called.append(command[3:]) or 0)
    result = invoke("evaluate", "one", "two", "--device", "cpu")
    assert (result.exit_code, result.output.splitlines()[:2]) == (
        0,
        ["== 1 of 2: hft evaluate one", "== 2 of 2: hft evaluate two"],
    )
    assert called == [["evaluate", "one", "--device", "cpu"], ["evaluate", "two", "--device", "cpu"]]
    assert invoke("evaluate", "one", "two", "--set", "train.seed=1").exit_code == 2
    assert len(called) == 2


def test_both_models_answer_a_prompt(lab, run, invoke):
    result = invoke("generate", "one", "--prompt", "Who?", "--context", "Lena was it.", "--max-new-tokens", "3")
    assert (result.exit_code, result.output) == (0, "base:    ?\ntrained: Len\n")


def test_an_empty_prompt_is_explained(run, invoke):
    result = invoke("generate", "one", "--prompt", "  ")
    assert result.exit_code == 2
    assert "Error: --prompt is empty; for example: make generate RECIPE=quickstart" in result.output


def test_rewards_are_tried_on_a_file_of_completions(invoke, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"completion": "yes", "answer": "yes"}\n')
    result = invoke("rewards", "grpo_quickstart", "--completions", str(path))
    assert result.exit_code == 0, result.output
    assert "right" in result.output.splitlines()[0]


def test_a_recipe_without_rewards_has_none_to_try(invoke):
    result = invoke("rewards", "quickstart")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
