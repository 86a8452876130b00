"""The thin click entry point: check first, import the heavy modules last, print what happened."""

import click

from hft import __version__, errors
from hft.commands import look, proof, share, work


class Ordered(click.Group):
    """Lists the commands in the order in which they are used; says clearly when the disk or a GPU is full, or a folder not ours."""

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
    look.list_recipes, look.check, look.show, look.plan, look.prepare, work.train, work.evaluate, work.export,
    share.push, work.generate, look.try_rewards, share.codeio, look.list_runs, proof.compare, proof.verify,
    proof.bless, proof.bench, proof.lineage, look.image,
):
    cli.add_command(command)
