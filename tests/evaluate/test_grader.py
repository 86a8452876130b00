"""A recipe's rewards as the trainer calls them: options, mistakes, tags, and what is kept of the completions."""

import json
from types import SimpleNamespace

import pytest

from hft.errors import HftError
from hft.evaluate import grader
from hft.evaluate.reasoning import Tags
from hft.recipe import file as recipe_file
from hft.recipe.schema import Grpo, Reward

GRPO = Grpo(completion_tokens=8, generations=2)
SAID = [[{"role": "assistant", "content": "<think>a</think>34"}], [{"role": "assistant", "content": "34"}]]


def test_options_weights_and_names_of_a_shipped_recipe():
    recipe = recipe_file.load("grpo_indonesian").recipe
    made = grader.of(recipe, None)
    assert [one.__name__ for one in made] == ["format_exact", "format_approximate", "answer", "number", "language"]
    assert made[2](
        prompts=["?"] * 2, completions=SAID, completion_ids=None, trainer_state=None, answer=["34", "34"]
    ) == [5.0, -4.5]


def test_two_rewards_of_one_function_have_two_names():
    told = "rewards=[answer, {name: answer, compat: seed}, answer]"
    made = grader.of(recipe_file.load("grpo_indonesian", (told,)).recipe, None)
    assert [one.__name__ for one in made] == ["answer", "answer_2", "answer_3"]


def test_seed_scores_are_the_recipes_choice(tmp_path):
    told = Reward(name="format_exact", compat="seed")
    assert grader.judge(told, tmp_path, Tags())(prompts=[], completions=[[{"content": "</think>"}]]) == [3.0]
    assert grader.judge(Reward(name="format_exact"), tmp_path, Tags())(
        prompts=[], completions=[[{"content": "</think>"}]]
    ) == [0.0]


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (
            "- fromat_exact",
            "unknown reward 'fromat_exact'; did you mean 'format_exact'?; known: format_exact, format_approximate, answer, "
            "number, language, codeio, or file.py:function beside the recipe",
        ),
        ("- language", "language needs options.wanted"),
        ("- {name: format_exact, options: {scroe: 1}}", "format_exact has no option 'scroe'; it has: score"),
        ("- grpo_quickstart.py:wrong", "grpo_quickstart.py has no function 'wrong'; it has: review, one_word, right"),
    ],
)
def test_a_wrong_reward_is_explained_by_check(invoke, tmp_path, reward, said):
    import shutil

    from conftest import ROOT

    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    path = tmp_path / "recipes" / "grpo_quickstart.yaml"
    path.write_text(path.read_text().replace("- grpo_quickstart.py:right", reward))
    result = invoke("check", "grpo_quickstart", HFT_RECIPES=str(tmp_path / "recipes"))
    assert result.exit_code == 1
    assert f"rewards: {said}\n" in result.output


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "grpo.generations=5",
            "train.batch_size 16 counts completions and must be divisible by grpo.generations 5; "
            "generations that fit: 2, 4, 8, 16",
        ),
        ("method=sft", "'grpo' and 'rewards' belong to method: grpo"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_explained(invoke, setting, said):
    result = invoke("check", "grpo_quickstart", "--set", setting)
    assert result.exit_code == 1
    assert said in result.output


def test_completions_are_kept_every_so_many_steps(tmp_path):
    def length(prompts, completions, **columns):
        return [float(len(one[0]["content"])) for one in completions]

    [judge] = grader.recorded([length], tmp_path / "completions.jsonl", GRPO.model_copy(update={"keep_completions": 2}))
    for step in range(4):
        judge(prompts=["?", "?"], completions=SAID, trainer_state=SimpleNamespace(global_step=step))
    kept = [json.loads(line) for line in (tmp_path / "completions.jsonl").read_text().splitlines()]
    assert [one["step"] for one in kept] == [0, 0, 2, 2]
    assert kept[0] == {"step": 0, "prompt": "?", "completion": "<think>a</think>34", "rewards": {"length": 18.0}}


@pytest.mark.parametrize("given", [float("nan"), float("inf"), None])
def test_a_score_that_is_no_number_stops_the_training(tmp_path, given):
    def broken(prompts, completions, **columns):
        return [given]

    [judge] = grader.recorded([broken], tmp_path / "x", GRPO)
    with pytest.raises(HftError, match="the reward broken gave a score that is not a finite number"):
        judge(prompts=["?"], completions=SAID[:1])
