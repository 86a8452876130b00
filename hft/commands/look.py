"""Commands that only look: recipes, plans, rows, rewards, runs, the image."""

from pathlib import Path

import click

from hft import errors
from hft.choices import spelled
from hft.options import machine_choices, settings


@click.command("list")
def list_recipes():
    """List the recipes, with what each is for.

    Example: hft list
    """
    from hft.catalogue import catalogue, folders

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
    from hft import recipe_file
    from hft.catalogue import catalogue

    failed = []
    for name in names or catalogue():
        try:
            loaded = recipe_file.load(name, overrides)
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
    from hft import recipe_file, report

    click.echo(report.values(recipe_file.load(name, overrides)))


@click.command()
@click.argument("name")
@settings
@machine_choices
@click.option("--gpu", help="Estimate memory and time on another card instead: rtx5080, rtx4090, ..., or all.")
@click.option("--row-tokens", type=click.IntRange(min=1), help="Tokens of a usual row, for --gpu. [default: the recipe's max_tokens]")
def plan(name, overrides, choices, gpu, row_tokens):
    """Show how this machine would carry out recipe NAME, and why; or what it takes on other cards.

    \b
    Example: hft plan korquad_qlora --backend plain
             hft plan korquad_qlora --gpu all --row-tokens 500
    """
    from hft import forecast, plan, recipe_file, report

    loaded = recipe_file.load(name, overrides)
    if row_tokens and not gpu:
        raise click.UsageError("--row-tokens says how long rows are for --gpu: add --gpu all")
    if gpu and (given := [name for name, value in choices.items() if value is not None]):
        raise click.UsageError(f"--gpu estimates the fastest plan of each card: leave out {spelled(given[0], choices[given[0]])}")
    if gpu:
        click.echo(forecast.table(loaded, None if gpu == "all" else gpu, row_tokens))
    else:
        click.echo(report.plan(plan.make(loaded.recipe, **choices)))


@click.command()
@click.argument("name")
@settings
@click.option("--rows", type=click.IntRange(min=0), default=2, show_default=True, help="Rows to preview.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the source's rows to this .csv or .jsonl instead.")
def prepare(name, overrides, rows, out):
    """Read and filter the data of recipe NAME: counts, overlap, and a preview with the trained part marked.

    \b
    Example: hft prepare quickstart --rows 5
             hft prepare medical_2 --out rows.jsonl
    """
    from hft import prepare, recipe_file

    loaded = recipe_file.load(name, overrides)
    if out:
        prepare.write(loaded, out)
    else:
        click.echo(prepare.preview(loaded, rows))


@click.command("rewards")
@click.argument("name")
@settings
@click.option("--completions", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help='Score this .jsonl instead of the canned ones; each line {"completion": "...", "answer": "..."}.')
def try_rewards(name, overrides, completions):
    """Try the rewards of recipe NAME on canned completions: right, wrong, empty, endless, stuffed; loads no model.

    Example: hft rewards grpo_indonesian
    """
    from hft import recipe_file, trial

    click.echo(trial.table(recipe_file.load(name, overrides), completions))


@click.command("runs")
@click.argument("name", required=False)
def list_runs(name):
    """List the runs (of recipe NAME), oldest first, with their scores.

    Example: hft runs quickstart
    """
    from hft import report

    click.echo(report.runs_table(name))


@click.command()
@click.option("--digest", is_flag=True, help="Only what identifies the image, without the lists of packages.")
def image(digest):
    """Print the manifest of the image that hft runs in: lock, packages, digests.

    Example: hft image --digest
    """
    import json

    from hft import image

    manifest = image.read()
    if manifest is None:
        raise errors.HftError("hft does not run in an image here", "make image-digest   (after: make build)")
    click.echo(json.dumps(image.digests(manifest) if digest else manifest, indent=1, sort_keys=True))
