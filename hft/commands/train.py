"""Commands that train: train, bench."""

from dataclasses import replace
from pathlib import Path

import click

from hft.commands.options import plan_options, settings, several, some_recipe, wished


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@settings
@plan_options
@click.option(
    "--resume/--anew",
    default=None,
    help="Go on with the newest unfinished run and leave a finished one as it is, "
    "or train anew. [default: anew for one NAME, resume for several]",
)
@click.option(
    "--max-steps", type=click.IntRange(min=1), help="Stop after so many steps of the recipe's schedule: a smoke test."
)
@click.option(
    "--anyway", is_flag=True, help="Learn by reward although the completions of a prompt score alike (grpo.max_flat)."
)
@click.option(
    "--strict", is_flag=True, help="Refuse models and data sets of the Hub that are not at a commit: hft pin NAME."
)
@click.option(
    "--dry-run", is_flag=True, help="Check recipe and data, show rows, steps and plan; train nothing, write nothing."
)
def train(names, overrides, options, resume, max_steps, anyway, strict, dry_run):
    """Train recipe NAME: evaluate, train, evaluate again, export; everything goes to runs/NAME/.

    Several NAMEs are trained in order; the same command again goes on where it stopped.

    \b
    Example: hft train quickstart --max-steps 5
             hft train korquad_tutorial korquad_qlora
    """
    from hft import check
    from hft.recipe import pin

    some_recipe(names, "train")
    checked = [check.load(name, overrides) for name in names]  # a mistake in the last shows before the first is trained
    if strict:
        for loaded in checked:
            pin.refuse(loaded)
    if len(names) > 1:
        resume = resume is not False
        how = {"resume": resume, "anew": not resume, "set": overrides, "max_steps": max_steps, "dry_run": dry_run}
        several("train", names, **how, anyway=anyway, **options)
    train_one(checked[0], wished(options), bool(resume), max_steps, dry_run, anyway)


def train_one(loaded, wishes, resume, max_steps, dry_run, anyway=False):
    """Train one recipe in whichever way its earlier runs and this server's place among others ask for."""
    from hft import finished as afterwards
    from hft import pipeline
    from hft.pipeline import Way
    from hft.train.workers import launch, servers

    where = servers.here()
    way, finished = pipeline.look_back(loaded, resume, max_steps, leads=dry_run or not (where and where.rank))
    if way is Way.NOTHING:
        click.echo(f"Nothing to train: {finished} is finished. Train anew with --anew.")
        if loaded.recipe.export.formats:
            afterwards.finish_exports(finished, loaded, wishes)
        return
    if resume and way is Way.ANEW:
        click.echo("No unfinished run of this recipe: starting a new one.")
    try:
        wishes = replace(wishes, servers=where.count if where else 1)
        if way is Way.FOLLOW:
            launch.follow(loaded, where, finished)
        elif dry_run:
            pipeline.dry_run(loaded, wishes, max_steps)
        else:
            pipeline.train(loaded, wishes, resume, max_steps, anyway)
    except KeyboardInterrupt:
        click.echo(f"Stopped; nothing is lost. Go on with: make train RECIPE={loaded.name} ARGS=--resume", err=True)
        raise SystemExit(130) from None


@click.command()
@click.argument("name")
@settings
@click.option("--steps", type=click.IntRange(min=2), default=8, show_default=True, help="Steps of each training.")
@click.option(
    "--warmup", type=click.IntRange(min=0), default=2, show_default=True, help="First steps that are not counted."
)
@click.option(
    "--repeat", type=click.IntRange(min=1), default=2, show_default=True, help="How often each is trained, in turn."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write everything to this .json too.")
def bench(name, overrides, steps, warmup, repeat, out):
    """Time recipe NAME on this machine: plain transformers, Unsloth as tutorials set it, and hft's plan, on the same
    rows.

    Example: hft bench quickstart --steps 6
    """
    from hft import check
    from hft.train import bench

    if warmup >= steps:
        raise click.UsageError(f"--warmup {warmup} leaves none of {steps} steps")
    click.echo(bench.bench(check.load(name, overrides), steps, warmup, repeat, out, wished({})))
