"""Who decides a part of the plan: the option, the environment, the rule."""

import pytest

from hft.errors import HftError
from hft.plan import wishes
from hft.plan.wishes import Decision, Wishes, decide


@pytest.mark.parametrize(
    ("options", "environment", "decision"),
    [
        ({"rows_per_device": 2}, {"HFT_ROWS_PER_DEVICE": "4"}, Decision(2, "--rows-per-device")),
        ({"rows_per_device": None}, {"HFT_ROWS_PER_DEVICE": "04"}, Decision(4, "HFT_ROWS_PER_DEVICE")),
        ({}, {"HFT_ROWS_PER_DEVICE": ""}, Decision(8, "the rule")),
    ],
)
def test_the_option_comes_before_the_environment_before_the_rule(options, environment, decision):
    assert decide(wishes.read(options, environment), "rows_per_device", 8, "the rule") == decision


@pytest.mark.parametrize("value", ["0", "96", "-3", "x"])
def test_numbers_have_bounds(value):
    wished = wishes.read({}, {"HFT_VLLM_MEMORY": value})
    with pytest.raises(HftError, match=f"HFT_VLLM_MEMORY: '{value}' is not a whole number from 1 to 95"):
        decide(wished, "vllm_memory", 50, "half")


@pytest.mark.parametrize(
    ("written", "value"), [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("0", False), ("", None)]
)
def test_flags_of_the_environment(written, value):
    assert wishes.read({}, {"HFT_STANDBY": written}).standby is value
    assert decide(wishes.read({"standby": False}, {"HFT_STANDBY": written}), "standby", True, "") == (
        False,
        "--no-standby",
    )


def test_a_flag_that_is_neither():
    wished = wishes.read({}, {"HFT_STANDBY": "perhaps"})
    assert decide(wished, "backend", "plain", "the rule") == ("plain", "the rule"), "only who asks hears of it"
    with pytest.raises(HftError, match="HFT_STANDBY=perhaps is neither yes nor no"):
        decide(wished, "standby", True, "the rule")
    kept = wishes.kept({"standby": False}, wished)
    assert decide(kept, "standby", True, "the rule") == (False, "--no-standby")


def test_what_is_not_known():
    with pytest.raises(HftError, match="--backend: 'torch' is not known\n  Fix: choose one of: plain, unsloth"):
        decide(Wishes(backend="torch"), "backend", "plain", "the rule", ("plain", "unsloth"))


def test_every_choice_that_a_run_keeps_is_one():
    assert (
        set(wishes.KEPT)
        <= set(wishes.CHOICES)
        == set(Wishes.__dataclass_fields__) - {"servers", "variables", "unreadable"}
    )


def test_a_kept_plan_comes_before_the_environment_and_after_an_option():
    wished = wishes.read({"precision": "bf16"}, {"HFT_BACKEND": "plain", "HFT_DEVICE": "cuda"})
    kept = wishes.kept({"backend": "unsloth", "device": None, "precision": "fp32"}, wished)
    assert (kept.backend, kept.device, kept.precision) == ("unsloth", "cuda", "bf16")
    assert [kept.who(name) for name in ("backend", "device", "precision")] == ["--backend", "HFT_DEVICE", "--precision"]
