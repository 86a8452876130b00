"""Inside the process that equal.py starts: pairs of formulas come in as lines of JSON, true or false goes out.

The kernel ends it when a pair takes more than its seconds, and it ends itself when its parent is gone.
"""

import json
import logging
import resource
import signal
import sys

SECONDS = 2.0  # of the processor, for one pair; most take a few thousandths
WALL = 20.0  # of the clock
MEMORY = 4 * 2**30  # bytes of address space


def limit(cpu: float, wall: float) -> None:
    """Let the kernel end this process after so many seconds from now; 0 for not at all."""
    signal.setitimer(signal.ITIMER_PROF, cpu)
    signal.setitimer(signal.ITIMER_REAL, wall)


def main() -> None:
    """Answer until there are no more questions."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # it warns of the limit that it does not have
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    verify(parse("$1$", parsing_timeout=None), parse("$x$", parsing_timeout=None), timeout_seconds=None)
    print("ready", flush=True)
    for line in sys.stdin:
        limit(SECONDS, WALL)
        try:
            given, truth = (parse(f"${one}$", parsing_timeout=None) for one in json.loads(line))
            equal = bool(given and truth) and bool(verify(truth, given, timeout_seconds=None))
        except Exception:  # whatever a formula may do to a parser: then it is not the truth
            equal = False
        limit(0, 0)
        print(json.dumps(equal), flush=True)


if __name__ == "__main__":
    main()
