"""`method: grpo`: group relative policy optimisation with TRL's GRPOTrainer; `batch_size` counts completions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hft.data import order
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import grader
from hft.model import patches
from hft.model.generate import stop_ids
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
    from trl import GRPOConfig, GRPOTrainer

    assert recipe.grpo, "the schema asks for it with method: grpo"
    stops = stop_tokens(tokenizer, recipe.grpo.stop)
    every = sorted({*stop_ids(model, tokenizer), *stops})
    how = {"stop_token_ids": stops} if plan.generator == "vllm" else {"eos_token_id": every}
    values, origins = trainer_arguments(GRPOConfig, recipe, plan, run, len(samples), how if stops else None)
    chosen = [samples[i] for i in order.order(recipe, len(samples))]
    seen = watcher(run, [0] * values["max_steps"], stop_after)
    scored = grader.recorded(grader.of(recipe, run, tokenizer), run / "completions.jsonl", recipe.grpo)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=scored,
        args=GRPOConfig(**values),
        processing_class=tokenizer,
        callbacks=[seen],
        train_dataset=Dataset.from_list([asked(sample) for sample in chosen]),
    )
    patches.end_at(trainer, every)
    patches.generate_from(trainer, evaluations_tokens(samples))
    return training.carry_out(trainer, seen, (values, origins), recipe, run)


def stop_tokens(tokenizer: Any, wanted: list[str]) -> list[int]:
    """The ids of the recipe's stop tokens. Raises HftError for a text that is not one token."""
    ids = {text: tokenizer(text, add_special_tokens=False)["input_ids"] for text in wanted}
    if longer := [text for text, tokens in ids.items() if len(tokens) != 1]:
        raise HftError(
            f"grpo.stop: {longer[0]!r} is {len(ids[longer[0]])} tokens of this model",
            "a completion stops at single tokens: name one of the tokenizer's vocabulary",
        )
    return [tokens[0] for tokens in ids.values()]


def evaluations_tokens(samples: list[Sample]) -> Callable[[Any], list[int]]:
    """The tokens of a prompt as evaluation asks it, by what the trainer was given of it."""
    known = {text_of(asked(sample)["prompt"]): sample.tokens.prompt_ids for sample in samples}
    return lambda prompt: list(known[text_of(prompt)])


def text_of(prompt: Any) -> str:
    """A prompt as JSON, without the nulls that a table of rows fills its gaps with."""
    return json.dumps(without_nulls(prompt), sort_keys=True)


def without_nulls(value: Any) -> Any:
    """A JSON value without the nulls in its objects."""
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return value


def asked(sample: Sample) -> dict:
    """One row for the trainer: its prompt, the right answer, and its own columns for rewards beside the recipe."""
    prompt = sample.prompt if isinstance(sample.prompt, list) else sample.tokens.prompt
    return {
        **{name: value for name, value in sample.row.items() if value is not None},
        "prompt": prompt,
        "answer": sample.answers[0],
    }


def trainer_arguments(
    config: type, recipe: Recipe, plan: Plan, run: Path, rows: int, generation: dict | None = None
) -> tuple[dict, dict]:
    """All arguments of GRPOConfig, and the origin of each."""
    told = recipe.grpo
    assert told and recipe.rewards, "the schema asks for both with method: grpo"
    return arguments.complete(
        config,
        recipe=dict(
            **training.recipe_arguments(recipe, order.steps(recipe, rows)),
            num_generations=told.generations,
            max_completion_length=told.completion_tokens,
            temperature=told.temperature,
            top_p=told.top_p,
            top_k=told.top_k,
            min_p=told.min_p,
            beta=told.beta,
            loss_type=told.loss,
            scale_rewards=told.scale_rewards,
            epsilon=told.epsilon,
            epsilon_high=told.epsilon,  # both, or Unsloth takes 0.28 for the second
            importance_sampling_level=told.importance_sampling,
            mask_truncated_completions=told.mask_truncated,
            reward_weights=[reward.weight for reward in recipe.rewards],
            generation_kwargs=generation,
        ),
        plan=dict(
            **training.plan_arguments(plan),
            use_vllm=plan.generator == "vllm",
            vllm_mode="colocate",
            vllm_gpu_memory_utilization=plan.vllm_memory or 0.3,
            vllm_max_model_length=recipe.model.max_tokens,
            vllm_enable_sleep_mode=plan.standby,
        ),
        hft=dict(
            **training.house_arguments(run),
            generation_batch_size=recipe.train.batch_size,
            num_iterations=1,
            # measures how far vLLM's probabilities and the trainer's are apart, and weighs completions by it
            vllm_importance_sampling_correction=True,
            log_completions=False,
        ),
    )
