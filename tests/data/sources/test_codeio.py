"""`source: codeio`: functions become questions, the same every time, and what is of no use is dropped by its reason."""

import contextlib
import hashlib
import json
import shutil

import pytest
from conftest import ROOT, SHARED
from functions import made

from hft.data import codeio_lessons
from hft.data.sources import codeio
from hft.errors import HftError
from hft.evaluate import rewards
from hft.evaluate.reasoning import Tags
from hft.recipe import file as recipe_file

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
FILE = SHARED / "codeio" / "parsed.reproducible.60.jsonl"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))


def read(functions, tmp_path, /, **told):
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
        (made("return random.random()"), "none; whole functions dropped: random 1 (line 1)"),
        (made("return list({str(n), 'a', 'b', 'c', 'd'})"), "none; whole functions dropped: random 1 (line 1)"),
        (made("return id(object())"), "none; whole functions dropped: random 1 (line 1)"),
        (made("return time.time() // 86400"), "none; whole functions dropped: depends on time 1 (line 1)"),
        (made("n.append(1)\n    return 1", "return {'n': [random.randint(1, 4)]}"), "mutates its input 4"),
        (made("return {n}"), "not JSON 4"),
        (made("return float('inf')"), "not finite 4"),
        (made("return '\\ud800'"), "not JSON 4"),
        (made("return 'x' * 999"), "too large 4"),
        (made("return 1 // (n - 2)"), "ok 3, error 1"),
        (made("return 1", "return {1}"), "none; whole functions dropped: no input 1 (line 1)"),
        (made("os._exit(1)"), "none; whole functions dropped: exits 1 (line 1)"),
    ],
)
def test_what_is_of_no_use_is_dropped_by_reason(tmp_path, capsys, one, said):
    read([one], tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == f"CodeI/O: 1 functions, pairs: {said}"


def test_the_counts_name_whole_functions_by_their_lines(tmp_path, capsys):
    """One pair of the second differs: none of it becomes a row; before, 3 of its 4 pairs did."""
    once = made("return random.random() if n == 2 else n")
    functions = [made("return n"), once, made("return n + time.localtime().tm_year"), *[once] * 6]
    rows = read(functions, tmp_path, pairs=10)
    assert {row["function"] for row in rows} == {"1"}
    assert capsys.readouterr().out.splitlines()[-1] == (
        "CodeI/O: 9 functions, pairs: ok 4; whole functions dropped: "
        "random 7 (line 2, 4, 5, 6, 7 and 2 more), depends on time 1 (line 3)"
    )


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


@pytest.mark.parametrize("status", ["timeout", "killed"])
def test_a_function_that_a_busy_machine_stopped_runs_again_alone(tmp_path, monkeypatch, capsys, status):
    real, running, alone = codeio.sandbox.run, [], []

    def busy(job, limits, hash_seed):
        running.append(job["code"])
        if limits.processor is None and "n * 2" in job["code"] and job["ahead"]:
            running.pop()
            return codeio.sandbox.Outcome(status, [])
        if limits.processor is not None:
            alone.append((len(running), limits.seconds, limits.processor))
        try:
            return real(job, limits, hash_seed)
        finally:
            running.pop()

    functions = [made("return n"), made("return n * 2"), made("return n + 1")]
    undisturbed = read(functions, tmp_path)
    shutil.rmtree(tmp_path / "cache")
    capsys.readouterr()
    monkeypatch.setattr(
        codeio.sandbox, "run", lambda job, limits, hash_seed: busy({"ahead": 0, **job}, limits, hash_seed)
    )
    assert read(functions, tmp_path) == undisturbed
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "CodeI/O: run again, alone: line 2",
        "CodeI/O: 3 functions, pairs: ok 12",
    ]
    assert alone == [(1, 100.0, 20.0)] * 6


def test_a_function_that_does_not_end_alone_either_is_named_and_not_run_a_third_time(tmp_path, monkeypatch, capsys):
    tried = []

    def never(job, limits, hash_seed):
        tried.append(limits.processor)
        return codeio.sandbox.Outcome("timeout", [])

    monkeypatch.setattr(codeio.sandbox, "run", never)
    for _ in range(2):
        assert read([made("return n")], tmp_path) == []
        said = "CodeI/O: 1 functions, pairs: none; whole functions dropped: timeout 1 (line 1)"
        assert capsys.readouterr().out.splitlines()[-1] == said
    assert tried == [None, 20.0]


@pytest.mark.slow
def test_processor_time_decides_and_not_the_wall_clock(tmp_path, capsys):
    waits, never = made("time.sleep(.06)\n    return n"), made("while n: pass")
    assert {row["function"] for row in read([waits, never], tmp_path, seconds=1)} == {"1"}
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "CodeI/O: run again, alone: line 1, 2",
        "CodeI/O: 2 functions, pairs: ok 4; whole functions dropped: timeout 1 (line 2)",
    ]


@pytest.mark.parametrize("name", ["inside", "repeat", "run", "verdict"])
def test_the_caches_key_holds_all_that_decides(tmp_path, monkeypatch, name):
    source, one = codeio.Spec(source="codeio", file="x.jsonl"), codeio.function(made("return n"), 1)
    places = [codeio.place_of(one, source), codeio.place_of({**one, "number": 2}, source)]
    monkeypatch.setenv("HFT_RUN_CODE", "unprotected")
    places.append(codeio.place_of(one, source))
    monkeypatch.delenv("HFT_RUN_CODE")
    copy = shutil.copytree(codeio.sandbox.INSIDE.parent, tmp_path / "sandbox")
    (copy / f"{name}.py").write_text("# other\n")
    monkeypatch.setattr(codeio.sandbox, "INSIDE", copy / "inside.py")
    places.append(codeio.place_of(one, source))
    monkeypatch.setattr(codeio.sys, "version_info", (3, 11, 99))
    places.append(codeio.place_of(one, source))
    assert places[0] == places[1]
    assert len(set(places)) == 4


