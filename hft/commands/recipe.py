"""Commands about recipes: list, check, show, pin."""

import click

from hft import errors
from hft.commands.options import settings


@click.command("list")
def list_recipes():
    """List the recipes, with what each is for.

    Example: hft list
    """
    from hft.recipe.catalogue import catalogue, folders

    known = catalogue()
    width = max(map(len, known), default=0)
    for name, path in known.items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        first = next((line.lstrip("# ").rstrip() for line in lines if line.startswith("#")), "")
        click.echo(f"{name.ljust(width)}  {first}")
    if not known:
        click.echo(f"No recipe in {', '.join(map(str, folders()))}; set HFT_RECIPES to a folder with .yaml files.")


@click.command()
@click.argument("names", nargs=-1)
@settings
def check(names, overrides):
    """Check recipes (all, without NAMES) and name every mistake; needs no GPU, no data, no network.

    Example: hft check korquad_qlora
    """
    from hft import check
    from hft.recipe.catalogue import catalogue

    failed = []
    for name in names or catalogue():
        try:
            loaded = check.load(name, overrides)
            click.echo(f"{name}: correct (digest {loaded.digest[:12]})")
        except errors.HftError as problem:
            failed.append(name)
            problem.show()
    if failed:
        raise SystemExit(1)


@click.command()
@click.argument("name")
@settings
def show(name, overrides):
    """Show every value of recipe NAME with where it was set.

    Example: hft show korquad_qlora --set train.steps=10
    """
    from hft import check
    from hft.recipe import show

    click.echo(show.values(check.load(name, overrides)))


@click.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Show what would change in the file; write nothing.")
def pin(name, dry_run):
    """Write into recipe NAME the commits that its model and data sets have on the Hub today.

    Example: hft pin korquad_qlora --dry-run
    """
    from hft import check
    from hft.recipe import pin

    click.echo(pin.pin(check.load(name), dry_run))
