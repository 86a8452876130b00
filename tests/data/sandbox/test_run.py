"""Foreign code in the sandbox: what it may not do, and that the run goes on.

Needs bubblewrap (apt-get install bubblewrap).
"""

import itertools
import json
import os
import shutil
import subprocess
import time

import pytest

from hft.data.sandbox import run as sandbox
from hft.errors import HftError

SECRET = "the caller's own"
needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


HEAD = "import os, sys, time, random, datetime, threading, socket\n\ndef f(n):\n"


def run(body, inputs=('{"n": [3]}',), limits=sandbox.Limits(seconds=6, processor=3), **job):  # noqa: B008  a named tuple never changes
    """Run `def f(n):` with this body."""
    code = HEAD + "".join(f"    {line}\n" for line in body.splitlines())
    return sandbox.run({"code": code, "function": "f", "inputs": list(inputs), **job}, limits)


def one(body, **job):
    """(status, output) of the one pair, or of the whole when there is none."""
    outcome = run(body, **job)
    return (outcome.pairs[0]["status"], outcome.pairs[0]["output"]) if outcome.pairs else (outcome.status, None)


@needs_bubblewrap
@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("while True: os.fork()", "exits"),
        ("while True: pass", "timeout"),
        ("time.sleep(60)", "timeout"),
        ("bytearray(10 * 2**30)", "memory"),
        ("x = []\nwhile True: x.append(' ' * 2**27)", "memory"),
        ("return open(os.path.expanduser('~root/.bashrc')).read()", "error"),
        ("return os.listdir('/home')", "error"),
        ("return open('/etc/passwd').read()", "error"),
        ("socket.create_connection(('127.0.0.1', 80), timeout=1)", "error"),
        ("socket.getaddrinfo('example.com', 80)", "error"),
        ("open('/usr/x', 'w')", "error"),
        ("open('/x', 'w')", "error"),
        ("open('/tmp/x', 'w')", "error"),
        ("for i in range(100): open(f'/scratch/{i}', 'w').write('x' * 900_000)", "error"),
        ("open('big', 'w').write('x' * 2**21)", "output"),
        ("for i in range(1000): print('x' * 10**6)", "output"),
        ("os.kill(os.getppid(), 9)", "error"),
        ("sys.exit(3)", "exits"),
        ("os._exit(0)", "exits"),
        ("os.abort()", "exits"),
        ("os.kill(os.getpid(), 9)", "killed"),
        ("for i in range(3, 64): os.write(i, b'{}')", "exits"),
        ("return f(n)", "error"),
        ("os.setuid(0)", "error"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "error"),
        ("raise ValueError('no')", "error"),
        ("return float('nan')", "not finite"),
        ("return [1e999]", "not finite"),
        ("return {1, 2}", "not JSON"),
        ("return f", "not JSON"),
        ("return 'x' * 100", "too large"),
        ("return list(range(20))", "too large"),
        ("return [['y' * 99] * 19] * 19", "too large"),
        ("n.append(1)\nreturn n", "mutates its input"),
    ],
    ids=lambda value: value.splitlines()[-1][:50],
)
def test_hostile_and_useless_functions_are_contained(body, status):
    assert one(body) == (status, None)


@needs_bubblewrap
def test_the_run_goes_on_after_a_bad_input():
    outcome = run("return 6 // n", inputs=["2", "0", "3"])
    assert [(pair["status"], pair["output"]) for pair in outcome.pairs] == [("ok", "3"), ("error", None), ("ok", "2")]
    assert outcome.pairs[1]["detail"].startswith("ZeroDivisionError: ")


@needs_bubblewrap
def test_a_thread_that_outlives_the_function_ends_with_it():
    begin = time.monotonic()
    assert one("threading.Thread(target=time.sleep, args=(60,)).start()\nreturn 1") == ("ok", "1")
    assert time.monotonic() - begin < 30


@needs_bubblewrap
def test_nothing_is_left_running_after_a_timeout():
    run("if os.fork() == 0:\n    os.setsid()\nwhile True: pass", limits=sandbox.Limits(seconds=1))
    left = subprocess.run(["pgrep", "-f", str(sandbox.INSIDE)], capture_output=True, text=True).stdout
    assert left == ""


@needs_bubblewrap
def test_the_callers_environment_and_files_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "file").write_text(SECRET)
    with (tmp_path / "file").open() as open_file:
        os.set_inheritable(open_file.fileno(), True)
        assert SECRET not in one("return str(dict(os.environ))[:90]")[1]
        assert one("return len(os.listdir('/proc/self/fd'))") == (
            "ok",
            "5",
        )  # 0 to 2, the answer, and the listing itself
    assert one(f"return open({str(tmp_path / 'file')!r}).read()") == ("error", None)
    assert one("return sorted(p for p in os.listdir('/proc') if p.isdigit())") == ("ok", '["1", "2"]')


@needs_bubblewrap
def test_random_numbers_are_seeded_and_the_clock_can_be_ahead():
    assert (
        one("return random.random()", draw=4)
        == one("return random.random()", draw=4)
        != one("return random.random()", draw=5)
    )
    now, later = (int(one("return time.time()", ahead=ahead)[1].partition(".")[0]) for ahead in (0, 400 * 86400))
    assert 399 * 86400 < later - now < 401 * 86400
    years = [
        int(one(f"return {way}.year", ahead=4000 * 86400)[1])
        for way in ("datetime.datetime.now()", "datetime.date.today()")
    ]
    assert min(years) > time.gmtime().tm_year + 9


