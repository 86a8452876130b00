"""Commands that talk to servers: publish a run, let a model answer for CodeI/O."""

from pathlib import Path

import click

from hft import errors
from hft.options import endpoint_options, settings


@click.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--format", "formats", multiple=True, default=("adapter",), show_default=True,
              help="What to upload, as made by hft export. Repeatable.")
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
    from hft import push, recipe, runs
    from hft.catalogue import suggest

    for kind in formats:
        if kind not in recipe.FORMATS:
            raise errors.HftError(f"unknown format '{kind}'{suggest(kind, recipe.FORMATS)}", f"choose of: {', '.join(recipe.FORMATS)}")
    push.push(runs.find(target), list(formats), to, public, dry_run)


@click.group()
def codeio():
    """CodeI/O by a model behind an OpenAI-compatible address: answers with one revision, and plain files to functions.

    Example: hft codeio answer codeio --endpoint http://127.0.0.1:8000/v1 --model qwen --out answers.jsonl
    """


@codeio.command("answer")
@click.argument("name")
@settings
@endpoint_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl; one that is there goes on.")
@click.option("--turns", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Take the turns from this .jsonl: {id, turn_1, turn_2}.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first questions.")
def codeio_answer(name, overrides, out, turns, limit, **told):
    """Answer the CodeI/O questions of recipe NAME, verify the answers by running the code, and let wrong ones be revised once.

    Example: hft codeio answer codeio --endpoint http://127.0.0.1:8000/v1 --model qwen --out answers.jsonl
    """
    from hft import codeio, recipe_file

    if not (told["address"] or turns):
        raise click.UsageError("--endpoint or --turns says where the answers come from")
    codeio.answer(recipe_file.load(name, overrides), out, codeio.asker(**told) if told["address"] else None, turns, limit)


@codeio.command("unify")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@endpoint_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl; one that is there goes on.")
def codeio_unify(paths, out, **told):
    """Rewrite plain Python files as functions with an input generator, and keep those that run.

    Example: hft codeio unify *.py --endpoint http://127.0.0.1:8000/v1 --model qwen --out functions.jsonl
    """
    from hft import codeio

    if not told["address"]:
        raise click.UsageError("--endpoint names the server, such as http://127.0.0.1:8000/v1")
    codeio.unify(list(paths), out, codeio.asker(**told))
