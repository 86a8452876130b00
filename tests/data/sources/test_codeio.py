"""`source: codeio`: functions become questions, the same every time, and what is of no use is dropped by its reason."""

import contextlib
import json
import shutil

import pytest
from conftest import ROOT, SHARED
from functions import made

from hft.data.sources import codeio
from hft.evaluate import rewards
from hft.evaluate.reasoning import Tags
from hft.recipe import file as recipe_file

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
FILE = SHARED / "codeio" / "parsed.reproducible.60.jsonl"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))


def read(functions, tmp_path, **told):
    (tmp_path / "functions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in functions))
    return list(codeio.rows(codeio.Spec(source="codeio", file="functions.jsonl", **told), tmp_path))


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


def test_one_process_at_a_time_runs_functions_and_none_waits_for_what_is_there(tmp_path, monkeypatch):
    alone = []

    @contextlib.contextmanager
    def noted(path):
        alone.append(path.parent)
        yield

    monkeypatch.setattr(codeio.files, "alone", noted)
    for _ in range(2):
        assert len(read([made("return n")], tmp_path)) == 6
    assert alone == [tmp_path / "cache" / "codeio"]


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
    rows = list(codeio.rows(codeio.Spec(source="codeio", file=FILE.name, pairs=10), FILE.parent))
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


def test_a_function_that_a_busy_machine_stopped_is_run_again(tmp_path, monkeypatch):
    outcomes, real = [codeio.sandbox.Outcome("timeout", [])], codeio.sandbox.run

    def once(job, *more, **told):
        return outcomes.pop() if "days" in job and outcomes else real(job, *more, **told)

    monkeypatch.setattr(codeio.sandbox, "run", once)
    assert read([made("return n")], tmp_path) == []
    assert len(read([made("return n")], tmp_path)) == 6


def test_the_shipped_functions_all_run(capsys):
    loaded = recipe_file.load("codeio")
    rows = list(codeio.rows(loaded.recipe.data.train, ROOT / "recipes"))
    assert capsys.readouterr().out.splitlines()[-1] == "CodeI/O: 8 functions, pairs: ok 80"
    assert len(rows) == 128
