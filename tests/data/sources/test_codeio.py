"""CodeI/O: functions to questions, answers in two turns, files to functions; a small server stands in for the model's."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT, SHARED

from hft.data import chat_endpoint
from hft.data.sources import codeio
from hft.evaluate import rewards
from hft.evaluate.reasoning import Tags
from hft.recipe import file as recipe_file
from hft.recipe.sources import Codeio

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
FILE = SHARED / "codeio" / "parsed.reproducible.60.jsonl"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))


def read(functions, tmp_path, **told):
    (tmp_path / "functions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in functions))
    return list(codeio.rows(Codeio(source="codeio", file="functions.jsonl", **told), tmp_path))


def made(body, generator="return {'n': random.randint(1, 4)}", head=""):
    return {
        "refcode": f"import random, time, datetime, os\n{head}\ndef f(n):\n    {body}\n",
        "funcname": "f",
        "input_generator": f"import random\n\ndef input_generator():\n    {generator}",
    }


def test_a_function_becomes_questions_both_ways_the_same_every_time(tmp_path):
    rows = read([made("return {'half': n / 2}")], tmp_path, pairs=2)
    assert [row["id"] for row in rows] == ["1.1.output", "1.1.input", "1.2.output", "1.2.input"]
    given, wanted = json.loads(rows[0]["input_json"]), json.loads(rows[0]["output_json"])
    assert wanted == {"half": given["n"] / 2}
    assert (json.loads(rows[0]["answer"]), json.loads(rows[1]["answer"])) == ({"output": wanted}, {"input": given})
    shutil.rmtree(tmp_path / "cache")
    assert read([made("return {'half': n / 2}")], tmp_path, pairs=2) == rows
    assert read([made("return {'half': n / 2}")], tmp_path, pairs=2, seed=1) != rows
    assert [row["kind"] for row in read([made("return n")], tmp_path, kinds=["input"], pairs=1)] == ["input"]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (made("return random.random()"), "random 4"),
        (made("return list({str(n), 'a', 'b', 'c', 'd'})"), "random 4"),
        (made("return id(object())"), "random 4"),
        (made("return os.urandom(9).hex()"), "random 4"),
        (made("return time.time() // 86400"), "depends on time 4"),
        (made("return datetime.date.today().isoformat()"), "depends on time 4"),
        (made("n.append(1)\n    return 1", "return {'n': [random.randint(1, 4)]}"), "mutates its input 4"),
        (made("return {n}"), "not JSON 4"),
        (made("return float('inf')"), "not finite 4"),
        (made("return 'x' * 999"), "too large 4"),
        (made("return 1 // (n - 2)"), "ok 3, error 1"),
        (made("return 1", "return {1}"), "no input 1"),
        (made("os._exit(1)"), "exits 1"),
        (made("return calls.append(1) or len(calls)", head="calls = []"), "random 4"),  # it remembers earlier calls
        (made("return time.localtime().tm_year"), "depends on time 4"),
        (made("return time.strftime('%d')"), "depends on time 4"),
    ],
)
def test_what_is_of_no_use_is_dropped_by_reason(tmp_path, capsys, one, said):
    read([one], tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == f"CodeI/O: 1 functions, pairs: {said}"


def test_a_line_without_code_is_named(invoke, tmp_path):
    (tmp_path / "functions.jsonl").write_text('{"refcode": "def f(): pass", "problem_description": "?"}\n')
    result = invoke(
        "prepare", "codeio", "--set", "data.train.file=functions.jsonl", "--out", "x.jsonl", HFT_DATA=str(tmp_path)
    )
    assert result.exit_code == 1
    assert (
        "line 1 has no refcode, or neither input_generator nor ios; it has: refcode, problem_description"
        in result.output
    )


@pytest.mark.slow
def test_every_recorded_output_of_the_papers_rows_is_reproduced(tmp_path, capsys):
    if not FILE.exists():
        pytest.skip("the rows of the paper are not there")
    rows = list(codeio.rows(Codeio(source="codeio", file=FILE.name, pairs=10), FILE.parent))
    recorded = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    total = sum(len(one["ios"]) for one in recorded)
    assert (len(recorded), capsys.readouterr().out.splitlines()[-1]) == (
        60,
        f"CodeI/O: 60 functions, pairs: ok {total}",
    )
    assert len(rows) == 2 * total
    wrong = {**recorded[0], "ios": [{**recorded[0]["ios"][0], "output": 999}]}
    assert read([wrong], tmp_path) == []
    assert capsys.readouterr().out.splitlines()[-1] == "CodeI/O: 1 functions, pairs: other than recorded 1"


def test_the_reward_verifies_as_the_questions_are_verified():
    rows = [
        {"kind": kind, "code": "def f(n):\n    return n + 1", "name": "f", "input_json": '{"n": 1}', "output_json": "2"}
        for kind in ("output", "input", "input", "output")
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    said = [
        '<think>{"output": 9}</think>{"output": 2}',
        '{"input": {"n": 1}}',
        '{"input": {"n": 5}}',
        '<think>{"output": 2}</think>two',
    ]
    assert rewards.codeio(said, **columns, tags=Tags()) == [1.0, 1.0, 0.0, -0.5]


@pytest.fixture
def server():
    """An OpenAI-compatible server; `answers` says what it answers to the last message, `failures` which requests fail first."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_POST(self):
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.seen.append((self.path, self.headers.get("Authorization"), told))
            status = made.failures.pop(0) if made.failures else 200
            said = (
                {"choices": [{"message": {"content": made.answers(told["messages"])}}]}
                if status == 200
                else {"error": "no"}
            )
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.seen, made.failures, made.answers = [], [], None
    made.address = f"http://127.0.0.1:{made.server_address[1]}/v1"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
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
    monkeypatch.setattr(chat_endpoint.time, "sleep", lambda seconds: None)
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


def test_a_function_that_a_busy_machine_stopped_is_run_again(tmp_path, monkeypatch):
    outcomes, real = [codeio.sandbox.Outcome("timeout", [])], codeio.sandbox.run

    def once(job, *more, **told):
        return outcomes.pop() if "days" in job and outcomes else real(job, *more, **told)

    monkeypatch.setattr(codeio.sandbox, "run", once)
    assert read([made("return n")], tmp_path) == []
    assert len(read([made("return n")], tmp_path)) == 6


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([401], "refuses the request (401)\n  Fix: put its key into OPENAI_API_KEY"),
        ([404], "refuses the request (404: "),
        ([500] * 4, "does not answer (500: "),
    ],
)
def test_a_server_that_refuses_is_explained(answer, server, monkeypatch, failures, said):
    monkeypatch.setattr(chat_endpoint.time, "sleep", lambda seconds: None)
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


def test_the_shipped_functions_all_run(capsys):
    loaded = recipe_file.load("codeio")
    rows = list(codeio.rows(loaded.recipe.data.train, ROOT / "recipes"))
    assert capsys.readouterr().out.splitlines()[-1] == "CodeI/O: 8 functions, pairs: ok 80"
    assert len(rows) == 128
