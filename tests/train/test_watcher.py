"""What is seen while a trainer runs: its callbacks are called here by hand, without transformers and torch."""

import importlib.util
import itertools
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from hft import files
from hft.runs import curve
from hft.train import checkpoints, flat, stopping, watcher


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Make a Watched of steps of 10 tokens, in this process alone or as one of several."""
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(watcher, "peak_gib", lambda: None)
    monkeypatch.setattr(watcher, "time", SimpleNamespace(monotonic=itertools.count().__next__))  # a step takes a second

    def make(steps=3, stop_after=None, tokens=10, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return watcher.Watched(tmp_path, [tokens] * steps, stop_after)

    return make


def step(seen, number, **logs):
    """One step as the Trainer calls it; returns its control, as it was left."""
    state, control = SimpleNamespace(global_step=number), SimpleNamespace(should_save=False, should_training_stop=False)
    seen.on_step_begin(None, state, control)
    seen.on_step_end(None, state, control)
    seen.on_log(None, state, control, logs={"loss": 4.0 - number, **logs})
    return control


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_step_becomes_a_row(watched, tmp_path):
    with watched() as seen:
        seen.on_train_begin(None, SimpleNamespace(global_step=0), None)
        step(seen, 1, grad_norm=0.5, learning_rate=1e-3, epoch=0.1)
    assert rows(tmp_path) == [
        {"step": 1, "loss": 3.0, "grad_norm": 0.5, "learning_rate": 1e-3, "tokens": 10, "seconds": 1}
    ]


def test_what_reinforcement_learning_logs_is_kept_and_its_tokens_are_the_trainers(watched, tmp_path, capsys):
    reward = {"reward": 1.5, "reward_std": 0.25, "completions/mean_length": 7.0, "kl": 0.1, "step_time": 9.0}
    with watched(tokens=0) as seen:
        step(seen, 1, num_tokens=40.0, **reward)
        step(seen, 2, num_tokens=100.0, **reward)
        step(seen, 3, num_tokens=101.0, **reward)
    assert [row["tokens"] for row in rows(tmp_path)] == [40, 60, 1]
    assert set(rows(tmp_path)[0]) == {
        "step", "loss", "grad_norm", "learning_rate", "tokens", "seconds",
        "reward", "reward_std", "completions/mean_length", "kl",
    }  # fmt: skip
    assert "reward 1.500 (spread 0.250), 7 tokens long, 1 tokens/s" in capsys.readouterr().out


def test_records_without_a_loss_are_no_steps(watched, tmp_path):
    with watched() as seen:
        seen.on_log(None, SimpleNamespace(global_step=3), None, logs={"train_runtime": 3.0})
    assert not (tmp_path / "metrics.jsonl").exists()


def test_only_the_first_of_several_processes_writes(watched, tmp_path, monkeypatch):
    met = []
    monkeypatch.setattr(stopping, "agree", lambda asked: asked)
    monkeypatch.setattr(stopping, "wait_for_all", lambda: met.append("met"))
    monkeypatch.setattr(checkpoints, "seal", lambda folder: met.append(folder.name))
    arguments, state = SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(global_step=2)
    for rank in ("1", "0"):
        with watched(WORLD_SIZE="2", RANK=rank) as seen:
            seen.go_on(0)
            step(seen, 1)
            seen.on_save(arguments, state, None)
        assert (tmp_path / "metrics.jsonl").exists() == (rank == "0")
    assert met == ["met", "met", "checkpoint-2"]


def test_a_run_that_goes_on_keeps_the_rows_of_its_checkpoint(watched, tmp_path, capsys):
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps({"step": n, "loss": 9.0 - n}) + "\n" for n in (1, 2, 3)) + '{"step": 4, "lo')
    with watched(steps=5) as seen:
        seen.on_train_begin(None, SimpleNamespace(global_step=2), None)
        assert [row["step"] for row in rows(tmp_path)] == [1, 2]
        step(seen, 3)
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [(1, 8.0), (2, 7.0), (3, 1.0)]
    assert "Going on after step 2 of 5.\n" in capsys.readouterr().out
    summary = seen.summary()
    assert (summary["losses"], summary["first_loss"], summary["last_loss"]) == ([8.0, 7.0, 1.0], 8.0, 1.0)


@pytest.mark.parametrize(("stop_after", "last"), [(None, 3), (2, 2), (9, 3)])
def test_training_stops_after_the_last_step_with_a_checkpoint(watched, stop_after, last):
    with watched(stop_after=stop_after) as seen:
        stops = [vars(step(seen, number)) for number in range(1, last + 1)]
    assert seen.last == last
    assert stops == [{"should_save": end, "should_training_stop": end} for end in [False] * (last - 1) + [True]]


@pytest.mark.parametrize("number", stopping.STOPS)
def test_a_signal_stops_after_the_step_and_a_second_one_at_once(watched, number, capsys):
    before = signal.getsignal(number)
    with watched() as seen:
        assert not step(seen, 1).should_training_stop
        os.kill(os.getpid(), number)
        assert seen.interrupted
        assert step(seen, 2).should_training_stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert capsys.readouterr().out.count("Stopping after this step; Ctrl-C again stops at once.") == 1


def test_outside_of_the_main_thread_signals_are_left_alone(watched, monkeypatch):
    def refuse(number, handler):
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr(stopping.signal, "signal", refuse)
    with watched() as seen:
        assert seen.stopping.before == {}


def test_several_processes_stop_by_the_file_as_the_first_one_sees_it(watched, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(stopping, "agree", lambda asked: said.append(asked) or asked)
    before = signal.getsignal(signal.SIGINT)
    with watched(WORLD_SIZE="2") as seen:
        assert signal.getsignal(signal.SIGINT) is before
        assert not step(seen, 1).should_training_stop
        (tmp_path / stopping.STOP).touch()
        assert step(seen, 2).should_training_stop
    assert said == [False, True]


def test_a_checkpoint_is_sealed_when_it_is_saved(watched, tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "weights").write_text("w")
    with watched() as seen:
        seen.on_save(SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(global_step=2), None)
    assert checkpoints.whole(tmp_path / "checkpoint-2")


def test_leaving_the_reference_curve_is_said_once(watched, tmp_path, capsys):
    files.write_json(tmp_path / curve.KEPT, {"losses": [3.0, 2.5, 1.5]})
    with watched() as seen:
        for number in (1, 2, 3):
            step(seen, number)
    out = capsys.readouterr().out
    assert "Warning, step 2: the loss 2.0000 leaves the recipe's reference curve (2.5000, within 0.02)" in out
    assert out.count("Warning, ") == 1
    assert seen.summary()["reference_left_at"] == 2


FLAT = {"reward": 1.0, "reward_std": 0.0, "completions/mean_length": 7.0, "frac_reward_zero_std": 1.0, "num_tokens": 0}
DRAWN = {"limit": 0.8, "risen_above": 1.5, "groups_a_step": 4}


def test_a_training_that_stands_still_stops_with_a_checkpoint_after_its_next_step(watched, tmp_path):
    flat.keep(tmp_path, DRAWN)
    with watched(steps=20) as seen:
        stops = [vars(step(seen, number, **FLAT)) for number in range(1, 12)]
    assert stops == [{"should_save": end, "should_training_stop": end} for end in [False] * 10 + [True]]
    assert seen.interrupted
    assert flat.kept(tmp_path) == {**DRAWN, "stopped": 10}
    assert len(rows(tmp_path)) == 11, "nothing is lost"


@pytest.mark.parametrize(
    ("drawn", "logs", "steps"),
    [
        ({**DRAWN, "limit": None}, FLAT, 20),
        (None, FLAT, 20),
        (DRAWN, {**FLAT, "reward": 1.6}, 20),
        (DRAWN, {**FLAT, "frac_reward_zero_std": 0.75}, 20),
        (DRAWN, FLAT, 10),
    ],
    ids=["anyway", "nothing drawn", "it has learned", "within the limit", "it was the last step"],
)
def test_a_training_goes_on_where(watched, tmp_path, drawn, logs, steps):
    if drawn:
        flat.keep(tmp_path, drawn)
    with watched(steps=steps) as seen:
        stops = [step(seen, number, **logs).should_training_stop for number in range(1, steps + 1)]
    assert stops == [False] * (steps - 1) + [True]
    assert not seen.interrupted
    assert flat.kept(tmp_path) == (drawn or {})


def test_a_run_that_goes_on_is_judged_by_its_steps_before_too(watched, tmp_path):
    flat.keep(tmp_path, DRAWN)
    files.write_jsonl(tmp_path / "metrics.jsonl", [{"step": n, "loss": 0.0, **FLAT} for n in range(1, 10)])
    with watched(steps=20) as seen:
        seen.on_train_begin(None, SimpleNamespace(global_step=9), None)
        assert not step(seen, 10, **FLAT).should_training_stop
        assert step(seen, 11, **FLAT).should_training_stop
    assert flat.kept(tmp_path)["stopped"] == 10


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_several_processes_the_first_sees_that_they_stand_still(watched, tmp_path, monkeypatch, rank):
    monkeypatch.setattr(stopping, "agree", lambda asked: asked)
    flat.keep(tmp_path, DRAWN)
    with watched(steps=20, WORLD_SIZE="2", RANK=rank) as seen:
        stops = [step(seen, number, **FLAT).should_training_stop for number in range(1, 12)]
    assert stops == [False] * 10 + [rank == "0"]
    assert (tmp_path / stopping.STOP).exists() == (rank == "0"), "the file by which all stop in the same step"
    assert flat.kept(tmp_path).get("stopped") == (10 if rank == "0" else None)


@pytest.mark.parametrize(("values", "warned_at"), [([1.2] * 7, [5]), ([1.2] * 4, []), ([1.2, 1.0] + [1.2] * 5, [7])])
@pytest.mark.parametrize("name", watcher.LIMITS)
def test_five_steps_in_a_row_above_a_limit_are_said_once(name, values, warned_at, capsys):
    warnings = watcher.Warnings([])
    limit, advice = watcher.LIMITS[name]
    for number, value in enumerate(values, 1):
        warnings.look({"step": number, "loss": 1.0, name: value * limit})
    assert capsys.readouterr().out == "".join(f"Warning, step {number}: {advice}\n" for number in warned_at)


def test_a_summary_of_no_steps(watched):
    assert watched().summary() == {
        "losses": [],
        "reference_left_at": None,
        "first_loss": None,
        "last_loss": None,
        "first_step_seconds": None,
        "train_seconds": 0,
        "median_step_seconds": None,
        "peak_gib": None,
    }


def test_a_summary_of_rewards_those_of_an_earlier_process_too(watched, tmp_path):
    files.write_jsonl(tmp_path / "metrics.jsonl", [{"step": 1, "loss": 0.0, "reward": 0.12345678}])
    with watched() as seen:
        seen.on_train_begin(None, SimpleNamespace(global_step=1), None)
        step(seen, 2, **{**FLAT, "reward": -7.0000001})
    assert seen.summary()["rewards"] == [0.123457, -7.0]
    assert "rewards" not in watched().summary(), "sft has none"


def test_how_far_vllm_and_the_trainer_are_apart_is_kept_and_shown(watched, tmp_path, capsys):
    files.write_jsonl(tmp_path / "metrics.jsonl", [{"step": 1, "loss": 0.0, watcher.MISMATCH: 0.01}])
    logs = {**FLAT, watcher.MISMATCH: 0.0200004, "sampling/importance_sampling_ratio/mean": 0.99}
    with watched() as seen:
        seen.on_train_begin(None, SimpleNamespace(global_step=1), None)
        step(seen, 2, **logs)
    assert "reward 1.000 (spread 0.000), 7 tokens long, mismatch 0.020, " in capsys.readouterr().out
    assert {name: rows(tmp_path)[1][name] for name in logs if name.startswith("sampling/")} == {
        watcher.MISMATCH: 0.0200004,
        "sampling/importance_sampling_ratio/mean": 0.99,
    }
    assert seen.summary()["mismatch"] == {"mean": 0.015, "most": 0.02}
    assert "mismatch" not in watched().summary(), "without vLLM there is none"


@pytest.mark.parametrize("library", ["trl/trainer/grpo_trainer.py", "unsloth/models/rl_replacements.py"])
def test_both_trainers_log_the_mismatch_by_its_name(library):
    package, _, file = library.partition("/")
    path = Path(importlib.util.find_spec(package).origin).parent / file
    assert f'"{watcher.MISMATCH}"' in path.read_text(encoding="utf-8")


def test_a_summary_of_times_and_memory(watched, monkeypatch):
    seen = watched()
    seen.seconds, seen.metrics.losses = [5.0, 1.0, 2.125], [1.23456789]
    monkeypatch.setattr(watcher, "peak_gib", lambda: 3.14159)
    assert seen.summary() == {
        "losses": [1.234568],
        "reference_left_at": None,
        "first_loss": 1.23456789,
        "last_loss": 1.23456789,
        "first_step_seconds": 5.0,
        "train_seconds": 8.12,
        "median_step_seconds": 2.125,
        "peak_gib": 3.14,
    }


@pytest.mark.slow  # imports transformers
def test_transformers_takes_it_for_a_callback(tmp_path):
    from transformers import TrainerCallback

    seen = watcher.watcher(tmp_path, [1], None)
    assert isinstance(seen, TrainerCallback)
    assert type(seen).on_step_end is watcher.Watched.on_step_end
    assert type(seen).on_epoch_end is TrainerCallback.on_epoch_end
