"""Commands that ask: evaluate, generate, rewards."""

from pathlib import Path

import click

from hft.commands.options import plan_options, settings, several, some_recipe, wished


@click.command()
@click.argument("targets", metavar="NAME|RUN...", nargs=-1)
@settings
@plan_options
@click.option(
    "--predictions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Score this file, KorQuAD's {id: answer} form, on all of the recipe's held-out rows as the official evaluator "
    "does; loads no model and reads no training rows.",
)
def evaluate(targets, overrides, options, predictions):
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
        from hft import check
        from hft.evaluate import predictions as prediction_file

        click.echo(prediction_file.score_file(check.load(target, overrides), predictions))
        return
    from hft.runs import folder as runs

    if overrides:
        raise click.UsageError("--set belongs to --predictions; a finished run keeps its recipe")
    if len(targets) > 1:
        several("evaluate", targets, **options)
    folder = runs.find(target)

    from hft import finished

    click.echo(finished.reevaluate(folder, wished(options)))


@click.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--prompt", required=True, help="The question or instruction.")
@click.option("--context", default="", help="The passage or input that belongs to it.")
@click.option(
    "--max-new-tokens", type=click.IntRange(min=1), help="Tokens the answer may have. [default: the recipe's]"
)
@plan_options
def generate(target, prompt, context, max_new_tokens, options):
    """Answer a prompt with the base model and with the trained one, side by side.

    Example: hft generate quickstart --context "Lena Horst opened the shop in 1987." --prompt "Who opened the shop?"
    """
    from hft.runs import folder as runs

    if not prompt.strip():
        raise click.UsageError(
            '--prompt is empty; for example: make generate RECIPE=quickstart PROMPT="Who opened the shop?"'
        )
    folder = runs.find(target)

    from hft import finished

    click.echo(finished.side_by_side(folder, prompt, context, max_new_tokens, wished(options)))


@click.command("rewards")
@click.argument("name")
@settings
@click.option(
    "--completions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Score this .jsonl instead of the canned ones; each line {"completion": "...", "answer": "..."}.',
)
def try_rewards(name, overrides, completions):
    """Try the rewards of recipe NAME on canned completions: right, wrong, empty, endless, stuffed; loads no model.

    Example: hft rewards grpo_indonesian
    """
    from hft import check
    from hft.evaluate import try_rewards as trial

    click.echo(trial.table(check.load(name, overrides), completions))
