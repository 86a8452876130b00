"""Every trainer argument with its origin: the recipe's, the plan's, hft's, or TRL's own default."""

import dataclasses

import pytest

from hft.train import arguments


@dataclasses.dataclass
class SFTConfig:
    """As TRL has it."""

    output_dir: str
    seed: int = 42
    columns: list = dataclasses.field(default_factory=list)
    device: str = dataclasses.field(default="", init=False)


SFTConfig.__module__ = "trl.trainer.sft_config"


@dataclasses.dataclass
class UnslothSFTConfig(SFTConfig):
    """As Unsloth puts it in its place."""

    seed: int = 3407
    sampler: str = "unsloth"


@pytest.mark.parametrize("config", [SFTConfig, UnslothSFTConfig])
def test_defaults_are_trls_whatever_unsloth_puts_in_its_place(config):
    assert arguments.library_defaults(config) == {"output_dir": None, "seed": 42, "columns": []}


def test_each_argument_has_its_origin():
    values, origins = arguments.complete(UnslothSFTConfig, recipe={"seed": 7}, hft={"output_dir": "x"})
    assert values == {"output_dir": "x", "seed": 7, "columns": []}
    assert origins == {"output_dir": "hft", "seed": "recipe", "columns": "library default"}


def test_an_argument_that_trl_does_not_have_is_an_error():
    with pytest.raises(TypeError, match="UnslothSFTConfig has no argument 'sampler'"):
        arguments.complete(UnslothSFTConfig, plan={"sampler": "x"})
