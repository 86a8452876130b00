"""A recipe's rewards as the trainer calls them: options, mistakes, tags, and what is kept of the completions."""

import json
import math
import shutil
from types import SimpleNamespace

import pytest
from conftest import ROOT

from hft.data.rows import Sample
from hft.data.tokens import Tokens
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
            "unknown reward 'fromat_exact'; did you mean 'format_exact'?; known: format_exact, format_approximate, "
            "answer, number, language, codeio, or file.py:function beside the recipe",
        ),
        ("- language", "language needs options.wanted"),
        ("- {name: format_exact, options: {scroe: 1}}", "format_exact has no option 'scroe'; it has: score"),
        ("- grpo_quickstart.py:wrong", "grpo_quickstart.py has no function 'wrong'; it has: review, one_word, right"),
    ],
)
def test_a_wrong_reward_is_explained_by_check(invoke, tmp_path, reward, said):
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


FIX = (
    "\n  Fix: it is called as  def right(completions, answer, **columns)  and returns a list with one finite number "
    "for each completion"
)
BROKEN = [
    ("return None", "it gave None for {n} completions"),
    ("return 'high'", "it gave high for {n} completions"),
    ("return 1.0", "it gave 1.0 for {n} completions"),
    ("return {}", "it gave {} for {n} completions"),
    ("return []", "it gave [] for {n} completions"),
    ("return [1.0] * (len(completions) - 1)", None),
    ("return [1.0] * 99", None),
    ("return [1.0] * (len(completions) - 1) + [None]", "it gave None for completion {n} of {n}"),
    ("return [float('nan')] * len(completions)", "it gave nan for completion 1 of {n}"),
    ("return [float('inf')] * len(completions)", "it gave inf for completion 1 of {n}"),
    ("return [-float('inf')] * len(completions)", "it gave -inf for completion 1 of {n}"),
    ("return [10 ** 400] * len(completions)", None),
    ("return ['1'] * len(completions)", "it gave 1 for completion 1 of {n}"),
    ("return [1j] * len(completions)", "it gave 1j for completion 1 of {n}"),
    ("return [[1.0]] * len(completions)", "it gave [1.0] for completion 1 of {n}"),
    ("import numpy; return [numpy.float32('nan')] * len(completions)", "it gave nan for completion 1 of {n}"),
    ("import numpy; return [numpy.ones(2)] * len(completions)", "it gave [1. 1.] for completion 1 of {n}"),
    ("import numpy; return numpy.ones((len(completions), 1))", "it gave [1.0] for completion 1 of {n}"),
    ("import numpy; return numpy.float64(1)", "it gave 1.0 for {n} completions"),
    ("raise KeyError('level')", "KeyError: 'level'"),
    ("return [len(chat) / 0 for chat in completions]", "ZeroDivisionError: division by zero"),
]
GOOD = [
    ("[1, 2]", [1.0, 2.0]),
    ("(0.5, -1)", [0.5, -1.0]),
    ("[True, False]", [1.0, 0.0]),
    ("[numpy.float32(0.5), numpy.int64(2)]", [0.5, 2.0]),
    ("[numpy.bool_(True), numpy.array(3.0)]", [1.0, 3.0]),
    ("[numpy.array([1.5]), numpy.float64(2)]", [1.5, 2.0]),
    ("numpy.array([1, 2])", [1.0, 2.0]),
    ("numpy.array([0.5, 2], dtype=numpy.float32)", [0.5, 2.0]),
]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own(body) writes grpo_quickstart with one reward, `def mine(completions, **columns): body`; returns it loaded."""
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path / "recipes"))

    def write(body):
        python = tmp_path / "recipes" / "grpo_quickstart.py"
        python.write_text(f"{python.read_text()}\n\ndef mine(completions, **columns):\n    {body}\n")
        return recipe_file.load("grpo_quickstart", ("rewards=[grpo_quickstart.py:mine]",))

    return write


def message(reason, count):
    told = reason.replace("{n}", str(count)) if reason else ""
    return f"the reward grpo_quickstart.py:mine: {told}" + (FIX if reason else "")


@pytest.mark.parametrize(("body", "reason"), BROKEN, ids=[body for body, _ in BROKEN])
def test_a_reward_that_is_none_stops_the_training(own, tmp_path, body, reason):
    loaded = own(body)
    made = grader.of(loaded.recipe, loaded.code)
    for [judge] in (made, grader.recorded(made, tmp_path / "completions.jsonl", GRPO)):
        with pytest.raises(HftError) as error:
            judge(prompts=["?"] * 2, completions=SAID, answer=["34", "34"])
        assert error.value.message.startswith(message(reason, 2))
        assert error.value.message.endswith(FIX)
    assert not (tmp_path / "completions.jsonl").exists()


@pytest.mark.parametrize(("body", "reason"), BROKEN, ids=[body for body, _ in BROKEN])
def test_a_reward_that_is_none_is_found_by_the_trial(own, invoke, tmp_path, body, reason):
    own(body)
    told = ["--set", "rewards=[grpo_quickstart.py:mine]"]
    done = invoke("rewards", "grpo_quickstart", *told, HFT_RECIPES=str(tmp_path / "recipes"))
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {message(reason, 11)}")
    assert done.output.endswith(f"{FIX}\n")


def sample(question, answer):
    row = {"prompt": question, "solution": answer}
    return Sample(question, row, [{"role": "user", "content": question}], [answer], Tokens("", "", [1], [2]))


@pytest.mark.parametrize(("body", "reason"), BROKEN, ids=[body for body, _ in BROKEN])
def test_a_reward_that_is_none_stops_the_evaluation(own, body, reason):
    with pytest.raises(HftError) as error:
        grader.judged(own(body), [sample("1 + 1?", "2")] * 3, ["2"] * 3, None)
    assert error.value.message.startswith(message(reason, 3))


@pytest.mark.parametrize(("given", "scores"), GOOD, ids=[given for given, _ in GOOD])
def test_numbers_of_any_kind_become_floats(own, given, scores):
    loaded = own(f"import numpy; return {given}")
    [judge] = grader.of(loaded.recipe, loaded.code)
    judged = judge(prompts=["?"] * 2, completions=SAID)
    assert (judged, [type(score) for score in judged]) == (scores, [float, float])
    judged = grader.judged(loaded, [sample("1 + 1?", "2")] * 2, ["2"] * 2, None)
    assert judged == [(score, {"mine": score}) for score in scores]


@pytest.mark.parametrize(
    ("reward", "reason"),
    [
        ({"name": "format_exact", "options": {"score": math.inf}}, "it gave inf for completion 1 of 2"),
        ({"name": "format_exact", "options": {"score": "3"}}, "it gave 3 for completion 1 of 2"),
        ({"name": "answer"}, "TypeError: answer() missing 1 required positional argument: 'answer'"),
    ],
)
def test_a_built_in_reward_is_checked_alike(tmp_path, reward, reason):
    judge = grader.judge(Reward(**reward), tmp_path, Tags())
    with pytest.raises(HftError) as error:
        judge(prompts=["?"] * 2, completions=SAID)
    assert error.value.message == (
        f"the reward {reward['name']}: {reason}\n"
        "  Fix: look at its options in the recipe, and at the columns that it reads: hft prepare NAME"
    )


def test_an_error_that_explains_itself_is_handed_on(own, tmp_path):
    loaded = own("from hft.errors import HftError; raise HftError('no bubblewrap', 'install it')")
    [judge] = grader.of(loaded.recipe, loaded.code)
    with pytest.raises(HftError) as error:
        judge(prompts=["?"] * 2, completions=SAID)
    assert error.value.message == "no bubblewrap\n  Fix: install it"
