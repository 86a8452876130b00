"""What is seen and kept while a trainer runs: progress, metrics.jsonl, warnings, sealed checkpoints."""

import json
import os
import time
from pathlib import Path
from statistics import mean
from typing import Any

from hft import files, terminal
from hft.runs import curve
from hft.train import checkpoints, flat, stopping
from hft.train.stopping import Stopping

# of what GRPOTrainer logs
KEPT = ("reward", "kl", "entropy", "completions/", "frac_reward_zero_std", "clip_ratio", "sampling/")
# of the tokens that vLLM wrote, how far its log-probabilities and the trainer's are apart: the mean of a step
MISMATCH = "sampling/sampling_logp_difference/mean"
RECENT = 5  # steps that all have to be above a limit
LIMITS = {  # {metric: (the limit, what to do about it)}
    "frac_reward_zero_std": (
        0.5,
        "in most groups all completions score alike, and such a group teaches nothing: "
        "raise grpo.temperature or grpo.generations, or take rewards with more steps (hft rewards NAME)",
    ),
    "completions/clipped_ratio": (
        0.5,
        "most completions are cut off before they end: raise grpo.completion_tokens, or reward short ones",
    ),
    MISMATCH: (
        0.05,  # e^0.05: probabilities 5 % apart, the most that a test of NeMo RL allows (token_mult_prob_error)
        "vLLM's probabilities of the tokens that it wrote are 5 % or more from the trainer's, which learns from what "
        "it would not have written: take 16-bit weights (model.quantization: none), or --generator transformers",
    ),
}


class Metrics:
    """metrics.jsonl: one row a step, and none of a step that its checkpoint does not know."""

    def __init__(self, path: Path, tokens: list[int]):
        self.path, self.tokens = path, tokens  # of each step; 0 where the trainer counts them
        self.losses: list[float] = []
        self.rewards: list[float] = []  # the mean of each step, where it is learned by reward
        self.mismatches: list[float] = []  # of each step in which vLLM wrote
        self.counted = 0  # tokens so far, by the trainer's count

    def take_up(self, step: int) -> list[dict]:
        """The rows up to a step; a killed run may have got further than its checkpoint, or left half a line."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("}")]
        rows = [row for row in rows if row["step"] <= step]
        self.losses = [row["loss"] for row in rows]
        self.rewards = [row["reward"] for row in rows if "reward" in row]
        self.mismatches = [row[MISMATCH] for row in rows if MISMATCH in row]
        return rows

    def add(self, step: int, logs: dict, seconds: float) -> dict:
        """Append the row of a step; returns it."""
        tokens = self.tokens[step - 1] or round(logs.get("num_tokens", 0) - self.counted)
        self.counted = logs.get("num_tokens", 0)
        self.losses.append(logs["loss"])
        self.rewards += [logs["reward"]] if "reward" in logs else []
        self.mismatches += [logs[MISMATCH]] if MISMATCH in logs else []
        row = {
            "step": step,
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "tokens": tokens,
            "seconds": round(seconds, 4),
            **{name: value for name, value in logs.items() if name.startswith(KEPT)},
        }
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        return row


class Warnings:
    """Says once where the recipe's reference curve is left, and what keeps reinforcement learning from learning."""

    def __init__(self, reference: list[float]):
        self.reference = reference
        self.parted: int | None = None  # the step that left it
        self.recent: list[dict] = []
        self.warned: set[str] = set()

    def look(self, row: dict) -> None:
        """Warn where a row of metrics gives a reason to."""
        if self.parted is None and (reason := curve.left(self.reference, row["step"], row["loss"])):
            self.parted = row["step"]
            terminal.say(f"Warning, step {row['step']}: {reason}")
        self.recent = [*self.recent[1 - RECENT :], row]
        for name, (limit, advice) in LIMITS.items():
            values = [recent.get(name) or 0 for recent in self.recent]
            if len(values) == RECENT and min(values) > limit and name not in self.warned:
                self.warned.add(name)
                terminal.say(f"Warning, step {row['step']}: {advice}")


