"""The schema of a recipe's `data` section: where the rows come from. hft/data/ has the module that reads each source."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(strict=True, gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused and values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True
    )  # deferred: only the whole recipe is ever built


class Rows(Section):
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


class Korquad(Rows):
    source: Literal["korquad"]
    file: str = Field(
        description="a KorQuAD or SQuAD v1 file in the data folder; the official ones are fetched when absent"
    )


class Jsonl(Rows):
    source: Literal["jsonl"]
    file: str = Field(description="a .jsonl, .json, .csv or .parquet file beside the recipe or in the data folder")


class Hub(Rows):
    source: Literal["hub"]
    name: str = Field(description="dataset on the Hugging Face Hub")
    revision: str = Field(description="commit hash, tag or branch")
    subset: str | None = Field(None, description="the dataset's configuration")
    split: str = Field("train", description="the dataset's split")


class Aihub(Rows):
    source: Literal["aihub"]
    folder: str = Field(
        description="a folder of AI Hub translation workbooks (.xlsx, or .zip with one) in the data folder"
    )


class Codeio(Rows):
    source: Literal["codeio"]
    file: str = Field(
        description="a .jsonl file of functions (refcode, funcname, input_generator or ios); hft runs them in a sandbox"
    )
    pairs: Count = Field(3, description="input/output pairs of a function that become questions")
    kinds: list[Literal["output", "input"]] = Field(
        ["output", "input"], min_length=1, description="what is to be predicted"
    )
    tries: Count = Field(10, description="different inputs that a generator makes")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(0, description="of the generators and the functions")
    seconds: Annotated[float, Field(gt=0, le=600)] = Field(20.0, description="that all runs of one function may take")


Single = Korquad | Jsonl | Hub | Aihub | Codeio


class Mixture(Section):
    source: Literal["mixture"]
    parts: list[Annotated[Single, Field(discriminator="source")]] = Field(
        min_length=2,
        description="sources, each with its own filters and, where it differs, format; `sample` draws a count of each",
    )
    weights: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="proportions of the parts, such as [3, 1]: as many rows as they allow without using one twice"
    )
    sample: Count | None = Field(None, description="rows: a seeded sample of the whole")
    group: str | None = Field(None, description="column whose values stay together on one side of a split")

    @model_validator(mode="after")
    def one_weight_a_part(self):
        if self.weights and len(self.weights) != len(self.parts):
            raise ValueError(f"{len(self.weights)} weights for {len(self.parts)} parts: write one for each")
        if any(part.group for part in self.parts):
            raise ValueError(
                "a mixture is split as a whole: write 'group' beside 'parts', with a column that all parts have"
            )
        return self


AnySource = Annotated[Single | Mixture, Field(discriminator="source")]


class Data(Section):
    train: AnySource
    evaluate: AnySource | None = Field(None, description="held-out rows, asked before and after training")
    held_out: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="share of the training rows to hold out instead of `evaluate`; whole groups where train.group names a column",
    )
    memorise: bool = Field(
        False, description="true: the same rows on both sides are meant, and the result says nothing about new ones"
    )

    @model_validator(mode="after")
    def one_evaluation(self):
        if self.evaluate and self.held_out:
            raise ValueError("set 'evaluate' or 'held_out', not both")
        return self


def parts(source) -> list:
    """The sources that a source consists of: a mixture's parts, itself, or none for None."""
    return [] if source is None else source.parts if source.source == "mixture" else [source]
