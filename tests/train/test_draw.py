"""The dry draw before a training by reward, and the same look at its last steps: what is flat, what is said of it."""

import json
import math
from types import SimpleNamespace

import pytest
from characters import Characters
from hypothesis import given
from hypothesis import strategies as st

from hft import files
from hft.data import order
from hft.data.rows import Sample
from hft.data.tokens import Tokens
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.train import draw, flat, session
from hft.train.session import Opened

REWARDS = '''
def short(completions, answer, level, **columns):
    """1 for a completion of the row's own length."""
    return [float(len(text) == int(wanted)) for text, wanted in zip(completions, level, strict=True)]


def long(completions, **columns):
    return [float(len(text)) for text in completions]
'''
GRPO = {"generations": 2, "completion_tokens": 5, "temperature": 0.7, "top_p": 0.9}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Make a recipe of 2 prompts a step, and an opened model that says these texts; `calls` has what was generated."""
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path))
    (tmp_path / "one.py").write_text(REWARDS)
    (tmp_path / "one.jsonl").write_text('{"context": "", "question": "?", "answer": "a"}\n')

    def make(says, rewards=("one.py:short",), grpo=(), steps=20):
        told = {
            "method": "grpo",
            "model": {"name": "m", "revision": "1", "quantization": "none", "max_tokens": 64},
            "data": {"train": {"source": "jsonl", "file": "one.jsonl"}},
            "prompt": {"format": "question"},
            "train": {"batch_size": 4, "steps": steps, "learning_rate": 1e-3, "seed": 5},
            "grpo": {**GRPO, **dict(grpo)},
            "rewards": list(rewards),
        }
        (tmp_path / "one.yaml").write_text(json.dumps(told))
        calls = []

        def generate(model, tokenizer, prompts, max_new_tokens, plan, what, drawn):
            calls.append((prompts, max_new_tokens, drawn, model.generation_config.eos_token_id))
            start = sum(len(prompts) for prompts, *_ in calls[:-1])
            return [says(number) for number in range(start, start + len(prompts))]

        model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=7))
        samples = [
            Sample(str(n), {"level": n % 3, "gone": None}, f"{n}?", ["a"], Tokens(f"{n}?", "a", [n], [1]))
            for n in range(30)
        ]
        backend = SimpleNamespace(generate=generate)
        loaded = recipe_file.load("one")
        opened = Opened(loaded, "plan", SimpleNamespace(train=samples), backend, model, Characters())
        return SimpleNamespace(run=tmp_path, opened=opened, loaded=loaded, calls=calls)

    return make


def refused(made):
    with pytest.raises(HftError) as error:
        draw.draw(made.run, made.opened)
    return error.value


def test_groups_are_drawn_in_the_order_of_training_as_it_samples(lab):
    made = lab(lambda number: "ab"[: number % 2 + 1])
    draw.draw(made.run, made.opened)
    [(prompts, limit, how, stops)] = made.calls
    first = order.order(made.loaded.recipe, 30)[: draw.FEW]
    assert prompts == [[place] for place in first for _ in range(2)]
    assert (limit, tuple(how[:3]), stops) == (5, (0.7, 0.9, 5), 7)
    told = flat.kept(made.run)
    assert [record["group"] for record in told["completions"]] == [n for n in range(8) for _ in range(2)]
    assert told["completions"][1] == {
        "group": 0, "prompt": f"{first[0]}?", "completion": "ab", "cut": False,
        "rewards": {"short": float(first[0] % 3 == 2)}, "sum": float(first[0] % 3 == 2),
    }  # fmt: skip
    levels = [place % 3 for place in first]
    assert (told["groups"], told["flat"]) == (8, levels.count(0)), "1 or 2 characters: a row of level 0 is flat"
    assert (told["limit"], told["names"], told["groups_a_step"]) == (0.8, ["short"], 2)


def test_a_draw_is_made_once_and_by_method_grpo_alone(lab):
    made = lab(lambda number: "a" * number)
    assert draw.wanted(made.run, made.loaded.recipe)
    draw.draw(made.run, made.opened)
    assert not draw.wanted(made.run, made.loaded.recipe)
    sft = made.loaded.recipe.model_copy(update={"grpo": None})
    assert not draw.wanted(made.run / "new", sft)
    flat.begin(made.run / "new", made.loaded._replace(recipe=sft), anyway=True)
    assert not (made.run / "new").exists()


@pytest.mark.parametrize(
    ("spread_from", "flat_groups", "groups"),
    [(0, 0, 8), (4, 4, 8), (6, 6, 8), (7, 7, 24), (8, 8, 24), (19, 19, 24)],
)
def test_seven_of_eight_may_be_chance_and_more_are_drawn(lab, spread_from, flat_groups, groups):
    """The first groups say the same twice, those behind do not."""
    made = lab(lambda number: "a" * (number % 2) if number // 2 >= spread_from else "", ["one.py:long"])
    draw.draw(made.run, made.opened)
    told = flat.kept(made.run)
    assert (told["flat"], told["groups"]) == (flat_groups, groups)
    seeds = [how.seed for _, _, how, _ in made.calls]
    assert seeds == ([5] if groups == 8 else [5, 5 + 16]), "other random numbers"


@pytest.mark.parametrize(
    ("spread_from", "limit", "stops"), [(20, 0.8, True), (24, 0.8, True), (20, 0.9, False), (24, 0.99, True)]
)
def test_more_flat_groups_than_the_limit_stop_it(lab, spread_from, limit, stops):
    made = lab(lambda number: "a" * (number % 2) * (number // 2 >= spread_from), ["one.py:long"], {"max_flat": limit})
    if stops:
        assert refused(made).problem.startswith(f"in {spread_from} of 24 groups")
    else:
        draw.draw(made.run, made.opened)
    assert (flat.kept(made.run)["flat"], flat.kept(made.run)["groups"]) == (spread_from, 24)


def test_rewards_that_cancel_each_other_out_are_flat_and_are_shown(lab):
    rewards = [{"name": "one.py:long", "weight": 2.0}, {"name": "one.py:long", "weight": -2.0}]
    made = lab(lambda number: "a" * (number % 4), rewards)
    assert refused(made).message == (
        "in 24 of 24 groups that were drawn before training all completions score alike: such groups teach nothing "
        "(grpo.max_flat: 0.8)\n"
        "completions:  mean   least  most\n"
        "long          1.500  0.000  3.000\n"
        "long_2        1.500  0.000  3.000\n"
        "sum           0.000  0.000  0.000\n"
        '0.000  ""\n'
        '0.000  "aa"\n'
        '0.000  ""\n'
        "  Fix: the completions differ and the rewards do not see it: take rewards with more steps (what each pays: "
        "hft rewards one)\n"
        "       teach the form by method: sft first, and begin here with what it trained (parent: NAME)\n"
        "       or go on all the same; nothing is lost: hft train one --resume --anyway"
    )


def test_a_short_training_has_fewer_groups(lab):
    made = lab(lambda number: "a", steps=1)
    assert refused(made).problem.startswith("in 2 of 2 groups")
    assert len(made.calls) == 1


def test_completions_end_at_the_recipes_stop_tokens_too_while_it_draws(lab):
    made = lab(lambda number: "a" * number, grpo={"stop": ["."]})
    draw.draw(made.run, made.opened)
    assert [stops for *_, stops in made.calls] == [[0, 7, ord(".")]]
    assert made.opened.model.generation_config.eos_token_id == 7


TAGGED = ["format_exact", "answer"]


@pytest.mark.parametrize(
    ("says", "rewards", "ways"),
    [
        pytest.param("a{n}", TAGGED, ["0 of 48 completions have </think>, and these", "open the reasoning"], id="tags"),
        pytest.param("ab", ["one.py:long"], ["the completions of a group are nearly all the same"], id="alike"),
        pytest.param("abcd{n}", ["one.py:zero"], ["most completions are cut off at 5 tokens"], id="cut off"),
        pytest.param("a{n}", ["one.py:zero"], ["the completions differ and the rewards do not see it"], id="coarse"),
    ],
)  # fmt: skip
def test_the_remedies_are_those_that_fit(lab, says, rewards, ways):
    made = lab(lambda number: says.format(n=number % 2), rewards)
    (made.run / "one.py").write_text(
        REWARDS + "\n\ndef zero(completions, **columns):\n    return [0] * len(completions)\n"
    )
    fix = refused(made).message.partition("  Fix: ")[2].split("\n       ")
    assert [line[: len(way)] for line, way in zip(fix, ways, strict=False)] == ways
    assert [line[:10] for line in fix[len(ways) :]] == ["teach the ", "or go on a"]


@pytest.mark.parametrize(
    ("names", "options", "prefill", "opened", "advised"),
    [
        (("answer",), {}, "", False, ["0 of 48: add format_approximate, ", "open the reasoning "]),
        (("answer", "format_approximate"), {}, "", False, ["0 of 48: take answer with ", "open the reasoning "]),
        (("answer", "format_approximate"), {"untagged": 0.5}, "", False, ["open the reasoning "]),
        (("answer", "format_approximate"), {"untagged": 0.5}, "<think>\n", False, []),
        (("answer", "format_approximate"), {"untagged": 0.5}, "", True, []),
        (("number", "format_approximate"), {}, "<think>\n", False, ["0 of 48: take answer with "]),
        (
            ("language",),
            {"wanted": "id"},
            "<think>\n",
            False,
            ["0 of 48: add format_approximate, which pays for each tag"],
        ),
    ],
)
def test_what_a_recipe_has_already_is_not_advised(lab, names, options, prefill, opened, advised):
    recipe = lab(None).loaded.recipe
    rewards = [recipe.rewards[0].model_copy(update={"name": name, "options": options}) for name in names]
    prompt = recipe.prompt.model_copy(update={"prefill": prefill})
    told = recipe.model_copy(update={"rewards": rewards, "prompt": prompt})
    ways = flat.to_the_tags(told, flat.Tags(opened=opened), "0 of 48")
    ways = [way.replace(", and these rewards want it", "") for way in ways]
    assert [way[: len(start)] for way, start in zip(ways, advised, strict=True)] == advised


def test_samples_are_shortened_to_a_line():
    assert flat.one_line("a\n\n b ") == '"a b"'
    assert flat.one_line("가" * 101) == f'"{"가" * 96} ..."'


@given(st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=9), st.integers(-5, 5))
def test_a_group_is_flat_by_its_own_spread_alone(groups, shift):
    records = [{"group": n, "sum": one} for n, sums in enumerate(groups) for one in sums]
    assert draw.flat_groups(records) == sum(a == b for a, b in groups)
    moved = [{**record, "sum": record["sum"] + shift * record["group"] + 1e-7} for record in records]
    assert draw.flat_groups(moved) == draw.flat_groups(records)


# A run that was refused, that goes on, that stood still


def test_a_run_that_was_refused_is_refused_again_without_a_draw_and_goes_on_anyway(lab):
    made = lab(lambda number: "a")
    said = refused(made).message
    with pytest.raises(HftError) as again:
        flat.begin(made.run, made.loaded, anyway=False)
    assert again.value.message == said
    flat.begin(made.run, made.loaded, anyway=True)
    told = flat.kept(made.run)
    assert (told["limit"], told["flat"], draw.wanted(made.run, made.loaded.recipe)) == (None, 24, False)
    flat.begin(made.run, made.loaded, anyway=False)  # it was said once


def test_anyway_draws_nothing(lab):
    made = lab(lambda number: "a")
    flat.begin(made.run, made.loaded, anyway=True)
    assert flat.kept(made.run) == {"limit": None}
    assert not draw.wanted(made.run, made.loaded.recipe)


ROW = {
    "rewards/short/mean": 0.25, "reward": 0.25, "frac_reward_zero_std": 0.9, "completions/clipped_ratio": 1.0,
}  # fmt: skip
STOOD_STILL = """\
step 17: in 90% of the groups of the last 16 steps all completions score alike, and rewards are no higher than \
before training: such groups teach nothing (grpo.max_flat: 0.8)
steps' means:  mean   least  most
short          0.266  0.250  0.500
sum            0.266  0.250  0.500
1.000  "ab"
0.000  "c"
  Fix: most completions are cut off at 5 tokens: raise grpo.completion_tokens, or ask for shorter answers in \
