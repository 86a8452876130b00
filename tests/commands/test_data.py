"""`hft prepare` and `codeio`: a preview of rows with a pretended tokenizer, and what is refused."""

import pytest

from hft.runs import folder as runs


def test_rows_are_previewed_with_the_trained_part_marked(lab, invoke):
    result = invoke("prepare", "one", "--rows", "1")
    assert result.exit_code == 0
    first, second, third, *rest = result.output.splitlines()
    assert first == "train: read 4, kept 4; tokens a row: median 33, longest 33 (at most 64)"
    assert second == "evaluate: read 2, kept 2; tokens a row: median 36, longest 36 (at most 64)"
    assert third.startswith("overlap: of 2 held-out rows 0 are training rows")
    assert rest == [
        "--- row train0, 27 + 6 tokens; the part that is trained stands between >>> and <<<",
        "\1Question: train 0?",
        "Answer:>>> Lena\0<<<",
    ]
    assert (lab.calls, runs.every()) == ([], [])


def test_parts_of_a_mixture_are_counted_one_by_one(lab, invoke):
    part = {"source": "jsonl", "file": "one.train.jsonl"}
    lab.write("two", data={"train": {"source": "mixture", "parts": [part, {**part, "file": "one.evaluate.jsonl"}]}})
    result = invoke("prepare", "two", "--rows", "0")
    assert result.exit_code == 0, result.output
    assert [line.partition(";")[0] for line in result.output.splitlines()] == [
        "train part 1: read 4, kept 4",
        "train part 2: read 2, kept 2",
        "train: read 6, kept 6",
    ]


def test_a_stage_is_read_with_the_first_models_tokenizer_before_anything_is_trained(lab, invoke):
    lab.write("two", "one", trained="Hugo")
    result = invoke("prepare", "two", "--rows", "1")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "Answer:>>> Hugo\0<<<")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("answer", "codeio", "--out", "a.jsonl"), "--endpoint or --turns says where the answers come from\n"),
        (
            ("unify", "recipes/one.yaml", "--out", "a.jsonl"),
            "--endpoint names the server, such as http://127.0.0.1:8000/v1\n",
        ),
        (("unify", "--endpoint", "http://127.0.0.1:1/v1", "--out", "a.jsonl"), "Missing argument 'PATHS...'.\n"),
    ],
)
def test_codeio_without_a_server_is_explained(lab, invoke, words, said):
    result = invoke("codeio", *words)
    assert result.exit_code == 2
    assert said in result.output
