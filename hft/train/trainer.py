"""What all methods share: the arguments of transformers' Trainer, training to the end or to a stop."""

import math
import os
from pathlib import Path
from typing import Any

from hft import errors
from hft.errors import HftError
from hft.model import lora, patches
from hft.plan.plan import Plan
from hft.recipe.schema import Recipe
from hft.runs import stages
from hft.train import checkpoints
from hft.train.watcher import Watched

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit"}


def recipe_arguments(recipe: Recipe, steps: int) -> dict:
    """The arguments that a recipe's `train` section sets."""
    told = recipe.train
    return dict(
        max_steps=steps,
        learning_rate=told.learning_rate,
        lr_scheduler_type=SCHEDULES[told.schedule],
        warmup_steps=math.ceil(told.warmup * steps),
        optim=OPTIMIZERS[told.optimizer],
        weight_decay=told.weight_decay,
        max_grad_norm=told.max_grad_norm,
        seed=told.seed,
        data_seed=told.seed,
    )


def plan_arguments(plan: Plan) -> dict:
    """The arguments that the plan sets."""
    return dict(
        per_device_train_batch_size=plan.rows_per_device,
        gradient_accumulation_steps=plan.accumulation,
        gradient_checkpointing=plan.checkpointing != "none",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=plan.precision == "bf16",
        fp16=False,
        tf32=False,
        use_cpu=plan.device == "cpu",
        save_steps=plan.save_every,
        dataloader_pin_memory=plan.device == "cuda",
        ddp_find_unused_parameters=False,
    )


def house_arguments(run: Path) -> dict:
    """The arguments that hft always sets."""
    return dict(
        output_dir=str(run / "checkpoints"),
        shuffle_dataset=False,
        remove_unused_columns=False,
        logging_steps=1,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_total_limit=3,
        report_to=trackers(),
        disable_tqdm=True,
        average_tokens_across_devices=True,
    )


def trackers() -> list[str] | str:
    """Experiment trackers that HFT_REPORT_TO names, such as tensorboard,wandb; none by default.

    Raises HftError for one that is not installed.
    """
    wanted = [name for name in os.environ.get("HFT_REPORT_TO", "").replace(",", " ").split() if name != "none"]
    if not wanted:
        return "none"
    from transformers.integrations import get_available_reporting_integrations

    known = get_available_reporting_integrations()
    if missing := [name for name in wanted if name not in known]:
        raise HftError(
            f"HFT_REPORT_TO={missing[0]}: that tracker is not installed",
            f"installed: {', '.join(sorted(known)) or 'none'}",
        )
    return wanted


class OutOfMemory(Exception):
    """The plan was too large for the card; every step before is in a checkpoint."""


def carry_out(trainer: Any, seen: Watched, arguments: tuple[dict, dict], recipe: Recipe, run: Path) -> dict:
    """Train from the newest whole checkpoint to the end, or to where `seen` stops; returns what the passport keeps.

    Raises KeyboardInterrupt after a Ctrl-C and OutOfMemory where the card is too small, once a checkpoint is saved.
    """
    values, origins = arguments
    reset(trainer, recipe, run)
    newest = newest_checkpoint(run)
    done = int(newest.name.rpartition("-")[2]) if newest else 0
    fits = True
    with seen:
        if newest and done >= seen.last:  # the Trainer would make one more step before it stops
            patches.load_trained(trainer, newest, done)
            seen.go_on(done)
        else:
            fits = train_on(trainer, newest)
    if not fits:
        save_last_step(trainer, run, done)
        raise OutOfMemory
    if seen.interrupted:
        raise KeyboardInterrupt
    return {
        "arguments": {
            name: {"value": plain_value(values[name], run), "origin": origins[name]} for name in sorted(values)
        },
        "steps": trainer.state.global_step,
        "of_steps": values["max_steps"],
        **seen.summary(),
    }


def reset(trainer: Any, recipe: Recipe, run: Path) -> None:
    """Undo what making the trainer did: its printing of records, its cast of the adapter, the peak of memory so far."""
    import torch
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    patches.name_the_cpu(trainer)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()  # the peak in the passport is this training's
    if recipe.lora:
        lora.initialise(trainer.model, recipe.train.seed)
        if begun := stages.adapter(run):
            lora.load(trainer.model, begun)


def train_on(trainer: Any, newest: Path | None) -> bool:
    """Train from a checkpoint to the end or to a stop; False where a GPU's memory ran out.

    A function, because an except block holds on to its error, and that to the tensors of the step.
    """
    try:
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    except RuntimeError as problem:
        if not errors.is_out_of_memory(problem):
            raise
        return False
    return True


def newest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint, as the first of several processes sees it: it alone removes damaged ones."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return checkpoints.newest(run / "checkpoints")
    newest = checkpoints.newest(run / "checkpoints") if dist.get_rank() == 0 else None
    name = [newest and newest.name]
    dist.broadcast_object_list(name, src=0)
    return run / "checkpoints" / name[0] if name[0] else None


def save_last_step(trainer: Any, run: Path, done: int) -> None:
    """Keep what was trained since checkpoint `done`; a step that failed half-way has changed no weight yet.

    Not with several processes, which save together or not at all: they go on from the last checkpoint.
    """
    if trainer.args.world_size > 1:
        return
    trainer.model.zero_grad(set_to_none=True)
    step = trainer.state.global_step
    if step > done:
        patches.save_now(trainer)
        checkpoints.seal(run / "checkpoints" / f"checkpoint-{step}")


def plain_value(value: Any, run: Path) -> Any:
    """An argument as JSON can hold it, without the run's path."""
    if isinstance(value, str):
        return value.replace(str(run), "RUN")
    return value if isinstance(value, int | float | bool | dict | list | type(None)) else str(value)
