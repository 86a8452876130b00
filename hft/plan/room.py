"""How much memory a plan is made for: what is free of the GPUs that train, or less where the user says so."""

import math
from typing import NamedTuple

from hft.errors import HftError
from hft.machine import Machine
from hft.plan.wishes import Decision, Wishes, decide


class Room(NamedTuple):
    """GiB of the smallest card, or of the machine on a CPU."""

    free: float  # that no other process uses
    memory: float  # that the plan is made for
    choice: Decision[float | None]  # as the plan has it: None for all that is there


def find(wishes: Wishes, machine: Machine, gpus: int | None) -> Room:
    """What a plan for the first `gpus` GPUs may fill; None for a CPU.

    The smallest card decides, and the one that others leave the least of. Raises HftError for a wish of more than is
    there.
    """
    there = machine.memory if gpus is None else min(gpu.memory for gpu in machine.gpus)
    wish: Decision[float | None] = decide(
        wishes, "memory", None, "all of the machine's" if gpus is None else "all of the card"
    )
    if wish.value and wish.value > there:
        whose = "machine's" if gpus is None else "GPU's"
        raise HftError(
            f"{wish.why}: {wish.value} GiB are more than the {whose} {there:.1f}",
            f"{math.floor(there)} at most, or leave it out",
        )
    busiest = min(machine.uses[: gpus or 0], key=lambda use: use.free, default=None)
    free, choice = there, wish
    if busiest and busiest.free < there:
        free = busiest.free
        held = f"{busiest.gib:.1f} of {busiest.of:.1f} GiB of GPU {busiest.gpu} are in use by {busiest.by}"
        idle = [use.gpu for use in machine.uses[1:] if gpus == 1 and not use.gib]
        held += f"; GPU {idle[0]} is free: CUDA_VISIBLE_DEVICES={idle[0]}" if idle else ""
        choice = wish if wish.value and wish.value < free else Decision(free, held)
    return Room(free, there if choice.value is None else choice.value, choice)
