"""The pairs of a function that gives the same for the same input, whenever and however often it is asked."""

import json
from typing import Any, NamedTuple

from hft.data.sandbox import run as sandbox
from hft.data.sandbox import verdict

MINUTE, HOUR, DAY = 60, 3600, 86400
# Later clocks: primes of days, hours, minutes and seconds, found by search. From any moment on at least one of them is
# in the other half of the minute, hour, day, week, month and year, and has an even hour, minute, weekday, month or year
# for an odd one, or the other way round. The calls of one process go on from there (STEP in inside.py).
LATER = (
    947 * DAY + 13 * HOUR + 2 * MINUTE + 29,
    1291 * DAY + 3 * HOUR + 31 * MINUTE + 31,
    1481 * DAY + 2 * HOUR + 53 * MINUTE + 7,
)
CALLS = 20  # of a function in each repetition, at least, where it is fast: so rare chances show with few inputs, too
ENOUGH = 0.3  # seconds of processor time after which a repetition calls no input again
DRAWS = 10_000  # between the seeds of two repetitions; within one the calls' seeds follow each other


class Repetition(NamedTuple):
    """Another process that asks for the same pairs, in another order and with other random numbers."""

    hash_seed: int
    ahead: int  # seconds that the clock is ahead
    anew: bool = False  # whether the generator makes the inputs once more


REPETITIONS = (
    Repetition(2, 0),
    Repetition(3, 0),
    Repetition(4, LATER[0]),
    Repetition(5, LATER[1]),
    Repetition(1, LATER[2], anew=True),  # hashes as at first: a generator may depend on them
)


def pairs_of(function: dict, tries: int, seed: int, limits: sandbox.Limits) -> list[dict]:
    """Run a function (code, name, generator, known) on its inputs, and again: `{input, output, status}` of each pair.

    status: ok, or why the pair is of no use. A function that cannot be run, or one of whose pairs is not the same each
    time, has one pair, without input and output, whose status says why. Six processes, each within the limits.
    """
    enough = min(ENOUGH, (limits.processor or limits.seconds) / 4)
    job = {"code": function["code"], "function": function["name"], "seed": seed, "calls": CALLS, "enough": enough}
    asked: dict[str, Any] = {"generator": function["generator"], "count": tries}
    if function["known"]:
        asked = {"inputs": [pair["input"] for pair in function["known"]]}
    first = sandbox.run({**job, **asked, "draw": seed, "calls": 0}, limits, hash_seed=1)
    wanted = {pair["input"]: came(pair) for pair in first.pairs}
    if ended(first) != "ok" or not wanted:
        return dropped("no input" if ended(first) == "ok" else ended(first))

    def again(number: int, ahead: int) -> str:
        """How the repetition differs from the first run: ok where it does not."""
        hash_seed, _, anew = REPETITIONS[number]
        inputs = asked if anew else {"inputs": list(wanted)}
        turn = {"draw": seed + (number + 1) * DRAWS, "order": number, "ahead": ahead}
        return difference(sandbox.run({**job, **inputs, **turn}, limits, hash_seed), wanted)

    for number, repetition in enumerate(REPETITIONS):
        status = again(number, repetition.ahead)
        if status == "random" and repetition.ahead and again(number, 0) == "ok":
            status = "depends on time"
        if status != "ok":
            return dropped(status)
    recorded = {pair["input"]: pair["output"] for pair in function["known"]}
    return [compared(pair, recorded.get(pair["input"])) for pair in first.pairs]


def difference(outcome: sandbox.Outcome, wanted: dict[str, tuple]) -> str:
    """How a repetition's pairs differ from the wanted ones: ok where they do not."""
    if ended(outcome) != "ok":
        return ended(outcome)
    if {pair["input"] for pair in outcome.pairs} != set(wanted):
        return "random input"
    return "ok" if all(came(pair) == wanted[pair["input"]] for pair in outcome.pairs) else "random"


def ended(outcome: sandbox.Outcome) -> str:
    """How a process ended; where one call could start none, all that run on the machine are to blame, not the call."""
    return "processes" if any(pair["status"] == "processes" for pair in outcome.pairs) else outcome.status


def dropped(status: str) -> list[dict]:
    """The pairs of a function of which none is of use."""
    return [{"input": None, "output": None, "status": status}]


def came(pair: dict) -> tuple[str, str | None]:
    """What must be the same each time."""
    return pair["status"], pair["output"]


def compared(pair: dict, recorded: str | None) -> dict:
    """The pair with its status after a comparison with the output that the file has for it."""
    state = pair["status"]
    if state == "ok" and recorded is not None and not verdict.close(json.loads(recorded), json.loads(pair["output"])):
        state = "other than recorded"
    return {"input": pair["input"], "output": pair["output"], "status": state}