def test_the_shipped_functions_all_run(capsys):
    loaded = recipe_file.load("codeio")
    rows = list(codeio.rows(loaded.recipe.data.train, ROOT / "recipes"))
    assert capsys.readouterr().out.splitlines()[-1] == "CodeI/O: 8 functions, pairs: ok 80"
    assert len(rows) == 128


def place_of(function):
    """The place between 0 and 1 that a function's code gives it."""
    return int(hashlib.sha256(function["refcode"].strip().encode()).hexdigest()[:8], 16) / 16**8


def test_ranges_of_functions_share_none_and_need_no_order(tmp_path, capsys):
    functions = [made(f"return n + {number}") for number in range(8)]
    below = {str(number) for number, one in enumerate(functions, 1) if place_of(one) < 0.8}
    train = read(functions, tmp_path, functions=[0, 0.8])
    assert {row["function"] for row in train} == below == {"1", "3", "5", "7"}
    assert {row["function"] for row in read(functions, tmp_path, functions=[0.8, 1])} == {"2", "4", "6", "8"}
    turned = read(functions[::-1], tmp_path, functions=[0, 0.8])
    assert {row["code"] for row in turned} == {row["code"] for row in train}
    capsys.readouterr()
    broken = [made("return n + 3"), made("return random.random()")]  # the second: by its line, though it comes first
    assert place_of(broken[0]) > 0.8 > place_of(broken[1])
    assert read(broken, tmp_path, functions=[0, 0.8]) == []
    assert capsys.readouterr().out.splitlines()[-1].endswith("whole functions dropped: random 1 (line 2)")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("data.train.functions=[0.7, 0.2]", "'functions' goes from a smaller to a larger number, such as [0, 0.7]"),
        ("data.train.functions=[0, 70]", "functions.1: input should be less than or equal to 1, not 70"),
        ("data.train.revised=true", "'revised' speaks of 'answers', and there are none"),
    ],
)
def test_ranges_and_answers_that_make_no_sense_are_refused(invoke, told, said):
    result = invoke("check", "codeio", "--set", told)
    assert (result.exit_code, said in result.output) == (1, True), result.output


def test_right_answers_of_a_model_become_the_rows(tmp_path):
    plain = read([made("return n + 2"), made("return n + 3")], tmp_path, kinds=["output"], pairs=1)
    first, second = ({"question": codeio_lessons.known_by(row), "turn_1": "wrong", "turn_2": None} for row in plain)
    right = {**first, "status_1": "correct", "status_2": "correct", "turn_1": "so: 3"}
    revised = {**second, "status_1": "wrong", "status_2": "correct", "feedback_1": "No.", "turn_2": "so: 4"}
    never = {**second, "status_1": "wrong", "status_2": "wrong"}
    of_another = {**right, "question": "0" * 16}
    lines = [of_another, {**revised, "sample": 2}, never, {**right, "sample": 1}, {**right, "sample": 2}]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    functions = [made("return n + 3"), made("return n + 2")]  # in another order, so on other lines

    rows = read(functions, tmp_path, kinds=["output"], pairs=1, answers="said.jsonl")
    assert [(row["id"], row["answer"], row["turns"]) for row in rows] == [
        ("2.1.output.1", "so: 3", []),
        ("2.1.output.2", "so: 3", []),
    ]
    rows = read(functions, tmp_path, kinds=["output"], pairs=1, answers="said.jsonl", revised=True)
    assert [row["id"] for row in rows] == ["1.1.output.2", "2.1.output.1", "2.1.output.2"]
    again = {"role": "user", "content": f"No. {codeio_lessons.AGAIN}"}
    assert (rows[0]["turns"], rows[0]["answer"]) == ([{"role": "assistant", "content": "wrong"}, again], "so: 4")

    (tmp_path / "said.jsonl").write_text(json.dumps(of_another) + "\n")
    with pytest.raises(HftError) as error:
        read(functions, tmp_path, answers="said.jsonl")
    assert error.value.message == (
        f"{tmp_path / 'said.jsonl'} has no right answer to these questions\n"
        "  Fix: let a model answer them: hft codeio answer NAME --out said.jsonl"
    )


def test_the_passport_knows_the_answers(tmp_path):
    (tmp_path / "functions.jsonl").write_text("{}\n")
    (tmp_path / "said.jsonl").write_text("\n")
    without, told = (
        codeio.facts(codeio.Spec(source="codeio", file="functions.jsonl", answers=answers), tmp_path)
        for answers in (None, "said.jsonl")
    )
    assert set(without) == {"file", "sha256"}
    assert told == {**without, "answers": {"file": "said.jsonl", "sha256": hashlib.sha256(b"\n").hexdigest()}}


@pytest.mark.slow
def test_the_papers_functions_give_codeio_small_enough_to_ask(tmp_path):
    files = [FILE, FILE.with_name("parsed.more.jsonl")]
    if not all(file.exists() for file in files):
        pytest.skip("the rows of the paper are not there")
    (tmp_path / "codeio_small.jsonl").write_text("".join(file.read_text(encoding="utf-8") for file in files))
    data = recipe_file.load("codeio_small_grpo").recipe.data
    train, asked = ([row["code"] for row in codeio.rows(side, tmp_path)] for side in (data.train, data.evaluate))
    assert (len(asked) >= 200, len(train) >= 1000, set(train) & set(asked)) == (True, True, set())
