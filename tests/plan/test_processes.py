"""How many processes share a step, and whether they share the weights: what is chosen and refused, and real ones."""

import re
import signal
import subprocess
import sys

import pytest
from planning import make, wish
from several import hft, result, until_step, with_gpus

from hft.errors import HftError
from hft.machine import Gpu
from hft.plan.wishes import kept
from hft.recipe import file as recipe_file

RTX5080, RTX4090 = (
    Gpu("NVIDIA GeForce RTX 5080", 15.9, "580.1", "12.0"),
    Gpu("NVIDIA GeForce RTX 4090", 23.99, "580.1", "8.9"),
)


@pytest.mark.parametrize(
    ("gpus", "wanted", "made"), [(4, "all", 4), (3, "all", 2), (4, "2", 2), (1, "all", 1), (0, "all", 1), (0, "2", 2)]
)
def test_a_plan_shares_the_step(monkeypatch, gpus, wanted, made):
    with_gpus(monkeypatch, gpus)
    found = make(recipe_file.load("korquad_qlora").recipe, processes=wanted)
    assert (found.processes, found.processes * found.accumulation * found.rows_per_device) == (made, 16)


@pytest.mark.parametrize(
    ("recipe", "choices", "said"),
    [
        (
            "korquad_qlora",
            {"processes": "3"},
            "3 processes do not divide the recipe's batch_size 16\n  Fix: choose one of: 1, 2, 4, 8, 16",
        ),
        ("korquad_qlora", {"processes": "8"}, "--processes: '8' is not a number of processes for 4 GPUs"),
        ("korquad_qlora", {"processes": "some"}, "--processes: 'some' is not a number of processes for 4 GPUs"),
        ("grpo_quickstart", {"processes": "2"}, "method: grpo trains on one GPU"),
        (
            "korquad_qlora",
            {"processes": "2", "rows_per_device": 16},
            "16 rows per device do not divide the recipe's batch_size 16 among 2 processes\n"
            "  Fix: choose one of: 1, 2, 4, 8",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(monkeypatch, recipe, choices, said):
    with_gpus(monkeypatch, 4)
    with pytest.raises(HftError, match="^" + re.escape(said)):
        make(recipe_file.load(recipe).recipe, **choices)


@pytest.mark.parametrize(
    ("choices", "environment", "shared"),
    [
        ({"processes": "2"}, "", False),
        ({"processes": "2", "sharded": True}, "", True),
        ({"processes": "2"}, "yes", True),
        ({"processes": "2", "sharded": False}, "yes", False),
    ],
)
def test_weights_are_shared_when_asked_for(monkeypatch, choices, environment, shared):
    with_gpus(monkeypatch, 4)
    monkeypatch.setenv("HFT_SHARDED", environment)
    made = make(recipe_file.load("korquad_qlora").recipe, **choices)
    assert (made.sharded, "that share the weights" in made.describe(), made.expected_gib) == (
        shared,
        shared,
        60.44 if shared else 61.13,
    )


@pytest.mark.parametrize("choices", [{}, {"processes": "2", "backend": "plain"}])
def test_one_process_and_the_plain_backend_cannot_share_weights(monkeypatch, choices):
    with_gpus(monkeypatch, 4)
    with pytest.raises(
        HftError,
        match="--sharded: only several processes of the unsloth backend can share the weights, for method: sft",
    ):
        make(recipe_file.load("korquad_qlora").recipe, sharded=True, **choices)


def test_weights_in_4_bits_are_shared_on_gpus_only(monkeypatch):
    with_gpus(monkeypatch, 0)
    with pytest.raises(
        HftError, match=r"--sharded: processes on a CPU cannot share weights in 4 bits\n  Fix: .*quantization=none"
    ):
        make(recipe_file.load("korquad_qlora").recipe, sharded=True, processes="2")


NONE, IN_16_BITS = "data.evaluate=null", ("model.quantization=none", "model.name=unsloth/Meta-Llama-3.1-8B")


@pytest.mark.parametrize(
    ("settings", "unset"), [((), NONE), ((NONE, "data.held_out=0.1"), "data.held_out=null"), ((NONE,), None)]
)
def test_evaluation_needs_the_whole_model_on_one_card(monkeypatch, settings, unset):
    with_gpus(monkeypatch, 2, RTX5080)
    recipe = recipe_file.load("korquad_qlora", (*IN_16_BITS, *settings)).recipe
    if unset is None:
        assert make(recipe, processes="2", sharded=True).expected_gib == 13.56
    else:
        with pytest.raises(
            HftError, match=f"a card of 16 GiB cannot hold .* whole, as the evaluation .*\n  Fix: .*--set {unset} "
        ):
            make(recipe, processes="2", sharded=True)
        with pytest.raises(HftError, match="a card of 16 GiB cannot hold"):
            make(recipe, processes="2", sharded=True, checkpointing="none")


def test_what_sharing_cannot_help_with(monkeypatch):
    """32B in 4 bits is loaded whole first; in 16 bits it is too much for two such cards, evaluated or not."""
    with_gpus(monkeypatch, 2, RTX5080)
    large = "model.name=unsloth/DeepSeek-R1-Distill-Qwen-32B"
    with pytest.raises(
        HftError, match=r"a card of 16 GiB cannot load .*32B in 4 bits \(21.3 GiB\), as each must before"
    ):
        make(recipe_file.load("korquad_qlora", (large, NONE)).recipe, processes="2", sharded=True)
    with_gpus(monkeypatch, 2, RTX4090)  # less than the tenth that a plan leaves, but enough
    made = make(recipe_file.load("korquad_qlora", (large, NONE)).recipe, processes="2", sharded=True)
    assert "GiB of 24: see hft plan" in made.why["rows_per_device"]
    with_gpus(monkeypatch, 2, RTX5080)
    made = make(
        recipe_file.load("korquad_qlora", (large, "model.quantization=none")).recipe, processes="2", sharded=True
    )
    assert "the smallest, and still about 39.1 GiB of 16" in made.why["rows_per_device"]


@pytest.mark.parametrize(
    ("wanted", "shared"),
    [({}, True), ({"processes": "2"}, True), ({"processes": "1"}, None), ({"backend": "plain"}, None)],
)
def test_a_run_goes_on_sharing_where_it_can(wanted, shared):
    before = {"processes": 2, "sharded": True, "rows_per_device": 4, "backend": "unsloth"}
    assert kept(before, wish(**wanted)).sharded is shared


TRITON = "triton==3.6.0"  # the one of the CUDA images; Unsloth's FSDP2 imports it on a CPU too, where nothing calls it


@pytest.mark.slow
def test_two_processes_that_share_the_weights_give_the_curve_of_one(tmp_path):
    """Unsloth's FSDP2 in fp32, stopped and resumed: the same losses and adapter, which no process holds whole."""
    folder = tmp_path / "triton"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), TRITON], check=True
    )
    same = ("--set", "model.quantization=none", "--set", "train.steps=3", "--backend", "unsloth")
    both = (*same, "--processes", "2", "--sharded")

    def start(name, *options):
        (tmp_path / name).mkdir(exist_ok=True)
        return hft(tmp_path / name, *options, path=(folder,), UNSLOTH_COMPILE_DISABLE="1")

    stopped = start("two", *both)
    until_step(tmp_path / "two", 1, stopped)
    stopped.send_signal(signal.SIGINT)
    said, _ = stopped.communicate(timeout=120)
    assert stopped.returncode == 130, said
    for name, options in (("one", same), ("two", (*both, "--resume"))):
        made = start(name, *options)
        said, _ = made.communicate(timeout=400)
        assert made.returncode == 0, said
    assert "2 processes that share the weights" in said
    (_, reference), (double, losses) = result(tmp_path / "one"), result(tmp_path / "two")
    assert double["plan"]["sharded"] is True
    assert losses == pytest.approx(reference, abs=2e-5)

    from safetensors.torch import load_file

    single, shared = (
        load_file(next((tmp_path / name).glob("runs/*/2*/adapter/adapter_model.safetensors")))
        for name in ("one", "two")
    )
    assert single.keys() == shared.keys()
    assert any(shared[name].abs().max() > 1e-4 for name in shared if "lora_B" in name)
    assert all((single[name] - shared[name]).abs().max() < 1e-4 for name in single)
