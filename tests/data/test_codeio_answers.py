"""CodeI/O by a model: answers in two turns, files to functions; a small server stands in for the model's."""

import json
import shutil
import threading

import pytest
from functions import made
from talking import Server

from hft import check, download
from hft.data import prepare, rows

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


@pytest.fixture
def server():
    """An OpenAI-compatible server without a model: a test sets its `answers`."""
    with Server() as listening:
        yield listening


def right(messages):
    """Wrong at first, right when told so."""
    return json.dumps({"output": number_of(messages) + (1 if len(messages) == 1 else 2)})


@pytest.fixture
def answer(invoke, tmp_path):
    (tmp_path / "functions.jsonl").write_text(json.dumps(made("return n + 2")) + "\n")

    def call(*words, **environment):
        changes = (
            "data.train.file=functions.jsonl",
            "data.train.kinds=[output]",
            "data.train.pairs=3",
            "data.held_out=null",
        )
        return invoke(
            "codeio",
            "answer",
            "codeio",
            *(word for one in changes for word in ("--set", one)),
            "--out",
            "answers.jsonl",
            *words,
            HFT_DATA=str(tmp_path),
            HFT_CACHE=str(tmp_path / "cache"),
            **environment,
        )

    return call


def records(tmp_path):
    return [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]


