"""The command plan: how this machine would carry out a recipe, and what it takes on other cards."""

import click

from hft.commands.options import plan_options, settings, wished
from hft.plan.wishes import spelled


@click.command()
@click.argument("name")
@settings
@plan_options
@click.option("--gpu", help="Estimate memory and time on another card instead: rtx5080, rtx4090, ..., or all.")
@click.option(
    "--row-tokens",
    type=click.IntRange(min=1),
    help="Tokens of a usual row, for --gpu. [default: the recipe's max_tokens]",
)
def plan(name, overrides, options, gpu, row_tokens):
    """Show how this machine would carry out recipe NAME, and why; or what it takes on other cards.

    \b
    Example: hft plan korquad_qlora --backend plain
             hft plan korquad_qlora --gpu all --row-tokens 500
    """
    from hft import check, machine
    from hft.plan import other_cards
    from hft.plan import plan as plans
    from hft.runs import folder as runs

    loaded = check.load(name, overrides)
    if row_tokens and not gpu:
        raise click.UsageError("--row-tokens says how long rows are for --gpu: add --gpu all")
    if gpu and (given := [spelled(name, value) for name, value in options.items() if value is not None]):
        raise click.UsageError(f"--gpu estimates the fastest plan of each card: leave out {given[0]}")
    here = machine.usable()
    if gpu:
        card = None if gpu == "all" else gpu
        click.echo(other_cards.table(loaded, card, row_tokens, here, list(runs.passports())))
    else:
        click.echo(plans.table(plans.make(loaded.recipe, here, wished(options), runs.passports())))
