"""Commands about rows: prepare, codeio."""

from contextlib import nullcontext
from pathlib import Path

import click

from hft.commands.options import endpoint_options, settings


@click.command()
@click.argument("name")
@settings
@click.option("--rows", type=click.IntRange(min=0), default=2, show_default=True, help="Rows to preview.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the source's rows to this .csv or .jsonl instead.",
)
def prepare(name, overrides, rows, out):
    """Read and filter the data of recipe NAME: counts, overlap, and a preview with the trained part marked.

    \b
    Example: hft prepare quickstart --rows 5
             hft prepare medical_2 --out rows.jsonl
    """
    from hft import check
    from hft.data import preview
    from hft.data import rows as data_rows

    loaded = check.load(name, overrides)
    if out:
        preview.write(loaded, out)
        return
    given = data_rows.read(loaded)  # before torch loads, so that a mistake in the data shows at once
    from hft import libraries
    from hft.model import base as models
    from hft.recipe import file as recipe_file

    libraries.quiet()
    tokenizer = models.tokenizer(models.resolve(recipe_file.origin(loaded)))
    click.echo(preview.preview(loaded, given, tokenizer, rows))


@click.group()
def codeio():
    """CodeI/O by a model behind an OpenAI-compatible address: answers with one revision, and plain files to functions.

    Example: hft codeio answer codeio --endpoint http://127.0.0.1:8000/v1 --model qwen --out answers.jsonl
    """


@codeio.command("answer")
@click.argument("name")
@settings
@endpoint_options
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl; one that is there goes on."
)
@click.option(
    "--turns",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the turns from this .jsonl: {id, turn_1, turn_2}.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first questions.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Answers to each question, each with a seed of its own.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Requests at a time; vLLM on a large card takes hundreds.",
)
def codeio_answer(name, overrides, out, turns, limit, samples, at_once, **told):
    """Answer the CodeI/O questions that recipe NAME trains on, verify the answers by running the code, and let wrong
    ones be revised once. What the recipe holds out is not asked.

    Example: hft codeio answer codeio --endpoint http://127.0.0.1:8000/v1 --model qwen --out answers.jsonl
    """
    from hft import check
    from hft.data import chat_endpoint, codeio_answers

    if not (told["address"] or turns):
        raise click.UsageError("--endpoint or --turns says where the answers come from")
    loaded = check.load(name, overrides)
    with chat_endpoint.connect(**told, at_once=at_once) if told["address"] else nullcontext() as ask:
        codeio_answers.answer(loaded, out, ask, turns, limit, samples, at_once)


@codeio.command("unify")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@endpoint_options
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl; one that is there goes on."
)
def codeio_unify(paths, out, **told):
    """Rewrite plain Python files as functions with an input generator, and keep those that run.

    Example: hft codeio unify *.py --endpoint http://127.0.0.1:8000/v1 --model qwen --out functions.jsonl
    """
    from hft.data import chat_endpoint, codeio_unify

    if not told["address"]:
        raise click.UsageError("--endpoint names the server, such as http://127.0.0.1:8000/v1")
    with chat_endpoint.connect(**told) as ask:
        codeio_unify.unify(list(paths), out, ask)
