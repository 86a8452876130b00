"""Options and habits that several commands share."""

import functools

import click

from hft.plan.wishes import NOT, spelled


def settings(command):
    """The options that change a recipe's values for one run."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a value of the recipe, such as train.steps=10; recorded in the passport. Repeatable.",
    )(command)


def endpoint_options(command):
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


def machine_choices(command):
    """The options that change the plan; they never change the result."""
    options = (
        click.option("--backend", help="unsloth or plain. [environment: HFT_BACKEND]"),
        click.option("--device", help="cuda or cpu. [environment: HFT_DEVICE]"),
        click.option(
            "--rows-per-device",
            type=click.IntRange(min=1),
            help="Rows in one forward pass. [environment: HFT_ROWS_PER_DEVICE]",
        ),
        click.option(
            "--processes",
            metavar="N|all",
            help="Training processes, each with its own GPU. [environment: HFT_PROCESSES]",
        ),
        click.option(
            "--sharded/--replicated",
            default=None,
            help="Several processes share the weights, or have a copy each. [environment: HFT_SHARDED=yes]",
        ),
        click.option(
            "--padding-free/--padded",
            default=None,
            help="Rows end to end, or padded to the longest, in a forward pass. [environment: HFT_PADDING_FREE=yes]",
        ),
        click.option(
            "--by-length/--in-order",
            default=None,
            help="Rows of a step share a forward pass by their lengths, or as they come. [environment: HFT_BY_LENGTH=yes]",
        ),
        click.option("--checkpointing", help="none, full or offloaded. [environment: HFT_CHECKPOINTING]"),
        click.option("--precision", help="bf16 or fp32. [environment: HFT_PRECISION]"),
        click.option("--generator", help="transformers or vllm, for method: grpo. [environment: HFT_GENERATOR]"),
        click.option(
            "--vllm-memory",
            type=click.IntRange(5, 95),
            help="Percent of the GPU for vLLM. [environment: HFT_VLLM_MEMORY]",
        ),
        click.option(
            "--standby/--no-standby",
            default=None,
            help="vLLM gives its cache back while the model trains. [environment: HFT_STANDBY=yes]",
        ),
        click.option(
            "--deterministic/--fast",
            default=None,
            help="The same bits on the same kind of GPU and image. [environment: HFT_DETERMINISTIC=yes]",
        ),
        click.option(
            "--save-every", type=click.IntRange(min=1), help="Steps between checkpoints. [environment: HFT_SAVE_EVERY]"
        ),
    )

    @functools.wraps(command)
    def wrapped(**values):
        names = (
            "backend",
            "device",
            "processes",
            "sharded",
            "rows_per_device",
            "padding_free",
            "by_length",
            "checkpointing",
            "precision",
            "generator",
            "vllm_memory",
            "standby",
            "deterministic",
            "save_every",
        )
        choices = {name: values.pop(name) for name in names}
        return command(choices=choices, **values)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def some_recipe(names, command):
    """A usage error that names the recipes where none was given."""
    if not names:
        from hft.recipe.catalogue import catalogue

        raise click.UsageError(f"Which recipe? For example: hft {command} quickstart\nRecipes: {' '.join(catalogue())}")


def several(command, names, **options):
    """Run a command for each name, with these options, and exit."""
    from hft.commands import batch

    words = []
    for name, value in options.items():
        flag = spelled(name, value)
        if isinstance(value, (list, tuple)):
            words += [word for one in value for word in (flag, one)]
        elif value is True or (value is False and name in NOT):
            words.append(flag)
        elif value not in (None, False):
            words += [flag, str(value)]
    raise SystemExit(batch.each(command, names, words))
