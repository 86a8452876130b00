"""`method: sft`: supervised fine-tuning with TRL's SFTTrainer; the loss is on the answers only."""

import math
import random
from pathlib import Path

from hft import checkpoints, lora
from hft.methods import arguments
from hft.methods.watch import watcher
from hft.plan import Plan
from hft.recipe import Recipe
from hft.rows import Sample

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit"}


def steps(recipe: Recipe, rows: int) -> int:
    """Optimizer steps of a run over this many training rows."""
    return recipe.train.steps or math.ceil(recipe.train.epochs * rows / recipe.train.batch_size)


def order(rows: int, recipe: Recipe) -> list[int]:
    """Which row stands where in training, `steps x batch_size` of them: pass after pass, each shuffled by the seed.

    It depends on the recipe alone; a plan only cuts it into micro-batches.
    """
    wanted = steps(recipe, rows) * recipe.train.batch_size
    shuffle = random.Random(recipe.train.seed)
    chosen = []
    while len(chosen) < wanted:
        once = list(range(rows))
        shuffle.shuffle(once)
        chosen += once
    return chosen[:wanted]


def train(model, tokenizer, samples: list[Sample], recipe: Recipe, plan: Plan, run: Path, stop_after: int | None = None) -> dict:
    """Train `model` in place; go on from the newest whole checkpoint in `run`. Returns what the passport keeps.

    Raises KeyboardInterrupt after a Ctrl-C, once a checkpoint is saved.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    values, origins = trainer_arguments(SFTConfig, recipe, plan, run, len(samples))
    chosen = [samples[i] for i in order(len(samples), recipe)]
    seen = watcher(run, step_tokens(chosen, recipe.train.batch_size), stop_after)
    trainer = SFTTrainer(model=model, args=SFTConfig(**values), processing_class=tokenizer, callbacks=[seen],
                         train_dataset=Dataset.from_list([labelled(one) for one in chosen]))
    trainer.remove_callback(printer())
    if recipe.lora:
        lora.initialise(model, recipe.train.seed)  # once more: the trainer has cast it
    newest = checkpoints.newest(run / "checkpoints")
    done = int(newest.name.rpartition("-")[2]) if newest else 0
    with seen:
        if done < seen.last:
            trainer.train(resume_from_checkpoint=str(newest) if newest else None)
        else:  # the Trainer would make one more step before it stops
            trainer._load_from_checkpoint(str(newest))
            trainer.state.global_step = done
            seen.go_on(done)
    if seen.interrupted:
        raise KeyboardInterrupt
    return {"arguments": {name: {"value": plain_value(values[name], run), "origin": origins[name]} for name in sorted(values)},
            "steps": trainer.state.global_step, "of_steps": values["max_steps"], **seen.summary()}


def step_tokens(chosen: list[Sample], rows: int) -> list[int]:
    """Tokens of each optimizer step, padding not counted."""
    lengths = [len(one.tokens.prompt_ids) + len(one.tokens.completion_ids) for one in chosen]
    return [sum(lengths[i:i + rows]) for i in range(0, len(lengths), rows)]


def labelled(one: Sample) -> dict:
    """Token ids and labels of one row; -100 keeps the prompt out of the loss."""
    prompt, answer = one.tokens.prompt_ids, one.tokens.completion_ids
    return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


def trainer_arguments(config, recipe: Recipe, plan: Plan, run: Path, rows: int) -> tuple[dict, dict]:
    """All arguments of SFTConfig, and the origin of each."""
    told = recipe.train
    return arguments.complete(config, recipe=dict(
        max_steps=steps(recipe, rows), learning_rate=told.learning_rate, lr_scheduler_type=SCHEDULES[told.schedule],
        warmup_steps=math.ceil(told.warmup * steps(recipe, rows)), optim=OPTIMIZERS[told.optimizer], weight_decay=told.weight_decay,
        max_grad_norm=told.max_grad_norm, seed=told.seed, data_seed=told.seed,
    ), plan=dict(
        per_device_train_batch_size=plan.rows_per_device, gradient_accumulation_steps=plan.accumulation,
        gradient_checkpointing=plan.checkpointing != "none", gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=plan.precision == "bf16", fp16=False, tf32=False, use_cpu=plan.device == "cpu", save_steps=plan.save_every,
        dataloader_pin_memory=plan.device == "cuda",
    ), hft=dict(
        output_dir=str(run / "checkpoints"), train_sampling_strategy="sequential", shuffle_dataset=False, packing=False, padding_free=False,
        max_length=None,  # longer rows were dropped and counted before
        dataset_kwargs={"skip_prepare_dataset": True}, completion_only_loss=False,  # our labels say it already
        remove_unused_columns=False, logging_steps=1, logging_first_step=True, logging_nan_inf_filter=False, save_strategy="steps",
        save_total_limit=3, report_to="none", disable_tqdm=True, average_tokens_across_devices=True, loss_type="nll",
    ))


def plain_value(value, run: Path):
    """An argument as JSON can hold it, without the run's path."""
    if isinstance(value, str):
        return value.replace(str(run), "RUN")
    return value if isinstance(value, int | float | bool | dict | list | type(None)) else str(value)


def printer():
    """The callback with which transformers prints every log record."""
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback
