"""`hft plan`: each choice with its reason, and what --gpu excludes."""

import pytest


def test_every_choice_has_a_reason(lab, invoke):
    result = invoke("plan", "one", "--save-every", "9")
    assert result.exit_code == 0
    head, *lines = ([cell for cell in line.split("  ") if cell] for line in result.output.splitlines())
    told = {name.strip(): [cell.strip() for cell in others] for name, *others in lines}
    assert [cell.strip() for cell in head] == ["choice", "value", "because"]
    assert told["backend"] == ["plain", "HFT_BACKEND"]
    assert told["save_every"] == ["9", "--save-every"]
    assert told["rows_per_device"] == ["2", "2 x 64 tokens within 4096"]
    assert told["memory"] == ["None", "all of the machine's"]
    assert told["accumulation"] == ["1", "follows from the others"]
    assert lab.calls == []


def test_less_memory_is_an_option_and_a_variable(lab, invoke):
    lines = [
        next(line for line in invoke("plan", "one", *words, **variables).output.splitlines() if line[:7] == "memory ")
        for words, variables in ((("--memory", "1"), {}), ((), {"HFT_MEMORY": "1"}))
    ]
    assert [line.split() for line in lines] == [["memory", "1", "--memory"], ["memory", "1", "HFT_MEMORY"]]


def test_earlier_runs_do_not_stand_in_the_way(lab, invoke):
    before = invoke("plan", "one").output
    lab.train()
    assert invoke("plan", "one").output == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--row-tokens", "9"), "--row-tokens says how long rows are for --gpu: add --gpu all\n"),
        (("--gpu", "all", "--memory", "9"), "--gpu estimates the fastest plan of each card: leave out --memory\n"),
        (("--gpu", "all", "--padded"), "--gpu estimates the fastest plan of each card: leave out --padded\n"),
        (
            ("--gpu", "all", "--save-every", "1"),
            "--gpu estimates the fastest plan of each card: leave out --save-every\n",
        ),
    ],
)
def test_options_that_exclude_each_other_are_named(lab, invoke, words, said):
    result = invoke("plan", "one", *words)
    assert result.exit_code == 2
    assert result.output.endswith(f"Error: {said}")
