"""python -m hft"""

from hft.cli import cli

cli(prog_name="hft")
