"""Recipe files: every shipped one is correct; settings reach into them; the digest follows what changes the result."""

import pytest
import yaml
from conftest import ROOT
from good import GOOD
from shipped import SHIPPED

from hft.recipe import file as recipe_file
from hft.recipe.catalogue import catalogue


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_is_correct(name, invoke):
    result = invoke("check", name)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{name}: correct (digest ")
    head = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[:3]
    line = name.rpartition("_")[0]
    several = f'"{line}_1 {line}_2"' if name.startswith("medical_") else name
    assert head[1] == f"# Run:    make train RECIPE={several}"
    assert head[2].startswith("# Change: cp recipes/")


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("grpo_indonesian", "rewards.2.weight=2", ("rewards", 2, "weight", 2.0)),
        ("grpo_indonesian", "rewards.2.options.far=-1", ("rewards", 2, "options", {"far": -1.0})),
        ("medical_quickstart_2", "parent.weights=adapter", ("parent", "recipe", None, "medical_quickstart_1")),
    ],
)
def test_a_setting_reaches_into_lists_and_bare_names(name, setting, value):
    *way, wanted = value
    reached = recipe_file.load(name, (setting,)).recipe
    for part in filter(lambda part: part is not None, way):
        reached = reached[part] if isinstance(part, int) else getattr(reached, part)
    assert reached == wanted


def test_a_setting_beyond_a_list_is_explained(invoke):
    output = invoke("check", "grpo_indonesian", "--set", "rewards.9.weight=2").output
    assert "--set rewards.9.weight=2: rewards is a list of 5; name one of it, such as rewards.0" in output


def test_an_unknown_name_lists_the_known_ones(invoke):
    output = invoke("check", "korquad_qlor").output
    assert "did you mean 'korquad_qlora'?" in output
    assert f"choose one of: {' '.join(catalogue())}" in output


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
    reached = loaded.recipe
    for part in key:
        reached = getattr(reached, part)
    assert reached == value
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


def test_settings_written_in_yaml_are_what_yaml_says():
    trap = "what learning_rate: 2e-4 would be, did pydantic not read numbers in text"
    assert yaml.safe_load("2e-4") == "2e-4", trap
