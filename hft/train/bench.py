"""`hft bench`: plain, Unsloth as the tutorials set it, and hft's own plan, side by side on the same rows.

Each trains in a process of its own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hft import files, machine
from hft.errors import HftError
from hft.plan import plan
from hft.plan.wishes import Wishes
from hft.recipe.file import Loaded
from hft.runs import compare
from hft.runs import folder as runs
from hft.terminal import columns, say

QUIET = ("evaluate.rows=1", "evaluate.max_new_tokens=1", "export.formats=[]")
OF_THE_PLAN = (  # what is kept of a variant's plan
    "backend",
    "processes",
    "rows_per_device",
    "accumulation",
    "padding_free",
    "by_length",
    "checkpointing",
    "precision",
)
HEAD = (
    "",
    "s/step [quartiles]",
    "x plain",
    "tokens/s",
    "floor's share",
    "peak GiB",
    "rows x accumulation",
    "losses against plain",
)


def variants(loaded: Loaded) -> dict[str, dict[str, str | None]]:
    """`{name: options of hft train}`: as the tutorials have it, plain and by Unsloth; then the plan.

    The tutorials have 4 rows at a time, padded, with checkpointing. On a GPU the plan is also timed with activations
    computed again, which takes the least memory.
    """
    rows = str(max(n for n in range(1, 5) if loaded.recipe.train.batch_size % n == 0))
    gpu = bool(machine.cards())
    tutorial = {"rows_per_device": rows, "processes": "1", "padded": None, "in_order": None}
    return {
        "plain": {"backend": "plain", "checkpointing": "full" if gpu else "none", **tutorial},
        "tutorial": {"backend": "unsloth", "checkpointing": "offloaded" if gpu else "none", **tutorial},
        "hft": {},
        **({"hft, offloaded": {"checkpointing": "offloaded"}} if gpu else {}),
    }


def bench(loaded: Loaded, steps: int, warmup: int, repeat: int, out: Path | None, wishes: Wishes) -> str:
    """Train each variant `repeat` times in turn, `warmup` steps discarded; returns the table.

    Writes `out` as JSON after each training. `wishes` are the environment's, which the trainings have too. Raises
    HftError when a variant fails: with the end of what it said.
    """
    refuse_untimable(loaded)
    trainings: dict[str, list[dict]] = {name: [] for name in variants(loaded)}
    facts: dict[str, Any] = {
        "recipe": loaded.name,
        "digest": loaded.digest,
        "steps": steps,
        "warmup": warmup,
        "machine": machine.look()._asdict(),
    }
    with tempfile.TemporaryDirectory(prefix="hft-bench.") as scratch:
        for turn in range(repeat):
            for name, choices in variants(loaded).items():
                say(f"bench {turn + 1}/{repeat}: {name} ({steps} steps, {warmup} of them to warm up) ...")
                trainings[name].append(timed(loaded, choices, steps, Path(scratch, f"{name}-{turn}")))
                facts["variants"] = summaries(trainings, warmup)
                say("  {seconds_a_step:.3f} s a step, {peak_gib:.1f} GiB".format(**facts["variants"][name]))
                keep(out, facts)
    facts["floor"] = floor(loaded, wishes)
    keep(out, facts)
    return table(facts)


def refuse_untimable(loaded: Loaded) -> None:
    """Raise HftError for a recipe whose steps cannot be compared, or that needs another one's weights."""
    if loaded.recipe.method != "sft":
        raise HftError(
            f"recipe {loaded.name} is not supervised: its steps take as long as its completions",
            "choose one with method: sft",
        )
    if loaded.recipe.parent:
        raise HftError(
            f"recipe {loaded.name} starts from another one's weights",
            f"time its first stage: hft bench {loaded.recipe.parent.recipe}",
        )


def keep(out: Path | None, facts: dict) -> None:
    """Write the facts so far, where a file was asked for."""
    if out:
        files.write_json(out, facts)


def command(loaded: Loaded, choices: dict[str, str | None], steps: int) -> list[str]:
    """The words of a variant's `hft train`; an option without a value is a switch."""
    options = [
        *(("--set", setting) for setting in (*loaded.overrides, *QUIET)),
        *((f"--{name.replace('_', '-')}", value) for name, value in choices.items()),
    ]
    words = [word for option in options for word in option if word is not None]
    return [sys.executable, "-m", "hft", "train", loaded.name, "--max-steps", str(steps), *words]


