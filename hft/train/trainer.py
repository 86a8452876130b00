"""What all methods share: the order of rows, the arguments of transformers' Trainer, training to the end or to a stop."""

import math
import os
from pathlib import Path

from hft import errors
from hft.errors import HftError
from hft.model import lora
from hft.plan.plan import Plan
from hft.recipe.schema import Recipe
from hft.runs import stages
from hft.train import checkpoints

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
    """Experiment trackers that HFT_REPORT_TO names, such as tensorboard,wandb; none by default. Raises HftError for one not installed."""
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


def carry_out(trainer, seen, arguments: tuple[dict, dict], recipe: Recipe, run: Path) -> dict:
    """Train from the newest whole checkpoint in `run` to the end, or to where `seen` stops; returns what the passport keeps.

    Raises KeyboardInterrupt after a Ctrl-C and OutOfMemory where the card is too small, once a checkpoint is saved.
    """
    import torch
    from transformers.trainer_callback import PrinterCallback

    values, origins = arguments
    trainer.remove_callback(PrinterCallback)  # it prints every log record
    if (
        trainer.args.device.type == "cpu"
    ):  # with several processes accelerate says cpu:0, which torch.load does not know
        trainer.args.__dict__["_setup_devices"] = torch.device("cpu")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()  # the peak in the passport is this training's
    if recipe.lora:
        lora.initialise(trainer.model, recipe.train.seed)  # once more: the trainer has cast it
        if begun := stages.adapter(run):
            lora.load(trainer.model, begun)
    newest = newest_checkpoint(run)
    done = int(newest.name.rpartition("-")[2]) if newest else 0
    full = False
    with seen:
        if done < seen.last:
            try:
                trainer.train(resume_from_checkpoint=str(newest) if newest else None)
            except RuntimeError as problem:
                if not errors.is_out_of_memory(problem):
                    raise
                full = True
        else:  # the Trainer would make one more step before it stops
            trainer._load_from_checkpoint(str(newest))
            trainer.state.global_step = done
            seen.go_on(done)
    if full:  # out of the except block, whose error holds on to the step's tensors
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


def newest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint, as the first of several processes sees it: it alone removes damaged ones."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return checkpoints.newest(run / "checkpoints")
    found = checkpoints.newest(run / "checkpoints") if dist.get_rank() == 0 else None
    name = [found and found.name]
    dist.broadcast_object_list(name, src=0)
    return run / "checkpoints" / name[0] if name[0] else None


def save_last_step(trainer, run: Path, done: int) -> None:
    """Keep what was trained since checkpoint `done`; a step that failed half-way has changed no weight yet.

    Not with several processes, which save together or not at all: they go on from the last checkpoint.
    """
    if trainer.args.world_size > 1:
        return
    trainer.model.zero_grad(set_to_none=True)
    step = trainer.state.global_step
    if step > done:
        trainer._save_checkpoint(trainer.model, trial=None)
        checkpoints.seal(run / "checkpoints" / f"checkpoint-{step}")


def plain_value(value, run: Path):
    """An argument as JSON can hold it, without the run's path."""
    if isinstance(value, str):
        return value.replace(str(run), "RUN")
    return value if isinstance(value, int | float | bool | dict | list | type(None)) else str(value)
