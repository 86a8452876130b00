"""Passports for tests: one with other values here and there."""

import copy


def changed(facts, changes):
    """A copy with other values at the keys that `>` leads to."""
    made = copy.deepcopy(facts)
    for key, value in changes.items():
        *way, last = key.split(">")
        place = made
        for part in way:
            place = place[part]
        place[last] = value
    return made
