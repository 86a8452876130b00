"""What a plan may fill: all of the card, what others leave of it, or what the user allows."""

import json
import re
from dataclasses import replace

import pytest
from planning import make, used, wish

from hft import machine
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan import generator, plan
from hft.plan.wishes import kept
from hft.recipe import file as recipe_file

H100, RTX4090 = Gpu("NVIDIA H100", 79.6, "580.1", "9.0"), Gpu("NVIDIA GeForce RTX 4090", 24.0, "580.1", "8.9")


@pytest.fixture
def here(monkeypatch):
    """Pretend these cards, with so many GiB of each in use."""

    def pretend(*cards, use=()):
        seen = Machine(list(cards), 2, 24.0, "a CPU")
        monkeypatch.setattr(machine, "CALLERS_GPUS", None)
        monkeypatch.setattr(machine, "look", lambda: used(seen, *use) if use else seen)

    monkeypatch.delenv("HFT_MEMORY", raising=False)
    return pretend


@pytest.fixture
def recipe():
    return recipe_file.load("korquad_qlora").recipe


def same(one, other):
    """Two plans but for the memory and the reasons."""
    return replace(one, memory=None, why={}) == replace(other, memory=None, why={})


BUSY = "64.0 of 79.6 GiB of GPU 0 are in use by python (pid 123)"


def test_a_card_that_nothing_uses_is_planned_for_as_a_whole(here, recipe):
    here(H100)
    free = make(recipe)
    assert (free.memory, free.why["memory"], free.rows_per_device) == (None, "all of the card", 8)
    assert free.describe() == "unsloth on cuda, 8 rows x 2 = 16 a step, unpadded, bf16, checkpointing none"
    here(H100, use=(0.0,))
    assert make(recipe) == free


def test_what_others_use_of_the_card_is_left_to_them(here, recipe):
    here(Gpu("NVIDIA H100", 15.6, "580.1", "9.0"))
    small = make(recipe)
    here(H100, use=(64.0,))
    made = make(recipe)
    assert (made.memory, made.why["memory"]) == (15.6, BUSY)
    assert same(made, small)
    assert made.describe() == (
        f"unsloth on cuda, 16 rows x 1 = 16 a step, unpadded, bf16, checkpointing offloaded, for 15.6 GiB: {BUSY}"
    )
    line = next(line for line in plan.table(made).splitlines() if line.startswith("memory "))
    assert line.split(maxsplit=2)[1:] == ["15.6", BUSY]


def test_a_plan_that_cannot_fit_what_others_leave_says_so(here, recipe):
    here(H100, use=(79.0,))
    made = make(recipe)
    assert (made.memory, made.rows_per_device, made.checkpointing) == (0.6, 1, "offloaded")
    assert made.describe().endswith("in use by python (pid 123); and it takes about 6.4")
    here(H100, use=(90.0,))
    assert make(recipe).memory == 0.0


@pytest.mark.parametrize(
    ("use", "processes", "memory"),
    [
        ((0.0, 70.0), "1", None),  # the first GPU trains
        ((70.0, 0.0), "1", 9.6),
        ((0.0, 70.0), "2", 9.6),
        ((60.0, 70.0), "all", 9.6),
        ((10.0, 0.0), "2", 69.6),
    ],
)
def test_of_the_gpus_that_train_the_smallest_decides(here, recipe, use, processes, memory):
    here(H100, H100, use=use)
    assert make(recipe, processes=processes).memory == memory


@pytest.mark.parametrize(
    ("cards", "use", "processes", "told"),
    [
        ((H100, H100, H100), (64.0, 64.0, 0.0), "1", "; GPU 2 is free: CUDA_VISIBLE_DEVICES=2"),
        ((H100, H100), (64.0, 64.0), "1", ""),
        ((H100, H100, H100), (64.0, 0.0, 0.0), "2", ""),
    ],
)
def test_a_card_that_is_free_is_named(here, recipe, cards, use, processes, told):
    here(*cards, use=use)
    assert make(recipe, processes=processes).why["memory"] == (
        f"{use[0]:.1f} of 79.6 GiB of GPU 0 are in use by python (pid 123){told}"
    )


def test_a_smaller_card_beside_may_still_be_the_smallest(here, recipe):
    here(H100, RTX4090, use=(40.0, 0.0))
    assert (make(recipe, processes="2").memory, make(recipe, processes="2").expected_gib < 24) == (None, True)


