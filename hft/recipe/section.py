"""What all sections of a recipe have in common, and the values that are the names of modules in a folder of hft."""

import functools
import importlib
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(strict=True, gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused and values never change."""

    # Deferred: only the whole recipe is ever built.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Rows(Section):
    """What every source has, so that a mixture can draw from it; its module adds where the rows are."""

    columns: dict[str, str] = Field(
        {}, description="names that the prompt wants: names in the data, such as question: Question"
    )
    first: Count | None = Field(None, description="rows: only the first ones, in file order")
    sample: Count | None = Field(None, description="rows: a seeded sample of this many")
    group: str | None = Field(None, description="column whose values stay together on one side of a split")
    format: str | None = Field(None, description="prompt format of these rows, instead of prompt.format")
    instruction: str | None = Field(
        None, description="what the prompts of these rows tell the model, instead of prompt.instruction"
    )


def members(folder: str) -> tuple[str, ...]:
    """The modules of a folder of hft, such as `data/sources`, by name: the values that a recipe or a plan may have."""
    return tuple(sorted(path.stem for path in (Path(__file__).parents[1] / folder).glob("[!_.]*.py")))


def specs(sources: Iterable[str]) -> dict[str, type[Section]]:
    """The section `Spec` of each of these sources, by name."""
    # Looked up by name: hft/data/ stands above recipe/, which may not import it; and a new source is its file alone.
    return {name: importlib.import_module(f"hft.data.sources.{name}").Spec for name in sources}


def one_of(sections: Iterable[type[Section]]) -> Any:
    """The annotation of a value that is one of these sections, told apart by its `source`."""
    return Annotated[functools.reduce(operator.or_, sections), Field(discriminator="source")]
