"""`hft plan --gpu`: the table of cards, as users call it."""

import pytest

IN_16_BITS = ("--set", "model.quantization=none", "--set", "model.name=unsloth/Meta-Llama-3.1-8B")


def test_one_card_by_part(invoke):
    done = invoke("plan", "korquad_qlora", "--gpu", "rtx5080", "--row-tokens", "482")
    assert done.exit_code == 0, done.output
    assert "8,030,261,248 weights, 482 tokens a row, 16 rows a step" in done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["rtx5080", "yes", "12.6", "of", "16", "4", "x", "4", "none", "4.00", "-"] in lines
    assert ["weights", "5.31"] in lines


def test_all_cards_and_what_would_fit(invoke):
    done = invoke("plan", "korquad_qlora", "--gpu", "all", *IN_16_BITS)
    assert [line.split()[:2] for line in done.output.splitlines()[2:8]] == [
        ["rtx4090", "yes"],
        ["rtx5080", "no"],
        ["rtx5090", "yes"],
        ["a100", "yes"],
        ["h100", "yes"],
        ["h200", "yes"],
    ]
    assert "rtx5080: --set model.quantization=nf4 would fit" in done.output
    assert "it changes the result" in done.output
    assert (
        "rtx5080: 2 of them would fit (13.6 GiB each) with --processes 2 --sharded --set data.evaluate=null; "
        "the same weights, without evaluation, which one card alone cannot carry"
    ) in done.output


def test_a_model_too_large_for_a_card(invoke):
    done = invoke("plan", "medical_2", "--gpu", "rtx5080")
    assert "rtx5080: the weights alone take 17.9 GiB; take a smaller model or a larger card" in done.output


def test_reinforcement_learning_with_vllm_beside_it(invoke):
    done = invoke("plan", "grpo_indonesian", "--gpu", "rtx5080")
    assert done.exit_code == 0, done.output
    assert "1024 tokens a row, 4 completions a step, 100 steps" in done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["rtx5080", "yes", "9.6", "of", "16", "2", "x", "2", "offloaded", "-", "-"] in lines
    assert ["vllm", "2.30"] in lines
    tight = invoke("plan", "grpo_indonesian", "--gpu", "rtx5080", "--set", "model.quantization=none")
    assert "rtx5080: --set model.quantization=nf4 would fit (9.6 GiB); it changes the result" in tight.output


def test_the_whole_time_where_the_steps_are_known(invoke):
    done = invoke("plan", "quickstart", "--gpu", "rtx4090")
    assert "48 steps" in done.output
    assert done.output.splitlines()[2].endswith(" s")


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("quickstart", "--gpu", "gtx1080"), "no card 'gtx1080' is known", 1),
        (("quickstart", "--gpu", "all", "--set", "lora=null"), "it trains all weights", 1),
        (
            ("quickstart", "--gpu", "all", "--set", "model.name=someone/unheard-of"),
            "the shape of someone/unheard-of is not known",
            1,
        ),
        (("quickstart", "--row-tokens", "9"), "add --gpu all", 2),
    ],
)
def test_what_has_no_estimate_says_why(invoke, words, said, code):
    done = invoke("plan", *words)
    assert (done.exit_code, said in done.output) == (code, True), done.output
