"""`hft rewards NAME`: canned completions, their scores, and the warnings that save a training."""

import json
import shutil

from conftest import ROOT


def rows(output):
    return {line[:35].strip(): line[35:].split() for line in output.splitlines()}


def test_the_scores_of_a_shipped_recipe(invoke):
    result = invoke("rewards", "grpo_indonesian")
    assert result.exit_code == 0, result.output
    scores = rows(result.output)
    assert scores["right"] == ["3", "1", "5", "3.5", "5", "17.5"]
    assert scores["wrong"] == scores["number stuffed into the reasoning"] == ["3", "1", "-2.5", "-1.5", "5", "5"]
    assert scores["empty"] == ["0", "-2", "-4.5", "-2.5", "-5", "-14"]
    assert len(scores["microseconds a call"]) == 6
    assert "Warning" not in result.output
    assert result.output.splitlines()[-5:] == [
        "format_exact: a right answer earns 3, one without tags 0",
        "format_approximate: a right answer earns 1, one without tags -2",
        "answer: a right answer earns 5, one without tags -4.5",
        "number: a right answer earns 3.5, one without tags -2.5",
        "language: a right answer earns 5, one without tags -5",
    ]


def test_a_reward_that_pays_untagged_answers_too_says_how_much(invoke):
    told = "rewards=[format_exact, {name: answer, options: {untagged: 0.5}}]"
    lines = invoke("rewards", "grpo_indonesian", "--set", told).output.splitlines()
    assert "answer: a right answer earns 5, one without tags 2.5" in lines


def test_a_reward_that_needs_no_tags_has_no_such_line(invoke):
    assert "without tags" not in invoke("rewards", "grpo_quickstart").output


def test_a_reward_that_pays_for_nothing_is_named(invoke, tmp_path):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    python = tmp_path / "recipes" / "grpo_quickstart.py"
    python.write_text(
        python.read_text()
        + """

def short(completions, **columns):
    return [-float(len(chat[0]["content"])) for chat in completions]


def same(completions, **columns):
    return [1.0] * len(completions)
"""
    )
    recipe = tmp_path / "recipes" / "grpo_quickstart.yaml"
    recipe.write_text(recipe.read_text().replace("py:one_word", "py:short").replace("py:right", "py:same"))
    output = invoke("rewards", "grpo_quickstart", HFT_RECIPES=str(tmp_path / "recipes")).output
    assert "Warning: 'empty' earns 1, more than an honest wrong answer (" in output
    assert "Warning: same gives every completion 1: from such a reward nothing is learned" in output


def test_completions_of_a_file_are_scored(invoke, tmp_path):
    path = tmp_path / "mine.jsonl"
    line = {"completion": "<think>Kita hitung jumlah semua bilangan itu</think>7", "answer": "7", "what": "mine"}
    path.write_text(json.dumps(line) + "\n")
    lines = invoke("rewards", "grpo_indonesian", "--completions", str(path)).output.splitlines()
    assert lines[1].split() == ["mine", "3", "1", "5", "3.5", "5", "17.5"]
    path.write_text("[]\n")
    result = invoke("rewards", "grpo_indonesian", "--completions", str(path))
    assert (result.exit_code, 'each line is {"completion": "...", "answer": "..."}' in result.output) == (1, True)


def test_a_recipe_without_rewards_is_refused(invoke):
    result = invoke("rewards", "quickstart")
    assert (result.exit_code, result.output) == (
        1,
        "Error: recipe quickstart has no rewards\n  Fix: choose one with method: grpo, such as grpo_quickstart\n",
    )
