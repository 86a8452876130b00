"""Commands that prove: do two runs match, is a run what its passport says."""

from pathlib import Path

import click

from hft.options import machine_choices, settings


@click.command()
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--tolerance", type=click.FloatRange(min=0), help="How far apart the losses of a step may be. [default: 0.02]")
def compare(one, other, tolerance):
    """Say whether runs A and B match: run folders, recipes (their newest runs) or passport files.

    Exit code 0: identical, or a match; 1: they differ.

    Example: hft compare runs/quickstart/20261122T070000-9c6ceeb1c4fe server2/passport.json
    """
    from hft import compare

    (first, facts), (second, others) = compare.passport(one), compare.passport(other)
    found = compare.compare(facts, others, **({"most": tolerance} if tolerance is not None else {}))
    click.echo(compare.text((first, second), found))
    raise SystemExit(found.verdict == "differ")


@click.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--replay", type=click.IntRange(min=1), metavar="STEPS", help="Train the first steps again and compare their losses.")
@machine_choices
def verify(target, replay, choices):
    """Check every file of a finished run against its passport, and whether its first steps come out again.

    Example: hft verify quickstart --replay 3
    """
    from hft import runs, verify

    verify.verify(runs.find(target), replay, choices)


@click.command()
@click.argument("target", metavar="NAME|RUN")
def bless(target):
    """Keep a finished run's losses beside its recipe: later trainings warn as soon as they leave them.

    Example: hft bless quickstart
    """
    from hft import curve, runs

    click.echo(f"{curve.bless(runs.find(target))} is the reference curve now")


@click.command()
@click.argument("target", metavar="NAME|RUN")
def lineage(target):
    """Show the stages that a run came from, with the digests of their recipes and weights.

    Example: hft lineage medical_quickstart_2
    """
    from hft import report, runs

    click.echo(report.lineage(runs.find(target)))


@click.command()
@click.argument("name")
@settings
@click.option("--steps", type=click.IntRange(min=2), default=8, show_default=True, help="Steps of each training.")
@click.option("--warmup", type=click.IntRange(min=0), default=2, show_default=True, help="First steps that are not counted.")
@click.option("--repeat", type=click.IntRange(min=1), default=2, show_default=True, help="How often each is trained, in turn.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write everything to this .json too.")
def bench(name, overrides, steps, warmup, repeat, out):
    """Time recipe NAME on this machine: plain transformers, Unsloth as tutorials set it, and hft's plan, on the same rows.

    Example: hft bench quickstart --steps 6
    """
    from hft import bench, recipe_file

    if warmup >= steps:
        raise click.UsageError(f"--warmup {warmup} leaves none of {steps} steps")
    click.echo(bench.bench(recipe_file.load(name, overrides), steps, warmup, repeat, out))