@needs_bubblewrap
def test_calls_go_on_from_seed_to_seed_and_from_hour_to_hour_and_inputs_are_shuffled():
    def outputs(body, inputs=("1", "2", "3"), **job):
        return [(pair["input"], json.loads(pair["output"])) for pair in run(body, inputs, **job).pairs]

    drawn = outputs("return random.random()")
    assert len({output for _, output in drawn}) == 3
    assert [output for _, output in outputs("return random.random()", order=2)] == [output for _, output in drawn]
    assert [given for given, _ in outputs("return n", order=2)] == ["2", "3", "1"]
    clock = [output for _, output in outputs("return time.time()", ahead=86400)]
    step = 31 * 3600 + 7 * 60 + 13
    assert all(step < after - before < step + 600 for before, after in itertools.pairwise(clock))
    again = dict.fromkeys(outputs("return n", calls=7, enough=10))
    assert len(outputs("return n", calls=7, enough=10)) == 9
    assert list(again) == [("1", 1), ("2", 2), ("3", 3)]
    assert len(outputs("return n", calls=7, enough=0)) == 3


@needs_bubblewrap
def test_what_earlier_calls_printed_does_not_count():
    outcome = run("print('x' * 600_000)\nsys.stdout.flush()\nreturn n", inputs=["1", "2", "3"])
    assert [pair["status"] for pair in outcome.pairs] == ["ok"] * 3


@needs_bubblewrap
def test_processor_time_ends_what_the_wall_clock_would_let_run_on():
    begin = time.monotonic()
    assert run("while True: pass", limits=sandbox.Limits(seconds=500, processor=0.5)).status == "timeout"
    assert time.monotonic() - begin < 100


@needs_bubblewrap
@pytest.mark.parametrize("half", ["'\\ud800'", "['a', {'\\udc00': 1}]"])
def test_half_a_surrogate_pair_is_not_json(half):
    assert one(f"return {half}") == ("not JSON", None)
    outcome = run(f"raise ValueError({half})")
    assert outcome.pairs[0]["status"] == "error"
    assert outcome.pairs[0]["detail"].encode()


@needs_bubblewrap
def test_inputs_come_from_a_generator_distinct_and_in_its_order():
    code = "import random\ndef f(n):\n    return n + 1\ndef make():\n    return {'n': random.randint(1, 3)}"
    job = {"code": code, "function": "f", "generator": "make", "count": 10, "seed": 1}
    first, second = sandbox.run(job), sandbox.run(job, hash_seed=9)
    assert first == second
    assert sorted(pair["input"] for pair in first.pairs) == ['{"n": 1}', '{"n": 2}', '{"n": 3}']


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"code": "def g(n): pass", "function": "f"}, "NameError: the code has no function f"),
        ({"code": "def f(n) pass", "function": "f"}, "SyntaxError: "),
        (
            {"code": "def f(n): pass", "function": "f", "inputs": None, "generator": "make"},
            "NameError: the code has no function make",
        ),
    ],
)
@needs_bubblewrap
def test_code_that_cannot_run_says_why(job, said):
    outcome = sandbox.run({"inputs": ["1"], **job})
    assert outcome.status == "error"
    assert outcome.detail.startswith(said)


@needs_bubblewrap
@pytest.mark.parametrize(
    "said",
    [
        "b'[' * 100000",
        "b'{}'",
        """b'{"pairs": [{}], "status": "ok", "detail": ""}'""",
        """b'{"pairs": [], "status": [], "detail": ""}'""",
        """b'{"pairs": [], "status": "\\x1b[31m", "detail": ""}'""",
        """b'{"pairs": [{"input": "1", "output": "no json", "status": "ok"}], "status": "ok", "detail": ""}'""",
    ],
)
def test_an_answer_that_the_code_wrote_itself_harms_nobody(said):
    assert run(f"os.write(3, {said})\nos._exit(0)") == sandbox.Outcome("exits", [])


@needs_bubblewrap
@pytest.mark.slow
def test_there_is_no_other_place_to_write_to():
    for place in ("/dev/shm/x", "/dev/x", "/x", "/proc/sys/kernel/x"):
        assert one(f"open({place!r}, 'w')") == ("error", None)


@pytest.fixture
def fresh():
    """What was found out about the machine is forgotten before and after."""
    sandbox.isolation.cache_clear()
    yield
    sandbox.isolation.cache_clear()


def test_without_bubblewrap_foreign_code_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(HftError) as error:
        run("return 1")
    assert error.value.message == (
        "the data brings code to run, and the sandbox for it, bubblewrap, is not installed\n"
        "  Fix: apt-get install bubblewrap; or, in a machine or container that holds nothing of value: "
        "HFT_RUN_CODE=unprotected (limits only, no isolation)"
    )


def test_where_bubblewrap_may_not_isolate_it_is_said(fresh, monkeypatch, tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HftError, match="bubblewrap may not isolate it here: No permissions to create new namespace"):
        run("return 1")


def test_isolation_can_be_waived_and_limits_stay(fresh, monkeypatch):
    monkeypatch.setenv("HFT_RUN_CODE", "unprotected")
    assert one("return [len(n), os.environ.get('HOME')]") == ("ok", '[1, "/scratch"]')
    assert one("bytearray(10 * 2**30)") == ("memory", None)
    assert one("while True: pass", limits=sandbox.Limits(seconds=1)) == ("timeout", None)
