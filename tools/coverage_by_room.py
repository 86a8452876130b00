"""Coverage of hft's rooms by the tests that have just run: python tools/coverage_by_room.py (make test does this).

Ends with 2 where the whole is under fail_under of pyproject.toml.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import coverage

COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def by_room(files: dict[str, dict]) -> dict[str, Counter]:
    """`{room: counts}` of coverage's files; what lies flat in hft/ is one room, named hft."""
    rooms: dict[str, Counter] = {}
    for name, about in sorted(files.items()):
        parts = Path(name).parts
        room = parts[1] if len(parts) > 2 else "hft"
        rooms.setdefault(room, Counter()).update({count: about["summary"][count] for count in COUNTS})
    return rooms


def share(counts: Counter) -> float:
    """Lines and branches that ran, in percent of all: what coverage calls the total."""
    reached = counts["covered_lines"] + counts["covered_branches"]
    return 100 * reached / max(1, counts["num_statements"] + counts["num_branches"])


def main() -> int:
    """Print a line with every room and the whole."""
    measured = coverage.Coverage()
    measured.load()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        measured.json_report(outfile=report.name)
        rooms = by_room(json.load(report)["files"])
    whole = sum(rooms.values(), Counter())
    lines = [f"{room} {share(counts):.0f}" for room, counts in rooms.items()]
    branches = 100 * whole["covered_branches"] / max(1, whole["num_branches"])
    print(f"Coverage, lines and branches, in %: {', '.join(lines)}; all {share(whole):.1f} (branches {branches:.1f})")
    wanted = measured.get_option("report:fail_under") or 0
    if share(whole) >= wanted:
        return 0
    print(f"Error: {share(whole):.1f} % is under {wanted:g} %")
    print("  Fix: test what is new (.venv/bin/coverage report -m names the lines)")
    return 2


if __name__ == "__main__":
    sys.exit(main())
