"""`source: mixture`: rows of several sources, all of them or in given proportions; hft/data/rows.py draws them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hft.data import sources
from hft.recipe.section import Count, Section, members, one_of, specs

LICENCE = None  # its parts have theirs
CHEAP = False  # its parts are asked

if TYPE_CHECKING:
    Part = Any  # a folder says which: no checker can know
else:
    Part = one_of(specs(name for name in members("data/sources") if name != "mixture").values())


class Spec(Section):
    """Several sources as one."""

    source: Literal["mixture"]
    parts: list[Part] = Field(
        min_length=2,
        description="sources, each with its own filters and, where it differs, format; `sample` draws a count of each",
    )
    weights: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="proportions of the parts, such as [3, 1]: as many rows as they allow without using one twice"
    )
    sample: Count | None = Field(None, description="rows: a seeded sample of the whole")
    group: str | None = Field(None, description="column whose values stay together on one side of a split")
    first: ClassVar[None] = None  # each part has its own

    @model_validator(mode="after")
    def one_weight_a_part(self) -> "Spec":
        """A weight for each part, and one group for all."""
        if self.weights and len(self.weights) != len(self.parts):
            raise ValueError(f"{len(self.weights)} weights for {len(self.parts)} parts: write one for each")
        if any(part.group for part in self.parts):
            raise ValueError(
                "a mixture is split as a whole: write 'group' beside 'parts', with a column that all parts have"
            )
        return self


def rows(source: Spec, beside: Path) -> Iterator[dict]:
    """Yield the rows of each part, one part after the other, as they are: nothing is drawn."""
    for part in source.parts:
        yield from sources.rows(part, beside)


def locate(source: Spec) -> str:
    """The names of the parts."""
    return " + ".join(map(sources.locate, source.parts))


def facts(source: Spec, beside: Path) -> dict:
    """The facts of each part."""
    return {"parts": [sources.facts(part, beside) for part in source.parts]}


def sizes(counts: list[int], weights: list[float] | None) -> list[int]:
    """How many rows each part gives, of so many that it has.

    All of them, or the most that stand in the proportions of `weights` without a row used twice.
    """
    if not weights:
        return counts
    unit = min(count / weight for count, weight in zip(counts, weights, strict=True))
    return [max(1, min(count, round(unit * weight))) for count, weight in zip(counts, weights, strict=True)]