def test_a_wrong_answer_is_revised_once(answer, server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    server.answers, server.failures = right, [503, 429]
    result = answer("--endpoint", server.address, "--model", "m", OPENAI_API_KEY="sk-ForTestsOnly")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("answers.jsonl: 3 answers\nturn 1: wrong 3\nturn 2: correct 3\n")
    one = records(tmp_path)[0]
    assert set(one) == {
        "id",
        "kind",
        "prompt",
        "question",
        "sample",
        "turn_1",
        "feedback_1",
        "turn_2",
        "feedback_2",
        "status_1",
        "status_2",
        "response",
    }
    assert one["response"] == f"{one['turn_1']}\n\n{one['feedback_1']}\n\n{one['turn_2']}\n\n{one['feedback_2']}"
    assert {path for path, _, _ in server.seen} == {"/v1/chat/completions"}
    assert {key for _, key, _ in server.seen} == {"Bearer sk-ForTestsOnly"}
    assert "sk-ForTestsOnly" not in (tmp_path / "answers.jsonl").read_text() + result.output
    assert [len(told["messages"]) for _, _, told in server.seen].count(3) == 3


def test_a_killed_run_goes_on_where_it_was(answer, server, tmp_path):
    server.answers = right
    assert answer("--endpoint", server.address, "--limit", "1").exit_code == 0
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write('{"id": "1.2.out')  # half a line
    before = len(server.seen)
    assert answer("--endpoint", server.address).exit_code == 0
    assert sorted(one["id"] for one in records(tmp_path)) == ["1.1.output", "1.2.output", "1.3.output"]
    assert len(server.seen) == before + 4


def number_of(messages):
    """The n that a question is about."""
    return json.loads(messages[0]["content"].partition("`f`:\n")[2].partition("\n")[0])["n"]


def test_several_are_asked_at_once_and_written_in_the_questions_order(answer, server, tmp_path):
    """The first question is answered last: its request waits for those of the two others."""
    others = threading.Semaphore(0)
    first = number_of([{"content": prompt_of(answer, tmp_path)}])

    def slow(messages):
        if number_of(messages) == first:
            assert others.acquire(timeout=20) and others.acquire(timeout=20)
        else:
            others.release()
        return json.dumps({"output": number_of(messages) + 2})

    server.answers = slow
    assert answer("--endpoint", server.address, "--at-once", "3").exit_code == 0
    assert [one["id"] for one in records(tmp_path)] == ["1.1.output", "1.2.output", "1.3.output"]


def prompt_of(answer, tmp_path):
    """The first question's prompt."""
    (tmp_path / "turns.jsonl").write_text('{"id": "1.1.output", "turn_1": "?"}\n')
    assert answer("--turns", "turns.jsonl").exit_code == 0
    [one] = records(tmp_path)
    (tmp_path / "answers.jsonl").unlink()
    return one["prompt"]


def test_each_sample_has_its_seed_and_more_of_them_go_on(answer, server, tmp_path):
    server.answers = right
    assert answer("--endpoint", server.address, "--limit", "2", "--seed", "5").exit_code == 0
    assert answer("--endpoint", server.address, "--limit", "2", "--seed", "5", "--samples", "3").exit_code == 0
    assert [(one["sample"], one["id"]) for one in records(tmp_path)] == [
        (sample, name) for sample in (1, 2, 3) for name in ("1.1.output", "1.2.output")
    ]
    seeds = [told["seed"] for _, _, told in server.seen]
    assert (sorted(seeds), len(server.seen)) == ([5] * 4 + [6] * 4 + [7] * 4, 12)
    before = (tmp_path / "answers.jsonl").read_text()
    assert answer("--endpoint", server.address, "--limit", "2", "--samples", "3", "--at-once", "9").exit_code == 0
    assert ((tmp_path / "answers.jsonl").read_text(), len(server.seen)) == (before, 12)


def test_a_failing_server_ends_it_and_what_was_answered_is_kept(answer, server, tmp_path):
    server.answers = lambda messages: json.dumps({"output": number_of(messages) + 2}) if len(server.seen) == 1 else 404
    result = answer("--endpoint", server.address, "--at-once", "1")
    assert result.exit_code == 1
    assert "refuses the request (404: " in result.output
    assert [one["status_1"] for one in records(tmp_path)] == ["correct"]
    server.seen.clear()
    server.answers = right
    assert answer("--endpoint", server.address).exit_code == 0
    assert (len(records(tmp_path)), len(server.seen)) == (3, 4)


def test_what_is_too_long_for_the_server_is_left_out_and_counted(answer, server, tmp_path):
    first = number_of([{"content": prompt_of(answer, tmp_path)}])
    server.answers = lambda messages: 400 if number_of(messages) == first or len(messages) > 1 else "no idea"
    result = answer("--endpoint", server.address)
    assert result.exit_code == 0, result.output
    assert result.output.endswith(
        "answers.jsonl: 2 answers\n"
        "too long for the server and left out: 1 (lower --max-tokens, or start the server with a longer context "
        "(vLLM: --max-model-len))\nturn 1: unreadable 2\nturn 2: unreadable 2\n"
    )
    assert [one["turn_2"] for one in records(tmp_path)] == [None, None]
    (tmp_path / "answers.jsonl").unlink()
    server.answers = lambda messages: 400
    result = answer("--endpoint", server.address)
    assert (result.exit_code, "has no room for the question" in result.output) == (1, True)


@pytest.mark.parametrize(
    "split",
    [
        ("data.held_out=0.3",),
        (
            "data.held_out=null",
            "data.train.functions=[0, 0.85]",
            "data.train.answers=answers.jsonl",
            "data.evaluate={source: codeio, file: functions.jsonl, functions: [0.85, 1]}",
        ),
    ],
    ids=["a share held out", "a range of functions"],
)
def test_what_a_recipe_holds_out_is_not_asked(invoke, server, tmp_path, monkeypatch, split):
    functions = [made(f"return n + {number}") for number in range(8)]
    (tmp_path / "functions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in functions))
    places = {"HFT_DATA": str(tmp_path), "HFT_CACHE": str(tmp_path / "cache")}
    changes = ("data.train.file=functions.jsonl", "data.train.pairs=2", *split)
    words = [word for one in changes for word in ("--set", one)]
    server.answers = lambda messages: '{"output": 1, "input": {"n": 1}}'
    result = invoke(
        "codeio", "answer", "codeio", *words, "--endpoint", server.address, "--out", "answers.jsonl", **places
    )
    assert result.exit_code == 0, result.output
    for name, value in places.items():  # invoke has none of the environment's own
        monkeypatch.setenv(name, value)
    loaded = check.load("codeio", changes)
    train, held_out = prepare.filtered(loaded, rows.read(loaded), None, {"train": {}, "evaluate": {}})
    asked = {one["prompt"] for one in records(tmp_path)}
    assert (len(asked), len(held_out) > 5) == (20, True)
    assert {one.prompt for one in train} <= asked  # all of them; with answers those alone that were answered rightly
    assert not asked & {one.prompt for one in held_out}


def test_turns_come_from_a_file(answer, tmp_path):
    turns = [{"id": "1.1.output", "turn_1": "no idea"}, {"id": "1.2.output", "turn_1": "{}", "turn_2": "{}"}]
    (tmp_path / "turns.jsonl").write_text("".join(json.dumps(one) + "\n" for one in turns))
    result = answer("--turns", "turns.jsonl")
    assert result.exit_code == 0, result.output
    assert [(one["status_1"], one["turn_2"]) for one in records(tmp_path)] == [
        ("unreadable", None),
        ("unreadable", "{}"),
    ]


def test_half_a_surrogate_pair_in_an_answer_is_written_and_sent_as_a_question_mark(answer, server, tmp_path):
    escaped = '{"output": "\\ud800"}'
    server.answers = lambda messages: "\udfff no" if len(messages) == 1 else escaped
    result = answer("--endpoint", server.address, "--limit", "1")
    assert result.exit_code == 0, result.output
    [one] = records(tmp_path)
    assert (one["turn_1"], one["turn_2"]) == ("? no", escaped)
    assert (one["status_1"], one["status_2"]) == ("unreadable", "unreadable")
    assert [told["messages"][1]["content"] for _, _, told in server.seen[1:]] == ["? no"]


def test_a_mixture_asks_each_part_in_its_own_format(invoke, server, tmp_path):
    (tmp_path / "functions.jsonl").write_text(json.dumps(made("return n + 2")) + "\n")
    server.answers = right
    part = {"source": "codeio", "file": "functions.jsonl", "format": "codeio", "kinds": ["output"], "pairs": 1}
    (tmp_path / "other.jsonl").write_text('{"context": "?", "question": "?", "answer": "34"}\n')
    other = {"source": "jsonl", "file": "other.jsonl"}
    mixed = json.dumps({"source": "mixture", "parts": [other, part, part]})
    result = invoke(
        "codeio",
        "answer",
        "quickstart",
        "--set",
        f"data.train={mixed}",
        "--endpoint",
        server.address,
        "--out",
        "answers.jsonl",
        HFT_DATA=str(tmp_path),
        HFT_CACHE=str(tmp_path / "cache"),
    )
    assert result.exit_code == 0, result.output
    assert [one["id"] for one in records(tmp_path)] == ["2.1.1.output", "3.1.1.output"]


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([401], "refuses the request (401)\n  Fix: put its key into OPENAI_API_KEY"),
        ([404], "refuses the request (404: "),
        ([500] * 4, "does not answer (500: "),
    ],
)
def test_a_server_that_refuses_is_explained(answer, server, monkeypatch, failures, said):
    monkeypatch.setattr(download, "PAUSE", 0)
    server.answers, server.failures = right, failures * 9
    result = answer("--endpoint", server.address)
    assert result.exit_code == 1
    assert said in result.output


def test_without_a_source_of_answers_it_is_a_usage_error(answer):
    assert answer().exit_code == 2


def test_files_become_functions_that_run(invoke, server, tmp_path):
    whole = {**made("return n"), "problem_description": "?", "io_requirements": "n"}
    said = {
        "good": f"Here:\n```json\n{json.dumps(whole)}\n```",
        "bad": json.dumps({**whole, "refcode": "def g(): pass"}),
        "odd": "no",
    }
    server.answers = lambda messages: next(text for name, text in said.items() if name in messages[0]["content"])
    for name in said:
        (tmp_path / f"{name}.py").write_text(f"# {name}\n")
    for _ in range(2):  # the second time only what failed is asked again
        result = invoke(
            "codeio",
            "unify",
            *(f"{name}.py" for name in said),
            "--endpoint",
            server.address,
            "--out",
            "functions.jsonl",
        )
        assert result.exit_code == 0, result.output
    assert len(server.seen) == 5
    [one] = [json.loads(line) for line in (tmp_path / "functions.jsonl").read_text().splitlines()]
    assert one == {**whole, "origin": "good.py"}
