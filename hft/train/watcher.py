"""What is seen and kept while a trainer runs: progress, metrics.jsonl, sealed checkpoints, Ctrl-C."""

import json
import os
import signal
import time
from pathlib import Path

from hft import files, terminal
from hft.runs import curve
from hft.train import checkpoints

STOP = "stop"  # a file in the run folder that asks several training processes to stop together
STOPS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what `docker stop` sends


KEPT = (
    "reward",
    "kl",
    "entropy",
    "completions/",
    "frac_reward_zero_std",
    "clip_ratio",
    "sampling/",
)  # of what GRPOTrainer logs
STUCK = {
    "frac_reward_zero_std": (
        0.5,
        "in most groups all completions score alike, and such a group teaches nothing: "
        "raise grpo.temperature or grpo.generations, or take rewards with more steps (hft rewards NAME)",
    ),
    "completions/clipped_ratio": (
        0.5,
        "most completions are cut off before they end: raise grpo.completion_tokens, or reward short ones",
    ),
}


def shown(logs: dict) -> str:
    """What is worth a glance: reward and length where there are any, else the loss."""
    if "reward" not in logs:
        return f"loss {logs['loss']:.4f}"
    return f"reward {logs['reward']:.3f} (spread {logs['reward_std']:.3f}), {logs['completions/mean_length']:.0f} tokens long"


def watcher(run: Path, tokens: list[int], stop_after: int | None):
    """A trainer callback and context manager for `len(tokens)` optimizer steps of so many tokens each.

    A function, because transformers is to be imported here and not with hft.
    """
    import torch.distributed as dist
    from transformers import TrainerCallback

    several, first = int(os.environ.get("WORLD_SIZE", "1")) > 1, os.environ.get("RANK", "0") == "0"

    class Watcher(TrainerCallback):
        interrupted = False

        def __init__(self):
            self.path, self.seconds, self.losses = run / "metrics.jsonl", [], []
            self.tokens, self.recent, self.warned = 0, [], set()
            self.reference, self.parted = curve.of_run(run), None
            self.last = min(stop_after or len(tokens), len(tokens))

        def __enter__(self):
            self.bar = terminal.bar("training (steps)", self.last)
            self.shown = self.bar.__enter__()
            if several:  # the process that started them asks for a stop by a file
                self.before = {}
                return self
            try:
                self.before = {one: signal.signal(one, self.interrupt) for one in STOPS}
            except ValueError:  # not in the main thread, as under some test runners
                self.before = {}
            return self

        def __exit__(self, *problem):
            for one, handler in self.before.items():
                signal.signal(one, handler)
            self.bar.__exit__(*problem)

        def interrupt(self, number, frame):
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            print("\nStopping after this step; Ctrl-C again stops at once.", flush=True)

        def on_train_begin(self, args, state, control, **others):
            self.go_on(state.global_step)

        def go_on(self, step):
            """Take up the metrics of the steps so far; a killed run may have got further than its checkpoint."""
            kept = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
            rows = [json.loads(line) for line in kept if line.endswith("}")]
            rows = [row for row in rows if row["step"] <= step]
            self.losses = [row["loss"] for row in rows]
            if first:
                files.write_jsonl(self.path, rows)
            if step:
                print(f"Going on after step {step} of {len(tokens)}.", flush=True)

        def on_step_begin(self, args, state, control, **others):
            self.start = time.monotonic()

        def on_step_end(self, args, state, control, **others):
            self.seconds.append(time.monotonic() - self.start)
            if several:
                self.agree()
            if state.global_step >= self.last or self.interrupted:
                control.should_save = True
                control.should_training_stop = True

        def agree(self):
            """Stop in the same step as the other processes: when the file is there, as the first process sees it."""
            import torch

            asked = torch.tensor([float((run / STOP).exists())], device="cuda" if torch.cuda.is_available() else "cpu")
            dist.broadcast(asked, 0)
            self.interrupted = bool(asked.item())

        def on_log(self, args, state, control, logs=None, **others):
            if "loss" not in logs or not first:
                return
            seconds = self.seconds[-1]
            seen = tokens[state.global_step - 1] or round(logs.get("num_tokens", 0) - self.tokens)
            self.tokens = logs.get("num_tokens", 0)
            self.losses.append(logs["loss"])
            row = {
                "step": state.global_step,
                "loss": logs["loss"],
                "grad_norm": logs.get("grad_norm"),
                "learning_rate": logs.get("learning_rate"),
                "tokens": seen,
                "seconds": round(seconds, 4),
                **{name: value for name, value in logs.items() if name.startswith(KEPT)},
            }
            with self.path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            self.shown.advance(state.global_step, f"{shown(logs)}, {seen / seconds:,.0f} tokens/s")
            self.warn(row)

        def warn(self, row):
            """Say once where the recipe's reference curve is left, and what makes reinforcement learning stand still."""
            if self.parted is None and (said := curve.left(self.reference, row["step"], row["loss"])):
                self.parted = row["step"]
                terminal.say(f"Warning, step {row['step']}: {said}")
            self.recent = [*self.recent[-4:], row]
            for name, (limit, said) in STUCK.items():
                values = [one.get(name) or 0 for one in self.recent]
                if len(values) == 5 and min(values) > limit and name not in self.warned:
                    self.warned.add(name)
                    terminal.say(f"Warning, step {row['step']}: {said}")

        def on_save(self, args, state, control, **others):
            if several:
                dist.barrier()  # each process writes the state of its own random numbers
            if first:
                checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

        def summary(self) -> dict:
            """Losses, and the seconds of this process's own steps."""
            import torch

            times = sorted(self.seconds)
            peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
            return {
                "losses": [round(one, 6) for one in self.losses],
                "reference_left_at": self.parted if self.reference else None,
                "first_loss": self.losses[0] if self.losses else None,
                "last_loss": self.losses[-1] if self.losses else None,
                "first_step_seconds": round(self.seconds[0], 2)
                if self.seconds
                else None,  # of this process: it compiles
                "train_seconds": round(sum(times), 2),
                "median_step_seconds": round(times[len(times) // 2], 4) if times else None,
                "peak_gib": round(peak, 2) if peak else None,
            }

    return Watcher()
