"""`hft list`, `check` and `show`: what they say of the recipes that there are."""


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
