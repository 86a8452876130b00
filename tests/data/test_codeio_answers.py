"""CodeI/O by a model: answers in two turns, files to functions; a small server stands in for the model's."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from functions import made

from hft import download

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


@pytest.fixture
def server():
    """An OpenAI-compatible server: `answers` makes its answer of the messages, `failures` are its first statuses."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_POST(self):
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            listening.seen.append((self.path, self.headers.get("Authorization"), told))
            status = listening.failures.pop(0) if listening.failures else 200
            said = (
                {"choices": [{"message": {"content": listening.answers(told["messages"])}}]}
                if status == 200
                else {"error": "no"}
            )
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.seen, listening.failures, listening.answers = [], [], None
    listening.address = f"http://127.0.0.1:{listening.server_address[1]}/v1"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield listening
    listening.shutdown()
    listening.server_close()
    thread.join()


def right(messages):
    """Wrong at first, right when told so."""
    n = json.loads(messages[0]["content"].partition("`f`:\n")[2].partition("\n")[0])["n"]
    return json.dumps({"output": n + (1 if len(messages) == 1 else 2)})


@pytest.fixture
def answer(invoke, tmp_path):
    (tmp_path / "functions.jsonl").write_text(json.dumps(made("return n + 2")) + "\n")

    def call(*words, **environment):
        changes = ("data.train.file=functions.jsonl", "data.train.kinds=[output]", "data.train.pairs=3")
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
    other = {"source": "jsonl", "file": "none.jsonl"}
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
