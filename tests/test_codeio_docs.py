"""docs/codeio.md and its lines: the commands are those of hft, and their numbers fit the recipes."""

import json
import re
import shlex
import shutil

import pytest
import yaml
from conftest import ROOT
from functions import made
from talking import Server

from hft import check
from hft.cli import cli
from hft.data import codeio_lessons
from hft.recipe import file as recipe_file

TEXT = (ROOT / "docs" / "codeio.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S) for line in block.splitlines()]
HFT = [shlex.split(line)[1:] for line in COMMANDS if line.startswith(".venv/bin/hft ")]
[ANSWER] = [words for words in HFT if words[:2] == ["codeio", "answer"]]
[VLLM] = [shlex.split(line) for line in COMMANDS if " serve " in line]
LINES = ("codeio_small", "codeio_small_grpo")
ENTRIES = [
    (name, part, entry)
    for name in LINES
    for part in ("search", "runs")
    for entry in yaml.safe_load((ROOT / "references" / name / "line.yaml").read_text(encoding="utf-8"))[part]
]


def value(words, option):
    return words[words.index(option) + 1]


@pytest.mark.parametrize("words", HFT, ids=" ".join)
def test_each_command_is_one_of_hft(words):
    name, *options = words
    if name == "codeio":
        command, options = cli.commands[name].commands[options[0]], options[1:]
    else:
        command = cli.commands[name]
    command.make_context(name, options)


def test_the_numbers_of_the_server_the_answers_and_the_recipes_fit():
    recipes = [recipe_file.load(name).recipe for name in LINES]
    tokens = int(value(ANSWER, "--max-tokens"))
    assert {recipe.evaluate.max_new_tokens for recipe in recipes} == {recipes[1].grpo.completion_tokens} == {tokens}
    # A question that fits the recipe, its answer, what was wrong with it, and the second answer.
    assert int(value(VLLM, "--max-model-len")) > recipes[0].model.max_tokens + 2 * tokens
    assert value(VLLM, "serve") == recipes[0].model.name == recipes[1].model.name
    assert value(VLLM, "--served-model-name") == value(ANSWER, "--model")
    assert value(ANSWER, "--out") == f"data/{recipes[0].data.train.answers}"
    assert f"127.0.0.1:{value(VLLM, '--port')}/v1" in value(ANSWER, "--endpoint")


def test_both_recipes_train_and_ask_the_same_functions():
    sft, grpo = (recipe_file.load(name).recipe.data for name in LINES)
    assert sft.evaluate == grpo.evaluate
    assert sft.train.model_copy(update={"answers": None, "revised": None}) == grpo.train
    assert (grpo.train.functions[1], grpo.train.functions[0]) == (grpo.evaluate.functions[0], 0)
    assert grpo.evaluate.functions[1] == 1


@pytest.mark.parametrize(("name", "part", "entry"), ENTRIES, ids=lambda value: str(value)[:40])
def test_each_entry_of_the_lines_is_a_correct_recipe(name, part, entry, monkeypatch):
    told = yaml.safe_load((ROOT / "references" / name / "line.yaml").read_text(encoding="utf-8"))
    settings = [*told.get("common", []), *told.get(f"common_{part}", []), *entry.get("set", [])]
    assert check.load(told["recipe"], tuple(settings)).name == name
    cli.commands["train"].make_context("train", [name, *entry.get("options", [])])


def test_three_configurations_or_more_are_searched():
    assert all(sum(name == line and part == "search" for line, part, _ in ENTRIES) >= 3 for name in LINES)


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_the_answers_of_the_command_are_what_the_recipe_learns_from(invoke, tmp_path):
    functions = [made(f"return n + {number}") for number in range(8)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "codeio_small.jsonl").write_text("".join(json.dumps(one) + "\n" for one in functions))
    with Server(lambda messages: '{"input": {"n": 1}, "output": 5}' if len(messages) > 1 else "no idea") as server:
        words = [server.address if "127.0.0.1" in word else word for word in ANSWER]
        result = invoke(*words, HFT_CACHE=str(tmp_path / "cache"))
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (tmp_path / value(ANSWER, "--out")).read_text().splitlines()]
    right = [one for one in records if one["status_2"] == "correct"]
    assert 0 < len(right) < len(records)
    assert {one["sample"] for one in records} == {1, 2, 3, 4}
    result = invoke("prepare", "codeio_small", "--out", "rows.jsonl", HFT_CACHE=str(tmp_path / "cache"))
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    taught = [(one["id"], one["turn_2"]) for one in right]
    assert sorted((row["id"].rpartition(".")[0], row["answer"]) for row in rows if row.get("turns")) == sorted(taught)
    assert all(row["turns"][1]["content"].endswith(codeio_lessons.AGAIN) for row in rows if row.get("turns"))
