"""`method: sft`: supervised fine-tuning with TRL's SFTTrainer; the loss is on the answers only."""

from pathlib import Path
from typing import Any

from hft.data import order
from hft.data.rows import Sample
from hft.model import patches
from hft.plan import micro_batches
from hft.plan.plan import Plan
from hft.recipe.schema import Recipe
from hft.train import arguments
from hft.train import trainer as training
from hft.train.watcher import watcher


def train(
    model: Any,
    tokenizer: Any,
    samples: list[Sample],
    recipe: Recipe,
    plan: Plan,
    run: Path,
    stop_after: int | None = None,
) -> dict:
    """Train `model` in place; go on from the newest whole checkpoint in `run`. Returns what the passport keeps.

    Raises KeyboardInterrupt after a Ctrl-C, once a checkpoint is saved.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    values, origins = trainer_arguments(SFTConfig, recipe, plan, run, len(samples))
    chosen = [samples[place] for place in order.order(recipe, len(samples))]
    tokens = order.lengths(recipe, samples)
    assert tokens, "supervised rows have their answers, and so their lengths"
    batches = micro_batches.arrange(
        tokens, recipe.train.batch_size, plan.rows_per_device, not plan.padding_free, plan.by_length
    )
    seen = watcher(run, step_tokens(tokens, recipe.train.batch_size), stop_after)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**values),
        processing_class=tokenizer,
        callbacks=[seen],
        train_dataset=Dataset.from_list([labelled(chosen[place]) for batch in batches for place in batch]),
    )
    if plan.padding_free:
        patches.join_rows(trainer, tokenizer)
        if plan.backend == "unsloth" and plan.device == "cuda":
            patches.keep_apart(trainer, plan)
    return training.carry_out(trainer, seen, (values, origins), recipe, run)


def step_tokens(lengths: list[int], rows: int) -> list[int]:
    """Tokens of each optimizer step of so many rows, padding not counted."""
    return [sum(lengths[i : i + rows]) for i in range(0, len(lengths), rows)]


def labelled(sample: Sample) -> dict:
    """Token ids and labels of one row; -100 keeps the prompt out of the loss."""
    prompt, answer = sample.tokens.prompt_ids, sample.tokens.completion_ids
    return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


def trainer_arguments(config: type, recipe: Recipe, plan: Plan, run: Path, rows: int) -> tuple[dict, dict]:
    """All arguments of SFTConfig, and the origin of each."""
    return arguments.complete(
        config,
        recipe=training.recipe_arguments(recipe, order.steps(recipe, rows)),
        plan=training.plan_arguments(plan),
        hft=dict(
            **training.house_arguments(run),
            train_sampling_strategy="sequential",
            packing=False,
            padding_free=False,
            max_length=None,  # longer rows were dropped and counted before
            dataset_kwargs={"skip_prepare_dataset": True},
            completion_only_loss=False,  # our labels say it already
            loss_type="nll",
        ),
    )