def timed(loaded: Loaded, choices: dict[str, str | None], steps: int, folder: Path) -> dict:
    """One training: seconds and tokens of each step, losses, peak GiB (of the GPU, else of the process), plan."""
    folder.mkdir()
    begin = time.monotonic()
    with (folder / "said.txt").open("w") as log:
        process = subprocess.Popen(
            command(loaded, choices, steps),
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HFT_RUNS": str(folder)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise HftError(
            f"a benchmark's training failed:\n{(folder / 'said.txt').read_text()[-1500:].strip()}",
            f"try it alone: hft train {loaded.name} --max-steps {steps}",
        )
    [run] = [path.parent for path in folder.glob(f"*/*/{runs.PASSPORT}") if not path.parent.is_symlink()]
    facts = runs.finished_passport(run)
    rows = files.read_jsonl(run / "metrics.jsonl")
    return {
        "seconds": [row["seconds"] for row in rows],
        "tokens": [row["tokens"] for row in rows],
        "losses": [row["loss"] for row in rows],
        "peak_gib": facts["training"]["peak_gib"] or round(usage.ru_maxrss / 2**20, 2),
        "total_seconds": round(time.monotonic() - begin, 1),
        "plan": {name: facts["plan"][name] for name in OF_THE_PLAN},
    }


def summaries(trainings: dict[str, list[dict]], warmup: int) -> dict[str, dict]:
    """`{variant: what it took}` of those that ran, with how far their losses are from plain's."""
    reference = trainings["plain"][0]["losses"]
    return {
        name: {
            **summary(made, warmup),
            "losses": compare.curves(reference, made[0]["losses"], compare.MOST, compare.MEAN)[0],
        }
        for name, made in trainings.items()
        if made
    }


def summary(made: list[dict], warmup: int) -> dict:
    """Median seconds a step with their spread, tokens a second, and peak, of all repetitions without their warm-up."""
    seconds = [second for one in made for second in one["seconds"][warmup:]]
    tokens = sum(sum(one["tokens"][warmup:]) for one in made)
    low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    return {
        "seconds_a_step": round(statistics.median(seconds), 4),
        "quartiles": [round(low, 4), round(high, 4)],
        "tokens_a_second": round(tokens / sum(seconds), 1),
        "tokens_a_step": round(tokens / len(seconds)),
        "peak_gib": max(one["peak_gib"] for one in made),
        "total_seconds": [one["total_seconds"] for one in made],
        "plan": made[0]["plan"],
    }


def floor(loaded: Loaded, wishes: Wishes) -> dict:
    """What arithmetic alone costs, and the rate that a large matrix product reaches here in the plan's precision.

    4 FLOPs a parameter and token (forward, backward to the activations), 6 where all weights are trained.
    """
    import torch

    from hft.model import base as models

    made = plan.make(loaded.recipe, machine.usable(), wishes)
    size, kind = (8192, torch.bfloat16) if made.device == "cuda" else (2048, torch.float32)
    matrix = torch.randn(size, size, dtype=kind, device=made.device)
    wait = torch.cuda.synchronize if made.device == "cuda" else lambda: None
    times = []
    for _ in range(6):
        wait()
        begin = time.monotonic()
        matrix @ matrix
        wait()
        times.append(time.monotonic() - begin)
    return {
        "parameters": models.parameters(models.resolve(loaded.recipe.model)),
        "flops_a_second": 2 * size**3 / min(times),
        "flops_a_parameter_and_token": 4 if loaded.recipe.lora else 6,
    }


def table(facts: dict) -> str:
    """One line a variant; ratios are to plain, the floor's share is of the time of a step."""
    plain, floor = facts["variants"]["plain"]["seconds_a_step"], facts["floor"]
    seconds_a_token = floor["parameters"] * floor["flops_a_parameter_and_token"] / floor["flops_a_second"]
    lines = [list(HEAD)]
    for name, made in facts["variants"].items():
        low, high = made["quartiles"]
        seconds = made["seconds_a_step"]
        lines.append(
            [
                name,
                f"{seconds:.3f} [{low:.3f}, {high:.3f}]",
                f"{plain / seconds:.2f}",
                f"{made['tokens_a_second']:,.0f}",
                f"{100 * seconds_a_token * made['tokens_a_step'] / seconds:.0f} %",
                f"{made['peak_gib']:.1f}",
                manner(made["plan"]),
                made["losses"],
            ]
        )
    return columns(lines)


def manner(plan: dict) -> str:
    """How a variant was trained, in a cell."""
    words = "{rows_per_device} x {accumulation}, {backend}, checkpointing {checkpointing}".format(**plan)
    gpus = f", {plan['processes']} GPUs" if plan["processes"] > 1 else ""
    return words + ", end to end" * plan["padding_free"] + gpus
