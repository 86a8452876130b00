"""The section `evaluate`: how many rows, and other recipes whose questions are asked too."""

import pytest
from good import GOOD

from hft.errors import HftError
from hft.recipe import file as recipe_file

HELD = GOOD.replace("prompt:\n", "  held_out: 0.5\nprompt:\n")


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))
    (tmp_path / "other.yaml").write_text(HELD)
    (tmp_path / "mine.yaml").write_text(HELD + "evaluate:\n  also: [other]\n")
    return tmp_path


def test_it_is_shown_with_its_line_and_its_meaning(recipes, invoke):
    [line] = [one for one in invoke("show", "mine", HFT_RECIPES=str(recipes)).output.splitlines() if "also" in one]
    assert line.split(maxsplit=3) == [
        "evaluate.also",
        "['other']",
        "mine.yaml:20",
        "recipes whose held-out questions are asked too, in their own form, before and after: what was forgotten",
    ]


def test_none_is_the_same_recipe_however_it_is_written(recipes):
    without = recipe_file.load("other").digest
    assert recipe_file.load("mine").digest != without
    for none in ("[]", "null"):
        assert recipe_file.load("mine", (f"evaluate.also={none}",)).digest == without


def test_what_is_no_list_is_named_with_its_line(recipes, invoke):
    (recipes / "mine.yaml").write_text(HELD + "evaluate:\n  also: other\n")
    result = invoke("check", "mine", HFT_RECIPES=str(recipes))
    assert result.exit_code == 1
    assert "  line 20: evaluate.also: input should be a valid list, not 'other'\n" in result.output


def test_a_word_for_a_number_of_rows_is_told_which_one_there_is():
    with pytest.raises(HftError) as error:
        recipe_file.load("quickstart", ("evaluate.rows=some",))
    assert "evaluate.rows: write a number of rows, or all: not 'some'" in error.value.problem
    assert recipe_file.load("quickstart", ("evaluate.rows=all",)).recipe.evaluate.rows is None
