"""Plans as the commands make them: from options, the environment, the machine as it is pretended, and earlier runs."""

import os

from hft import machine
from hft.machine import Use
from hft.plan import plan, wishes
from hft.runs import folder as runs


def used(seen, *gibs, by="python (pid 123)"):
    """The machine with so many GiB of each GPU in use."""
    pairs = zip(seen.gpus, gibs, strict=True)
    return seen._replace(uses=tuple(Use(number, gib, gpu.memory, by) for number, (gpu, gib) in enumerate(pairs)))


def wish(**options):
    """What options and environment wish; `servers` is torchrun's number."""
    servers = options.pop("servers", 1)
    return wishes.replace(wishes.read(options, os.environ), servers=servers)


def make(recipe, total_steps=None, lengths=None, **options):
    """The plan that a command with these options would make."""
    return plan.make(recipe, machine.usable(), wish(**options), runs.passports(), total_steps, lengths)
