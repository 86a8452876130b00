"""Plans: one product, simple rules, the user's choices; on machines that are not this one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import make, wish

from hft import machine
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan import plan
from hft.plan.wishes import Wishes, kept
from hft.recipe import file as recipe_file

CARDS = {"none": None, "5080": 15.9, "4090": 23.99, "h100": 79.6, "h200": 139.8}


def pretend(monkeypatch, card):
    gpus = [Gpu(card, CARDS[card], "580.1", "9.0")] if CARDS[card] else []
    monkeypatch.setattr(machine, "look", lambda: Machine(gpus, 2, 24.0, "a CPU"))


@pytest.fixture
def recipe(monkeypatch):
    for name in ("BACKEND", "DEVICE", "ROWS_PER_DEVICE", "CHECKPOINTING", "PRECISION", "SAVE_EVERY", "GENERATE_ROWS"):
        monkeypatch.delenv(f"HFT_{name}", raising=False)
    return recipe_file.load("korquad_qlora").recipe


@pytest.mark.parametrize(
    ("card", "device", "rows", "checkpointing", "precision"),
    [
        ("none", "cpu", 2, "none", "fp32"),
        ("5080", "cuda", 1, "none", "bf16"),
        ("4090", "cuda", 2, "none", "bf16"),
        ("h100", "cuda", 8, "none", "bf16"),
        ("h200", "cuda", 16, "none", "bf16"),
    ],
)
def test_the_rules(monkeypatch, recipe, card, device, rows, checkpointing, precision):
    pretend(monkeypatch, card)
    made = make(recipe)
    assert (made.device, made.rows_per_device, made.checkpointing, made.precision) == (
        device,
        rows,
        checkpointing,
        precision,
    )
    assert made.backend == "unsloth"
    assert made.rows_per_device * made.accumulation == 16
    assert made.expected_gib is None if device == "cpu" else 5.3 < made.expected_gib < 0.9 * CARDS[card]


@settings(deadline=None)
@given(batch=st.integers(1, 64), tokens=st.integers(1, 9000), card=st.sampled_from(sorted(CARDS)))
def test_the_product_is_always_the_batch_size(batch, tokens, card):
    recipe = recipe_file.load("quickstart", (f"train.batch_size={batch}", f"model.max_tokens={tokens}")).recipe
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, card)
        made = make(recipe)
    assert made.rows_per_device * made.accumulation == batch


@pytest.mark.parametrize(
    ("card", "wanted", "environment", "backend", "deterministic"),
    [
        ("h100", {}, "", "unsloth", False),
        ("h100", {"deterministic": True}, "", "unsloth", True),
        ("h100", {}, "yes", "unsloth", True),
        ("h100", {"deterministic": True, "backend": "plain"}, "", "plain", True),
        ("h100", {"deterministic": False}, "yes", "unsloth", False),
        ("none", {"deterministic": True}, "", "unsloth", True),
        ("h100", {}, "no", "unsloth", False),
    ],
)
def test_bit_identical_runs_are_asked_for(monkeypatch, recipe, card, wanted, environment, backend, deterministic):
    pretend(monkeypatch, card)
    monkeypatch.setenv("HFT_DETERMINISTIC", environment)
    made = make(recipe, **wanted)
    assert (made.backend, made.deterministic) == (backend, deterministic)


def test_reinforcement_beside_vllm_cannot_be_deterministic_on_a_gpu(monkeypatch):
    pretend(monkeypatch, "h100")
    recipe = recipe_file.load("grpo_quickstart").recipe
    assert make(recipe, deterministic=True).backend == "plain"
    with pytest.raises(HftError, match="cannot be deterministic on a GPU: vLLM"):
        make(recipe, deterministic=True, backend="unsloth")


def test_a_flag_beats_the_environment_and_both_beat_the_rule(monkeypatch, recipe):
    pretend(monkeypatch, "h100")
    monkeypatch.setenv("HFT_BACKEND", "plain")
    monkeypatch.setenv("HFT_ROWS_PER_DEVICE", "8")
    made = make(recipe, rows_per_device=4)
    assert (made.backend, made.rows_per_device, made.accumulation) == ("plain", 4, 4)
    assert (made.why["backend"], made.why["rows_per_device"]) == ("HFT_BACKEND", "--rows-per-device")


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (
            {"rows_per_device": 5},
            "5 rows per device do not divide the recipe's batch_size 16\n  Fix: choose one of: 1, 2, 4, 8, 16",
        ),
        ({"device": "cuda"}, "the plan wants a GPU, and nvidia-smi finds none"),
        (
            {"checkpointing": "half"},
            "--checkpointing: 'half' is not known\n  Fix: choose one of: none, full, offloaded",
        ),
    ],
)
def test_an_impossible_choice_is_refused(monkeypatch, recipe, choices, said):
    pretend(monkeypatch, "none")
    with pytest.raises(HftError, match="^" + said.replace(".", r"\.")):
        make(recipe, **choices)


def test_a_word_in_the_environment_is_refused(monkeypatch, recipe):
    pretend(monkeypatch, "none")
    monkeypatch.setenv("HFT_SAVE_EVERY", "often")
    with pytest.raises(HftError, match="HFT_SAVE_EVERY: 'often' is not a whole number"):
        make(recipe)


@pytest.mark.parametrize(
    ("card", "start", "after"),
    [
        ("h100", (16, "none"), (16, "offloaded")),
        ("h100", (16, "offloaded"), (8, "offloaded")),
        ("none", (16, "none"), (16, "full")),
        ("none", (2, "full"), (1, "full")),
    ],
)
def test_the_next_safer_plan_keeps_the_step(monkeypatch, recipe, card, start, after):
    pretend(monkeypatch, card)
    made = plan.safer(make(recipe, rows_per_device=start[0], checkpointing=start[1]))
    assert (made.rows_per_device, made.checkpointing) == after
    assert made.rows_per_device * made.accumulation == 16


def test_below_one_row_there_is_no_safer_plan(monkeypatch, recipe):
    pretend(monkeypatch, "h100")
    with pytest.raises(HftError, match="too small for one row at a time"):
        plan.safer(make(recipe, rows_per_device=1, checkpointing="offloaded"))


def gpus(monkeypatch, named, *cards):
    monkeypatch.setattr(machine, "CALLERS_GPUS", named)
    monkeypatch.setattr(
        machine,
        "look",
        lambda: Machine([Gpu(card, CARDS[card], "580", "9.0") for card in cards], 2, 24.0, "a CPU"),
    )


@pytest.mark.parametrize(
    ("named", "seen", "device"),
    [
        (None, ["5080", "h200"], "cuda"),
        ("1", ["h200"], "cuda"),
        ("", [], "cpu"),
        ("GPU-5a1b", ["5080"], "cuda"),
        ("7", ["5080"], "cuda"),
    ],
)
def test_only_the_gpus_that_the_caller_leaves_visible_count(monkeypatch, recipe, named, seen, device):
    gpus(monkeypatch, named, "5080", "h200")
    assert [card.name for card in machine.cards()] == seen
    assert make(recipe).device == device


def test_processes_share_the_smallest_card(monkeypatch, recipe):
    gpus(monkeypatch, None, "h200", "5080")
    shared = make(recipe, processes="all")
    assert (shared.processes, shared.expected_gib < 15.9) == (2, True)


def test_real_lengths_count_where_they_are_known(monkeypatch, recipe):
    pretend(monkeypatch, "5080")
    assert make(recipe).rows_per_device == 1
    assert "all rows as long as allowed" in make(recipe).why["rows_per_device"]
    assert make(recipe, lengths=[482] * 32).rows_per_device == 4


def test_only_rows_of_dense_decoders_stand_end_to_end(monkeypatch):
    pretend(monkeypatch, "h100")
    unknown = recipe_file.load("korquad_qlora", ("model.name=someone/unheard-of",)).recipe
    assert make(unknown).padding_free is False
    with pytest.raises(HftError, match="--padding-free: rows of someone/unheard-of cannot stand end to end"):
        make(unknown, padding_free=True)


@pytest.mark.parametrize(
    ("wanted", "environment", "rows"),
    [
        ({}, "", 8),
        ({"processes": "2"}, "", None),
        ({}, "all", None),
        ({"processes": "2", "rows_per_device": 4}, "", 4),
        ({"processes": "1"}, "", 8),
    ],
)
def test_a_run_goes_on_with_its_own_plan_but_for_what_more_processes_change(monkeypatch, wanted, environment, rows):
    monkeypatch.setenv("HFT_PROCESSES", environment)
    found = kept({"backend": "plain", "processes": 1, "rows_per_device": 8, "checkpointing": "full"}, wish(**wanted))
    assert (found.backend, found.rows_per_device) == ("plain", rows)


def test_what_the_user_chooses_is_kept_and_the_rest_is_the_fastest_for_it(monkeypatch, recipe):
    pretend(monkeypatch, "4090")
    lengths = [482] * 16
    assert (make(recipe, lengths=lengths).rows_per_device, make(recipe, lengths=lengths).checkpointing) == (
        8,
        "none",
    )
    assert make(recipe, lengths=lengths, checkpointing="offloaded").rows_per_device == 16
    assert make(recipe, lengths=lengths, rows_per_device=16).checkpointing == "offloaded"
    made = make(recipe, lengths=lengths, checkpointing="full")  # not among those that a plan chooses from by itself
    assert (made.rows_per_device, made.checkpointing, made.expected_gib < 21) == (16, "full", True)


@pytest.mark.parametrize("name", ["grpo_quickstart", "quickstart"])
def test_a_plan_that_was_kept_is_made_again(name):
    recipe = recipe_file.load(name).recipe
    before = make(recipe, device="cpu")
    written = json.loads(json.dumps(before.as_dict()))
    assert replace(plan.make(recipe, machine.usable(), kept(written, Wishes())), why={}) == replace(before, why={})


def test_choices_of_the_environment_are_counted_in(monkeypatch, recipe):
    pretend(monkeypatch, "5080")
    monkeypatch.setenv("HFT_ROWS_PER_DEVICE", "04")
    assert (make(recipe).rows_per_device, make(recipe).checkpointing) == (4, "offloaded")
    monkeypatch.delenv("HFT_ROWS_PER_DEVICE")
    monkeypatch.setenv("HFT_CHECKPOINTING", "none")
    assert make(recipe, backend="plain").rows_per_device == 1
    monkeypatch.setenv("HFT_PRECISION", "fp32")  # twice the memory, and no estimate
    assert (make(recipe).rows_per_device, make(recipe).expected_gib) == (1, None)
