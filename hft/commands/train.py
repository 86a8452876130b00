"""Commands that train: train, bench."""

from pathlib import Path

import click

from hft.commands.options import machine_choices, settings, several, some_recipe


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@settings
@machine_choices
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
    "--dry-run", is_flag=True, help="Check recipe and data, show rows, steps and plan; train nothing, write nothing."
)
def train(names, overrides, choices, resume, max_steps, dry_run):
    """Train recipe NAME: evaluate, train, evaluate again, export; everything goes to runs/NAME/.

    Several NAMEs are trained in order; the same command again goes on where it stopped.

    \b
    Example: hft train quickstart --max-steps 5
             hft train korquad_tutorial korquad_qlora
    """
    from hft import check
    from hft.runs import folder as runs
    from hft.runs import stages
    from hft.train.workers import servers

    some_recipe(names, "train")
    checked = [check.load(name, overrides) for name in names]  # a mistake in the last shows before the first is trained
    if len(names) > 1:
        resume = resume is not False
        several(
            "train",
            names,
            resume=resume,
            anew=not resume,
            set=overrides,
            max_steps=max_steps,
            dry_run=dry_run,
            **choices,
        )
    loaded = checked[0]
    where, finished = servers.here(), None
    leads = dry_run or not (where and where.rank)
    unfinished = runs.to_resume(loaded) if resume else None
    if resume and not (unfinished and stages.same(unfinished, stages.find(loaded))):
        finished = stages.finished(loaded, max_steps)
        if finished and leads:
            click.echo(f"Nothing to train: {finished} is finished. Train anew with --anew.")
            if loaded.recipe.export.formats:
                from hft import finished as after

                after.finish_exports(finished, loaded, choices)
            return
        if leads:
            click.echo("No unfinished run of this recipe: starting a new one.")
    from hft import pipeline
    from hft.train.workers import launch

    try:
        if leads:
            pipeline.train(
                loaded,
                {**choices, "servers": where and where.count},
                resume=bool(resume),
                max_steps=max_steps,
                dry_run=dry_run,
            )
        else:
            launch.follow(loaded, where, finished)
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
    """Time recipe NAME on this machine: plain transformers, Unsloth as tutorials set it, and hft's plan, on the same rows.

    Example: hft bench quickstart --steps 6
    """
    from hft import check
    from hft.train import bench

    if warmup >= steps:
        raise click.UsageError(f"--warmup {warmup} leaves none of {steps} steps")
    click.echo(bench.bench(check.load(name, overrides), steps, warmup, repeat, out))
