"""Options and habits that several commands share."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from hft.plan import wishes
from hft.plan.wishes import NOT, Wishes, spelled

Command = Callable[..., Any]

# The options that change the plan: what each says of itself, and how click reads it. They never change the result.
PLAN: dict[str, dict[str, Any]] = {
    "--backend": {"help": "unsloth or plain. [environment: HFT_BACKEND]"},
    "--device": {"help": "cuda or cpu. [environment: HFT_DEVICE]"},
    "--memory": {
        "type": click.IntRange(min=1),
        "metavar": "GIB",
        "help": "Plan for at most so much of the card, else of the machine. [environment: HFT_MEMORY]",
    },
    "--rows-per-device": {
        "type": click.IntRange(min=1),
        "help": "Rows in one forward pass. [environment: HFT_ROWS_PER_DEVICE]",
    },
    "--processes": {
        "metavar": "N|all",
        "help": "Training processes, each with its own GPU. [environment: HFT_PROCESSES]",
    },
    "--sharded/--replicated": {
        "help": "Several processes share the weights, or have a copy each. [environment: HFT_SHARDED=yes]",
    },
    "--padding-free/--padded": {
        "help": "Rows end to end, or padded to the longest, in a forward pass. [environment: HFT_PADDING_FREE=yes]",
    },
    "--by-length/--in-order": {
        "help": "Rows of a step share a forward pass by their lengths, or as they come. "
        "[environment: HFT_BY_LENGTH=yes]",
    },
    "--checkpointing": {"help": "none, full or offloaded. [environment: HFT_CHECKPOINTING]"},
    "--precision": {"help": "bf16 or fp32. [environment: HFT_PRECISION]"},
    "--generator": {"help": "transformers or vllm, for method: grpo. [environment: HFT_GENERATOR]"},
    "--vllm-memory": {
        "type": click.IntRange(5, 95),
        "help": "Percent of the GPU's free memory for vLLM. [environment: HFT_VLLM_MEMORY]",
    },
    "--standby/--no-standby": {
        "help": "vLLM gives its cache back while the model trains. [environment: HFT_STANDBY=yes]",
    },
    "--deterministic/--fast": {
        "help": "The same bits on the same kind of GPU and image. [environment: HFT_DETERMINISTIC=yes]",
    },
    "--save-every": {
        "type": click.IntRange(min=1),
        "help": "Steps between checkpoints. [environment: HFT_SAVE_EVERY]",
    },
}


def settings(command: Command) -> Command:
    """The options that change a recipe's values for one run."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a value of the recipe, such as train.steps=10; recorded in the passport. Repeatable.",
    )(command)


def endpoint_options(command: Command) -> Command:
    """Where a model answers, and how."""
    for option in (
        click.option("--seed", default=0, show_default=True),
        click.option("--max-tokens", default=4096, show_default=True, help="Tokens of an answer."),
        click.option("--temperature", default=0.7, show_default=True),
        click.option("--model", default="default", show_default=True, help="The model's name there."),
        click.option(
            "--endpoint",
            "address",
            metavar="URL",
            help="An OpenAI-compatible server, ending in /v1; its key: OPENAI_API_KEY.",
        ),
    ):
        command = option(command)
    return command


def plan_options(command: Command) -> Command:
    """The options that change the plan; the command gets them as `options`, `{choice: value}`, None where not given."""
    names = [flags.partition("/")[0].removeprefix("--").replace("-", "_") for flags in PLAN]

    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        options = {name: values.pop(name) for name in names}
        return command(options=options, **values)

    for flags, told in reversed(PLAN.items()):
        wrapped = click.option(flags, default=None, **told)(wrapped)
    return wrapped


def wished(options: dict[str, Any]) -> Wishes:
    """What the user wishes of the plan by these options, else by the environment."""
    return wishes.read(options, os.environ)


def some_recipe(names: Sequence[str], command: str) -> None:
    """A usage error that names the recipes where none was given."""
    if not names:
        from hft.recipe.catalogue import catalogue

        raise click.UsageError(f"Which recipe? For example: hft {command} quickstart\nRecipes: {' '.join(catalogue())}")


def several(command: str, names: Sequence[str], **options: Any) -> None:
    """Run a command for each name, with these options, and exit."""
    from hft.commands import batch

    words: list[str] = []
    for name, value in options.items():
        flag = spelled(name, value)
        if isinstance(value, (list, tuple)):
            words += [word for one in value for word in (flag, one)]
        elif value is True or (value is False and name in NOT):
            words.append(flag)
        elif value is not None and value is not False:  # 0 is a value
            words += [flag, str(value)]
    raise SystemExit(batch.each(command, names, words))