prompt.instruction
       teach the form by method: sft first, and begin here with what it trained (parent: NAME)
       or go on all the same; nothing is lost: hft train one --resume --anyway"""


@pytest.fixture
def still(lab):
    """A run that stood still at step 17 of 20, and made one step more."""
    made = lab(lambda number: "a" * (number % 3))
    draw.draw(made.run, made.opened)
    rows = [
        {"step": step, **ROW, **({"rewards/short/mean": 0.5, "reward": 0.5} if step == 2 else {})}
        for step in range(1, 19)
    ]
    files.write_jsonl(made.run / "metrics.jsonl", rows)
    kept = [(0, "x", 0.0), (10, "ab", 1.0), (10, "c", 0.0)]
    files.write_jsonl(
        made.run / "completions.jsonl",
        [{"step": step, "completion": text, "rewards": {"short": score}} for step, text, score in kept],
    )
    flat.keep(made.run, {**flat.kept(made.run), "stopped": 17})
    return made


def test_a_training_that_stood_still_says_so_and_how_it_goes_on(still, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "fit", stopped)
    here = SimpleNamespace(processes=1)
    still.opened.plan = here
    with pytest.raises(HftError) as error:
        session.fit_the_card(still.run, still.opened, None)
    assert error.value.message == STOOD_STILL
    with pytest.raises(HftError, match=r"\Astep 17: "):
        flat.begin(still.run, still.loaded, anyway=False)
    flat.begin(still.run, still.loaded, anyway=True)
    assert "stopped" not in flat.kept(still.run)
    with pytest.raises(KeyboardInterrupt):  # the user's own
        session.fit_the_card(still.run, still.opened, None)


def test_the_users_own_stop_is_none_of_its(lab, monkeypatch):
    made = lab(lambda number: "a" * (number % 3))
    draw.draw(made.run, made.opened)
    flat.check(made.run, made.loaded)


def window(frac, reward=1.0, **told):
    judged = flat.Window({"limit": 0.8, "risen_above": 1.5, "groups_a_step": 4, **told})
    for number, share in enumerate(frac):
        judged.add({"step": number, "frac_reward_zero_std": share, "reward": reward})
    return judged.stands_still


@pytest.mark.parametrize(
    ("frac", "told", "stands_still"),
    [
        ([1.0] * 9, {}, False),
        ([1.0] * 10, {}, True),
        ([0.75] * 99, {}, False),
        ([0.8] * 10, {}, False),
        ([1.0] * 8 + [0.0] * 2, {}, False),
        ([0.0] * 10 + [0.75, 1.0] * 5, {}, True),
        ([1.0] * 31, {"groups_a_step": 1}, False),
        ([1.0] * 32, {"groups_a_step": 1}, True),
        ([1.0] * 10, {"limit": None}, False),
        ([1.0] * 10, {"risen_above": 0.9}, False),
        ([1.0] * 10, {"limit": 1.0}, False),
        ([None] * 10, {}, False),
    ],
)
def test_the_last_steps_are_judged_together(frac, told, stands_still):
    """10 steps and 32 groups at least; a model whose rewards have risen scores alike because it has learned."""
    assert window(frac, **told) is stands_still


def test_what_is_no_chance_is_two_standard_errors_over_the_draw(lab):
    made = lab(lambda number: "a" * (number % 4), ["one.py:long"])
    draw.draw(made.run, made.opened)
    means = [0.5, 2.5] * 4
    error = math.sqrt(sum((one - 1.5) ** 2 for one in means) / 7) / math.sqrt(8)
    assert flat.kept(made.run)["risen_above"] == pytest.approx(1.5 + 2 * error)
