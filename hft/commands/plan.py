"""hft plan."""

import click

from hft.commands.options import machine_choices, settings
from hft.plan.wishes import spelled


@click.command()
@click.argument("name")
@settings
@machine_choices
@click.option("--gpu", help="Estimate memory and time on another card instead: rtx5080, rtx4090, ..., or all.")
@click.option(
    "--row-tokens",
    type=click.IntRange(min=1),
    help="Tokens of a usual row, for --gpu. [default: the recipe's max_tokens]",
)
def plan(name, overrides, choices, gpu, row_tokens):
    """Show how this machine would carry out recipe NAME, and why; or what it takes on other cards.

    \b
    Example: hft plan korquad_qlora --backend plain
             hft plan korquad_qlora --gpu all --row-tokens 500
    """
    from hft import check
    from hft.plan import other_cards
    from hft.plan import plan as plans

    loaded = check.load(name, overrides)
    if row_tokens and not gpu:
        raise click.UsageError("--row-tokens says how long rows are for --gpu: add --gpu all")
    if gpu and (given := [name for name, value in choices.items() if value is not None]):
        raise click.UsageError(
            f"--gpu estimates the fastest plan of each card: leave out {spelled(given[0], choices[given[0]])}"
        )
    if gpu:
        click.echo(other_cards.table(loaded, None if gpu == "all" else gpu, row_tokens))
    else:
        click.echo(plans.plan(plans.make(loaded.recipe, **choices)))
