"""Trainings of several processes, as users start them; and machines with several GPUs that are only pretended."""

import json
import os
import subprocess
import sys
import time

from conftest import ROOT

from hft import machine
from hft.machine import Gpu, Machine

SETTINGS = ("train.batch_size=4", "train.steps=8", "data.train.sample=40", "data.evaluate=null", "export.formats=[]")


WORDS = [
    "train",
    "quickstart",
    "--save-every",
    "1",
    "--backend",
    "plain",
    *(word for one in SETTINGS for word in ("--set", one)),
]


H100 = Gpu("NVIDIA H100", 79.6, "580.1", "9.0")


def with_gpus(monkeypatch, count, card=H100):
    monkeypatch.setattr(machine, "CALLERS_GPUS", None)
    monkeypatch.setattr(machine, "look", lambda: Machine([card] * count, 8, 64.0, "a CPU"))


def hft(folder, *options, path=(), **variables):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HFT_") or name == "HFT_CACHE"
    } | variables
    return subprocess.Popen(
        [sys.executable, "-m", "hft", *WORDS, *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path)))},
    )


def until_step(folder, step, process):
    """Wait for a sealed checkpoint; fails when the process ends before."""
    while not list(folder.glob(f"runs/quickstart/2*/checkpoints/checkpoint-{step}/sealed.json")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)


def result(folder):
    [run] = (folder / "runs" / "quickstart").glob("2*")
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    return json.loads((run / "passport.json").read_text()), losses
