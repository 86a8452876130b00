"""The schema of a recipe's `data` section: where the rows come from. Each source has its own in hft/data/sources/."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from hft.recipe.section import Section, members, one_of, specs

SOURCES = specs(members("data/sources"))
if TYPE_CHECKING:
    Source = Any  # a folder says which: no checker can know
else:
    Source = one_of(SOURCES.values())


class Data(Section):
    """The rows of a recipe, for training and for asking."""

    train: Source
    evaluate: Source | None = Field(None, description="held-out rows, asked before and after training")
    held_out: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="share of the training rows to hold out instead of `evaluate`; "
        "whole groups where train.group names a column",
    )
    memorise: bool = Field(
        False, description="true: the same rows on both sides are meant, and the result says nothing about new ones"
    )

    @model_validator(mode="after")
    def one_evaluation(self) -> "Data":
        """Held-out rows have one origin."""
        if self.evaluate and self.held_out:
            raise ValueError("set 'evaluate' or 'held_out', not both")
        return self


def parts(source: Any) -> list[Any]:
    """The sources that a source consists of: a mixture's parts, itself, or none for None."""
    if source is None:
        return []
    return source.parts if source.source == "mixture" else [source]