class Watched:
    """A trainer's callbacks, and a context manager around its `len(tokens)` optimizer steps of so many tokens each."""

    def __init__(self, run: Path, tokens: list[int], stop_after: int | None):
        self.several, self.first = int(os.environ.get("WORLD_SIZE", "1")) > 1, os.environ.get("RANK", "0") == "0"
        self.steps, self.last = len(tokens), min(stop_after or len(tokens), len(tokens))
        self.metrics = Metrics(run / "metrics.jsonl", tokens)
        self.stopping = Stopping(run, self.several)
        self.warnings = Warnings(curve.of_run(run))
        self.window = flat.Window(flat.kept(run))
        self.seconds: list[float] = []

    @property
    def interrupted(self) -> bool:
        """True when a stop was asked for."""
        return self.stopping.interrupted

    def __enter__(self) -> "Watched":
        self.bar = terminal.bar("training (steps)", self.last)
        self.shown = self.bar.__enter__()
        self.stopping.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        self.stopping.__exit__(*problem)
        self.bar.__exit__(*problem)

    def go_on(self, step: int) -> None:
        """Take up the metrics of the steps so far."""
        rows = self.metrics.take_up(step)
        for row in rows:
            self.window.add(row)
        if self.first:
            files.write_jsonl(self.metrics.path, rows)
        if step:
            print(f"Going on after step {step} of {self.steps}.", flush=True)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Go on after the steps of the checkpoint that the trainer has loaded."""
        self.go_on(state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Begin to time a step."""
        self.start = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Time a step, and stop after the last one or where asked, with a checkpoint."""
        self.seconds.append(time.monotonic() - self.start)
        if self.stopping.agreed() or state.global_step >= self.last:
            control.should_save = True
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **others: Any) -> None:
        """Keep and show a step's metrics, in the first process."""
        if not self.first or not logs or "loss" not in logs:
            return
        seconds = self.seconds[-1]
        row = self.metrics.add(state.global_step, logs, seconds)
        self.shown.advance(state.global_step, f"{shown(logs)}, {row['tokens'] / seconds:,.0f} tokens/s")
        self.warnings.look(row)
        self.window.add(row)
        if self.window.stands_still and state.global_step < self.last and not self.interrupted:
            self.stand_still(state.global_step)

    def stand_still(self, step: int) -> None:
        """Keep that the training stands still, and ask all processes to stop after their next step."""
        run = self.metrics.path.parent
        flat.keep(run, {**flat.kept(run), "stopped": step})
        if self.several:
            files.write(run / stopping.STOP, "")
        else:
            self.stopping.interrupted = True

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Seal a checkpoint when all processes have written the state of their random numbers."""
        if self.several:
            stopping.wait_for_all()
        if self.first:
            checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def summary(self) -> dict:
        """Losses, and the seconds of this process's own steps."""
        losses, times, peak = self.metrics.losses, sorted(self.seconds), peak_gib()
        rewards = self.metrics.rewards
        mismatches = [round(mismatch, 6) for mismatch in self.metrics.mismatches]
        return {
            "losses": [round(loss, 6) for loss in losses],
            **({"rewards": [round(reward, 6) for reward in rewards]} if rewards else {}),
            **({"mismatch": {"mean": round(mean(mismatches), 6), "most": max(mismatches)}} if mismatches else {}),
            "reference_left_at": self.warnings.parted if self.warnings.reference else None,
            "first_loss": losses[0] if losses else None,
            "last_loss": losses[-1] if losses else None,
            "first_step_seconds": round(self.seconds[0], 2) if times else None,  # of this process: it compiles
            "train_seconds": round(sum(times), 2),
            "median_step_seconds": round(times[len(times) // 2], 4) if times else None,
            "peak_gib": round(peak, 2) if peak else None,
        }


def watcher(run: Path, tokens: list[int], stop_after: int | None) -> Watched:
    """A Watched that transformers takes for a callback; transformers is imported here and not with hft."""
    from transformers import TrainerCallback

    class Watcher(Watched, TrainerCallback):
        pass

    return Watcher(run, tokens, stop_after)


def shown(logs: dict) -> str:
    """What is worth a glance: reward, length and mismatch where there are any, else the loss."""
    if "reward" not in logs:
        return f"loss {logs['loss']:.4f}"
    length = f"{logs['completions/mean_length']:.0f} tokens long"
    mismatch = f", mismatch {logs[MISMATCH]:.3f}" if MISMATCH in logs else ""
    return f"reward {logs['reward']:.3f} (spread {logs['reward_std']:.3f}), {length}{mismatch}"


def peak_gib() -> float | None:
    """The most memory that this process took of its GPU, in GiB; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
