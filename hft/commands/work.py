"""Commands that use a model: train, evaluate, export, generate."""

from pathlib import Path

import click

from hft import errors
from hft.options import machine_choices, settings, several, some_recipe


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@settings
@machine_choices
@click.option("--resume/--anew", default=None, help="Go on with the newest unfinished run and leave a finished one as it is, "
              "or train anew. [default: anew for one NAME, resume for several]")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many steps of the recipe's schedule: a smoke test.")
@click.option("--dry-run", is_flag=True, help="Check recipe and data, show rows, steps and plan; train nothing, write nothing.")
def train(names, overrides, choices, resume, max_steps, dry_run):
    """Train recipe NAME: evaluate, train, evaluate again, export; everything goes to runs/NAME/.

    Several NAMEs are trained in order; the same command again goes on where it stopped.

    \b
    Example: hft train quickstart --max-steps 5
             hft train korquad_tutorial korquad_qlora
    """
    from hft import recipe_file, runs, servers, stages

    some_recipe(names, "train")
    checked = [recipe_file.load(name, overrides) for name in names]  # a mistake in the last shows before the first is trained
    if len(names) > 1:
        resume = resume is not False
        several("train", names, resume=resume, anew=not resume, set=overrides, max_steps=max_steps, dry_run=dry_run, **choices)
    loaded = checked[0]
    where, finished = servers.here(), None
    leads = dry_run or not (where and where.rank)
    unfinished = runs.to_resume(loaded) if resume else None
    if resume and not (unfinished and stages.same(unfinished, stages.find(loaded))):
        finished = stages.finished(loaded, max_steps)
        if finished and leads:
            click.echo(f"Nothing to train: {finished} is finished. Train anew with --anew.")
            if loaded.recipe.export.formats:
                from hft import after

                after.finish_exports(finished, loaded, choices)
            return
        if leads:
            click.echo("No unfinished run of this recipe: starting a new one.")
    from hft import processes, run

    try:
        if leads:
            run.train(loaded, {**choices, "servers": where and where.count}, resume=bool(resume), max_steps=max_steps, dry_run=dry_run)
        else:
            processes.follow(loaded, where, finished)
    except KeyboardInterrupt:
        click.echo(f"Stopped; nothing is lost. Go on with: make train RECIPE={loaded.name} ARGS=--resume", err=True)
        raise SystemExit(130) from None


@click.command()
@click.argument("targets", metavar="NAME|RUN...", nargs=-1)
@settings
@machine_choices
@click.option("--predictions", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Score this file, KorQuAD's {id: answer} form, on the recipe's held-out rows; loads no model.")
def evaluate(targets, overrides, choices, predictions):
    """Ask finished runs the held-out questions again, or score a prediction file.

    \b
    Example: hft evaluate quickstart
             hft evaluate korquad_qlora --predictions answers.json
    """
    some_recipe(targets, "evaluate")
    target = targets[0]
    if predictions and len(targets) > 1:
        raise click.UsageError("--predictions is scored on one recipe")
    if predictions:
        from hft import recipe_file, report

        click.echo(report.predictions(recipe_file.load(target, overrides), predictions))
        return
    from hft import runs

    if overrides:
        raise click.UsageError("--set belongs to --predictions; a finished run keeps its recipe")
    if len(targets) > 1:
        several("evaluate", targets, **choices)
    folder = runs.find(target)

    from hft import after

    click.echo(after.reevaluate(folder, choices))


@click.command()
@click.argument("targets", metavar="NAME|RUN...", nargs=-1)
@click.option("--format", "formats", multiple=True, required=True,
              help="adapter, adapter_gguf (for llama.cpp's --lora), merged, merged_4bit, or a GGUF type such as q4_k_m. Repeatable.")
@click.option("--max-drop", type=click.FloatRange(0, 100), help="Points of exact match an export may lose. [default: the recipe's]")
@machine_choices
def export(targets, formats, max_drop, choices):
    """Export finished runs, ask the export the held-out questions, and compare.

    Example: hft export quickstart --format merged --format q4_k_m
    """
    from hft import recipe, runs
    from hft.catalogue import suggest

    for kind in formats:
        if kind not in recipe.FORMATS:
            raise errors.HftError(f"unknown format '{kind}'{suggest(kind, recipe.FORMATS)}", f"choose of: {', '.join(recipe.FORMATS)}")
    some_recipe(targets, "export --format q4_k_m")
    if len(targets) > 1:
        several("export", targets, format=formats, max_drop=max_drop, **choices)
    folder = runs.find(targets[0])

    from hft import after

    after.export_run(folder, list(formats), choices, max_drop)


@click.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--prompt", required=True, help="The question or instruction.")
@click.option("--context", default="", help="The passage or input that belongs to it.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Tokens the answer may have. [default: the recipe's]")
@machine_choices
def generate(target, prompt, context, max_new_tokens, choices):
    """Answer a prompt with the base model and with the trained one, side by side.

    Example: hft generate quickstart --context "Lena Horst opened the shop in 1987." --prompt "Who opened the shop?"
    """
    from hft import runs

    if not prompt.strip():
        raise click.UsageError('--prompt is empty; for example: make generate RECIPE=quickstart PROMPT="Who opened the shop?"')
    folder = runs.find(target)

    from hft import after

    click.echo(after.side_by_side(folder, prompt, context, max_new_tokens, choices))
