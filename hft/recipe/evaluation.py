"""The schema of a recipe's `evaluate` section: the questions before and after training, and how they are asked."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hft.recipe.section import Count, Section


def all_is_none(value: Any) -> Any:
    """None for `all`. Raises ValueError for another word."""
    if isinstance(value, str) and value != "all":
        raise ValueError(f"write a number of rows, or all: not {value!r}")
    return None if value == "all" else value


def empty_is_none(value: Any) -> Any:
    """None for an empty list: the same recipe as one without it."""
    return None if value == [] else value


def off_or_on(value: Any) -> Any:
    """`false` is no section, `true` one with its defaults."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class Baseline(Section):
    """How a base model is asked fairly: in its own chat template, with a few examples."""

    examples: Annotated[int, Field(strict=True, ge=0)] = Field(
        3, description="training rows that it is shown as turns of the chat before the question, drawn by train.seed"
    )


class Reasoning(Section):
    """How answers that reason first are asked for and scored."""

    language: str | None = Field(
        None, description="language of the reasoning, such as id: the share of answers in it is scored"
    )
    among: list[str] = Field(["en", "zh"], description="languages that it may be in besides")
    detector: Literal["langid", "py3langid"] = Field(
        "langid", description="what tells languages apart; py3langid is better at Malay beside Indonesian"
    )
    bare: bool = Field(False, description="ask also without prompt.instruction: with and without adapter, four cells")
    samples: Annotated[int, Field(strict=True, ge=0)] = Field(
        0, description="drawn answers a question, beside the greedy one"
    )
    temperature: Annotated[float, Field(gt=0)] = Field(0.6, description="of drawn answers")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(0.95, description="of drawn answers")


class Evaluate(Section):
    """The questions before and after training."""

    rows: Annotated[Count | None, BeforeValidator(all_is_none)] = Field(
        None, description="held-out rows that are asked: a seeded sample of so many, or all"
    )
    baseline: Annotated[Baseline | None, BeforeValidator(off_or_on)] = Field(
        Baseline(),
        description="ask the base also as it was trained to be asked, where it has a chat template: "
        "the gain is counted over its best column; false: not",
    )
    max_new_tokens: Count = Field(32, description="tokens an answer may have")
    by: str | None = Field(None, description="column to break the scores down by")
    also: Annotated[list[str] | None, BeforeValidator(empty_is_none)] = Field(
        None,
        description="recipes whose held-out questions are asked too, in their own form, before and after: "
        "what was forgotten",
    )
    reasoning: Reasoning | None = Field(
        None, description="answers reason between tags first: what stands behind them is scored"
    )
