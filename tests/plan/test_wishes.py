"""Who decides a part of the plan: the option, the environment, the rule."""

import pytest

from hft.errors import HftError
from hft.plan.wishes import Choices


def test_the_option_comes_before_the_environment_before_the_rule(monkeypatch):
    monkeypatch.setenv("HFT_ROWS", "4")
    asked = Choices({"rows": 2})
    assert (asked.of("rows", 8, "the rule"), asked.why["rows"], asked.asked("rows")) == (2, "--rows", "2")
    left = Choices({"rows": None})
    assert (left.of("rows", 8, "the rule"), left.why["rows"], left.asked("rows")) == (4, "HFT_ROWS", "4")
    monkeypatch.setenv("HFT_ROWS", "")
    assert (left.of("rows", 8, "the rule"), left.why["rows"], left.asked("rows")) == (8, "the rule", None)


@pytest.mark.parametrize(
    ("value", "said"), [("0", "from 1 to 95"), ("96", "from 1 to 95"), ("-3", "from 1 to 95"), ("x", "from 1 to 95")]
)
def test_numbers_have_bounds(monkeypatch, value, said):
    monkeypatch.setenv("HFT_SHARE", value)
    with pytest.raises(HftError, match=f"HFT_SHARE: '{value}' is not a whole number {said}"):
        Choices({}).of("share", 50, "half", most=95)


@pytest.mark.parametrize(
    ("written", "found"), [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("0", False), ("", True)]
)
def test_flags_of_the_environment(monkeypatch, written, found):
    monkeypatch.setenv("HFT_FAST", written)
    assert Choices({}).flag("fast", True, "the rule") is found
    assert Choices({"fast": False}).flag("fast", True, "the rule") is False


def test_a_flag_that_is_neither(monkeypatch):
    monkeypatch.setenv("HFT_FAST", "perhaps")
    with pytest.raises(HftError, match="HFT_FAST=perhaps is neither yes nor no"):
        Choices({}).flag("fast", True, "the rule")


def test_what_is_not_known():
    with pytest.raises(HftError, match="--backend: 'torch' is not known"):
        Choices({"backend": "torch"}).of("backend", "plain", "the rule", ("plain", "unsloth"))
