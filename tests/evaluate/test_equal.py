"""math-verify in its own process: killed where it takes too long, in any thread, private to each process."""

import importlib.util
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest
from conftest import ROOT

from hft.errors import HftError
from hft.evaluate import equal
from hft.evaluate.answers import right

TOWER = "9^{9^{9^9}}"
LIMIT = 20  # seconds by the clock, where others use the processor too: 2 of the processor's, and a new start


@pytest.fixture(scope="module")
def worker():
    made = equal.Worker()
    yield made
    made.end()


def test_one_process_answers_until_it_is_ended(worker):
    assert worker.ask(r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt{3}}") is True
    first = worker.process.pid
    assert worker.ask("3", r"\sqrt{3}") is False
    assert worker.ask("(((", "{") is False
    assert worker.process.pid == first


def test_a_hostile_formula_is_wrong_and_the_next_is_judged(worker):
    assert worker.ask("1", "1") is True  # started
    begin = time.monotonic()
    assert worker.ask(TOWER, "34") is False
    assert time.monotonic() - begin < LIMIT
    assert worker.process is None
    assert worker.ask(r"2\pi", r"\pi 2") is True


def test_the_limit_works_in_a_thread(worker):
    answers = []
    thread = threading.Thread(target=lambda: answers.extend([worker.ask(TOWER, "34"), worker.ask("x+1", "1+x")]))
    thread.start()
    thread.join(2 * LIMIT)
    assert answers == [False, True]


def test_threads_share_one_process(worker):
    answers = {}
    pairs = [(f"x+{n}", f"{n % 3}+x") for n in range(6)]
    threads = [threading.Thread(target=lambda pair=pair: answers.update({pair: worker.ask(*pair)})) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {pair: number < 3 for number, pair in enumerate(pairs)}


def test_a_fork_has_a_process_of_its_own():
    assert equal.WORKER.ask("x+1", "1+x") is True
    mine = equal.WORKER.process.pid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests' threads
        child = os.fork()
    if child == 0:
        fresh = equal.WORKER.process is None
        judged = equal.WORKER.ask("x+2", "2+x")
        other = equal.WORKER.process.pid != mine
        equal.WORKER.end()
        os._exit(0 if fresh and judged and other else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert equal.WORKER.ask("x+3", "3+x") is True
    assert equal.WORKER.process.pid == mine


def alive(pid):
    """Whether a process runs still; one that is dead and not fetched does not."""
    try:
        with open(f"/proc/{pid}/stat") as state:  # noqa: PTH123  read at once
            return state.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_it_dies_with_its_parent(busy):
    ask = f"threading.Thread(target=equal.WORKER.ask, args=({TOWER!r}, '34'), daemon=True).start()" if busy else "pass"
    code = (
        "import os, threading, time\nfrom hft.evaluate import equal\nequal.WORKER.ask('x', 'x')\n"
        f"pid = equal.WORKER.process.pid\n{ask}\nprint(pid, flush=True)\ntime.sleep(0.05)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid, deadline = int(done.stdout), time.monotonic() + LIMIT
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_numbers_and_texts_need_no_process(monkeypatch):
    monkeypatch.setattr(equal, "mathematics", None)
    assert [right("The answer is 34.", "34"), right("35", "34"), right("Jakarta", "Jakarta")] == [True, False, True]


def test_without_math_verify_there_is_a_remedy(monkeypatch, worker):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    worker.end()
    with pytest.raises(HftError) as error:
        worker.ask("x", "x")
    assert error.value.message == (
        "math-verify, which compares answers, is not installed\n"
        "  Fix: pip install 'math-verify[antlr4-13-2]==0.9.0', or use the environment that make setup builds from the "
        "locks"
    )


def test_check_and_help_do_not_import_it():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom hft.cli import cli\n"
        "print([CliRunner().invoke(cli, words).exit_code for words in (['--help'], ['check', 'grpo_indonesian'])])\n"
        "print(sorted({'math_verify', 'sympy', 'langid', 'py3langid', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[0, 0]\n[]\n", done.stderr
