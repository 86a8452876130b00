"""Commands that give a run away: export, push."""

import click

from hft import errors
from hft.commands.options import plan_options, several, some_recipe, wished


@click.command()
@click.argument("targets", metavar="NAME|RUN...", nargs=-1)
@click.option(
    "--format",
    "formats",
    multiple=True,
    required=True,
    help="adapter, adapter_gguf (for llama.cpp's --lora), merged, merged_4bit, or a GGUF type such as q4_k_m. "
    "Repeatable.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    help="Points of exact match an export may lose. [default: the recipe's]",
)
@plan_options
def export(targets, formats, max_drop, options):
    """Export finished runs, ask the export the held-out questions, and compare.

    Example: hft export quickstart --format merged --format q4_k_m
    """
    from hft.recipe import schema
    from hft.recipe.catalogue import suggest
    from hft.runs import folder as runs

    for kind in formats:
        if kind not in schema.FORMATS:
            raise errors.HftError(
                f"unknown format '{kind}'{suggest(kind, schema.FORMATS)}", f"choose of: {', '.join(schema.FORMATS)}"
            )
    some_recipe(targets, "export --format q4_k_m")
    if len(targets) > 1:
        several("export", targets, format=formats, max_drop=max_drop, **options)
    folder = runs.find(targets[0])

    from hft import finished

    finished.export_run(folder, list(formats), wished(options), max_drop)


@click.command()
@click.argument("target", metavar="NAME|RUN")
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=("adapter",),
    show_default=True,
    help="What to upload, as made by hft export. Repeatable.",
)
@click.option("--to", metavar="OWNER/NAME", help="The repository. [default: your own, with the recipe's name]")
@click.option("--public", is_flag=True, help="Let everyone see it. [default: private]")
@click.option("--dry-run", is_flag=True, help="Show the files and the model card; send nothing.")
def push(target, formats, to, public, dry_run):
    """Publish a finished run on the Hugging Face Hub, with a model card from its passport.

    The token comes from HF_TOKEN, `hf auth login` or a mounted file. After a failure the same command goes on.

    \b
    Example: hft push quickstart --dry-run
             hft push korquad_qlora --format q4_k_m --to my-lab/korquad-GGUF
    """
    from hft.export import push
    from hft.recipe import schema
    from hft.recipe.catalogue import suggest
    from hft.runs import folder as runs

    for kind in formats:
        if kind not in schema.FORMATS:
            raise errors.HftError(
                f"unknown format '{kind}'{suggest(kind, schema.FORMATS)}", f"choose of: {', '.join(schema.FORMATS)}"
            )
    push.push(runs.find(target), list(formats), to, public, dry_run)
