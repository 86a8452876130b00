"""Commands about finished runs and their image: runs, compare, verify, bless, lineage, image."""

import click

from hft import errors
from hft.commands.options import plan_options, wished


@click.command("runs")
@click.argument("name", required=False)
def list_runs(name):
    """List the runs (of recipe NAME), oldest first, with their scores.

    Example: hft runs quickstart
    """
    from hft.runs import tables

    click.echo(tables.runs_table(name))


@click.command()
@click.option("--digest", is_flag=True, help="Only what identifies the image, without the lists of packages.")
def image(digest):
    """Print the manifest of the image that hft runs in: lock, packages, digests.

    Example: hft image --digest
    """
    import json

    from hft.runs import image

    manifest = image.read()
    if manifest is None:
        raise errors.HftError("hft does not run in an image here", "make image-digest   (after: make build)")
    click.echo(json.dumps(image.digests(manifest) if digest else manifest, indent=1, sort_keys=True))


@click.command()
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option(
    "--tolerance", type=click.FloatRange(min=0), help="How far apart the losses of a step may be. [default: 0.02]"
)
def compare(one, other, tolerance):
    """Say whether runs A and B match: run folders, recipes (their newest runs), passport files, published references.

    Scores are compared question by question where the answers of both are at hand, else by their intervals.

    Exit code 0: identical, or a match; 1: they differ.

    Example: hft compare runs/quickstart/20261122T070000-9c6ceeb1c4fe server2/passport.json
             hft compare korquad_small references/korquad_small
    """
    from hft.runs import compare

    first, second = compare.find(one), compare.find(other)
    comparison = compare.compare(first, second, **({"most": tolerance} if tolerance is not None else {}))
    click.echo(compare.text((first.name, second.name), comparison))
    raise SystemExit(comparison.verdict == "differ")


@click.command()
@click.argument("target", metavar="NAME|RUN")
@click.option(
    "--replay",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Train the first steps again and compare their losses.",
)
@plan_options
def verify(target, replay, options):
    """Check every file of a finished run against its passport, and whether its first steps come out again.

    Example: hft verify quickstart --replay 3
    """
    from hft import finished
    from hft.runs import folder as runs

    finished.prove(runs.find(target), replay, wished(options))


@click.command()
@click.argument("target", metavar="NAME|RUN")
def bless(target):
    """Keep a finished run's losses beside its recipe: later trainings warn as soon as they leave them.

    Example: hft bless quickstart
    """
    from hft.runs import curve
    from hft.runs import folder as runs

    click.echo(f"{curve.bless(runs.find(target))} is the reference curve now")


@click.command()
@click.argument("target", metavar="NAME|RUN")
def lineage(target):
    """Show the stages that a run came from, with the digests of their recipes and weights.

    Example: hft lineage medical_quickstart_2
    """
    from hft.runs import folder as runs
    from hft.runs import tables

    click.echo(tables.lineage(runs.find(target)))
