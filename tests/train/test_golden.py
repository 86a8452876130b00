"""Golden losses: five CPU steps of a tiny random model, per method and backend, are what they were.

golden_train.py trains, in one process a backend. `pytest tests/train/test_golden.py --write-golden` writes the losses
anew: in the change that means to change them, and says why.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from hft import machine

GOLDEN = Path(__file__).with_name("golden_losses.json")
TRAIN = Path(__file__).with_name("golden_train.py")
PROCESSES = (("sft", "plain", "grpo", "plain"), ("sft", "unsloth"))  # Unsloth has no GRPO on a CPU
# On the processor and C library that the losses were written with, and on others: glibc's exp and log alone change them
# by 3e-6, and a processor with other vectors sums in another order.
SAME, OTHER = 1e-6, 1e-4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """`{"METHOD BACKEND": losses}`; the processes run at once, a core each."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HFT_")}
    started = []
    for words in PROCESSES:
        folder = tmp_path_factory.mktemp(words[-1])
        command = [sys.executable, str(TRAIN), str(folder), *words]
        environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        started.append(
            subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
    losses = {}
    for process in started:
        output, problems = process.communicate(timeout=300)
        assert process.returncode == 0, output + problems
        losses |= json.loads(output.splitlines()[-1])
    return losses


def test_losses_are_what_they_were(trained, request):
    here = {"cpu": machine.look().cpu, "libc": " ".join(platform.libc_ver())}
    if request.config.getoption("--write-golden"):
        GOLDEN.write_text(json.dumps({"machine": here, "losses": trained}, indent=2, sort_keys=True) + "\n")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert trained.keys() == golden["losses"].keys()
    for name, losses in golden["losses"].items():
        assert trained[name] == pytest.approx(losses, rel=0, abs=SAME if here == golden["machine"] else OTHER), name


def test_the_backends_agree_and_the_losses_say_something(trained):
    assert trained["sft unsloth"] == pytest.approx(trained["sft plain"], abs=2e-5)
    for name, losses in trained.items():
        assert len(losses) == 5, name
        assert len(set(losses)) == 5, f"{name}: a loss that does not change cannot go wrong"
