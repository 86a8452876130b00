"""The thin click entry point: check first, import the heavy modules last, print what happened."""

import click

from hft import __version__, errors
from hft.commands import cache, data, evaluate, export, plan, recipe, runs, train


class Ordered(click.Group):
    """Lists the commands in the order in which they are used.

    Says clearly when the disk or a GPU is full, or a folder not ours.
    """

    def invoke(self, context):
        try:
            return super().invoke(context)
        except click.ClickException:
            raise
        except Exception as problem:
            if clear := errors.of_disk(problem) or errors.of_memory(problem):
                raise clear from None
            raise

    def list_commands(self, context):
        return list(self.commands)


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hft")
def cli():
    """Fine-tune language models from named recipes: the same recipe, the same result, on every server.

    \b
    Example: hft check quickstart && hft train quickstart && hft generate quickstart --prompt "..."
    """


for command in (
    recipe.list_recipes,
    recipe.check,
    recipe.show,
    recipe.pin,
    plan.plan,
    data.prepare,
    train.train,
    evaluate.evaluate,
    export.export,
    export.push,
    evaluate.generate,
    evaluate.try_rewards,
    data.codeio,
    runs.list_runs,
    runs.compare,
    runs.verify,
    runs.bless,
    train.bench,
    runs.lineage,
    runs.image,
    cache.cache,
):
    cli.add_command(command)