@pytest.mark.parametrize(
    ("use", "wanted", "environment", "memory", "why"),
    [
        ((), 12, "", 12, "--memory"),
        ((), None, "12", 12, "HFT_MEMORY"),
        ((), 9, "12", 9, "--memory"),
        ((), 79, "", 79, "--memory"),
        ((64.0,), 12, "", 12, "--memory"),
        ((64.0,), 40, "", 15.6, BUSY),
    ],
)
def test_the_user_may_allow_less(here, recipe, monkeypatch, use, wanted, environment, memory, why):
    monkeypatch.setenv("HFT_MEMORY", environment)
    here(H100, use=use)
    made = make(recipe, memory=wanted)
    assert (made.memory, made.why["memory"]) == (memory, why)
    here(Gpu("NVIDIA H100", memory, "580.1", "9.0"))
    monkeypatch.delenv("HFT_MEMORY")
    assert same(made, make(recipe))


@pytest.mark.parametrize(
    ("cards", "wanted", "environment", "said"),
    [
        ([H100], 80, "", "--memory: 80 GiB are more than the GPU's 79.6\n  Fix: 79 at most, or leave it out"),
        ([H100, RTX4090], 25, "", "--memory: 25 GiB are more than the GPU's 24.0\n  Fix: 24 at most"),
        ([], None, "25", "HFT_MEMORY: 25 GiB are more than the machine's 24.0\n  Fix: 24 at most"),
        ([H100], None, "0.5", "HFT_MEMORY: '0.5' is not a whole number from 1 up\n  Fix: for example HFT_MEMORY=12"),
    ],
)
def test_more_than_is_there_is_refused(here, recipe, monkeypatch, cards, wanted, environment, said):
    monkeypatch.setenv("HFT_MEMORY", environment)
    here(*cards)
    with pytest.raises(HftError, match="^" + re.escape(said)):
        make(recipe, memory=wanted)


def test_on_a_cpu_fewer_rows_meet_where_less_is_allowed(here, recipe):
    here()
    found = [make(recipe, memory=memory) for memory in (None, 24, 4)]
    assert [(made.memory, made.rows_per_device) for made in found] == [(None, 2), (24, 2), (4, 1)]
    assert found[0].why["memory"] == "all of the machine's"


@pytest.mark.parametrize(
    ("use", "options", "standby", "share"),
    [
        ((), {}, False, 0.5),
        ((60.0,), {}, False, 0.5),  # of the 19.6 that are free
        ((), {"memory": 20}, False, 0.12),  # 10 of 79.6
        ((60.0,), {"memory": 15}, True, 0.57),  # 11.2 of 19.6
        ((), {"memory": 12}, True, 0.11),  # 9 of 79.6
        ((), {"memory": 20, "vllm_memory": 25}, False, 0.25),
    ],
)
def test_vllm_takes_its_share_of_what_is_free(here, monkeypatch, use, options, standby, share):
    monkeypatch.setattr(generator.importlib.util, "find_spec", lambda name: name == "vllm" or None)
    here(H100, use=use)
    made = make(recipe_file.load("grpo_indonesian").recipe, **options)
    assert (made.standby, made.vllm_memory) == (standby, share)


def test_vllm_cannot_take_more_than_the_user_allows(here, monkeypatch):
    monkeypatch.setattr(generator.importlib.util, "find_spec", lambda name: name == "vllm" or None)
    here(H100)
    said = (
        "--vllm-memory: 50 percent of 79.6 GiB are more than the 12 of --memory\n"
        "  Fix: 15 percent at most, or leave it out"
    )
    with pytest.raises(HftError, match="^" + re.escape(said) + "$"):
        make(recipe_file.load("grpo_indonesian").recipe, memory=12, vllm_memory=50)


def test_a_run_that_goes_on_keeps_its_plan_whatever_is_free_by_then(here, recipe):
    here(H100)
    began = json.loads(json.dumps(make(recipe).as_dict()))
    here(H100, use=(64.0,))
    goes_on = plan.make(recipe, machine.usable(), kept(began, wish()))
    assert (goes_on.rows_per_device, goes_on.checkpointing, goes_on.memory) == (8, "none", 15.6)
    assert goes_on.describe().endswith(f"for 15.6 GiB: {BUSY}; and it takes about 61.1")
    smaller = plan.make(recipe, machine.usable(), kept(began, wish(memory=14)))
    assert same(smaller, make(recipe, memory=14))


def test_a_run_that_began_with_less_goes_on_with_its_rows(here, recipe, monkeypatch):
    here(H100, use=(64.0,))
    began = json.loads(json.dumps(make(recipe).as_dict()))
    here(H100)
    goes_on = plan.make(recipe, machine.usable(), kept(began, wish()))
    assert (goes_on.rows_per_device, goes_on.checkpointing, goes_on.memory) == (16, "offloaded", None)
    assert plan.make(recipe, machine.usable(), kept(began, wish(memory=79))).rows_per_device == 8
    monkeypatch.setenv("HFT_MEMORY", "70")  # a habit, not a wish for this run
    assert plan.make(recipe, machine.usable(), kept(began, wish())).rows_per_device == 16
