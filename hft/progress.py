"""Progress on the terminal: a moving bar for people, a line every few seconds for logs."""

import sys
import time
from contextlib import contextmanager

EVERY = 10  # seconds between lines when the output is not a terminal


class Lines:
    """The log-file form: prints `what: 12/60 (20 %), 34 s, note` every EVERY seconds and at the end."""

    def __init__(self, what: str, total: int):
        self.what, self.total, self.start = what, total, time.monotonic()
        self.printed = self.start - EVERY

    def advance(self, done: int, note: str = "", total: int | None = None) -> None:
        self.total = total or self.total
        now = time.monotonic()
        if now - self.printed >= EVERY or done == self.total:
            self.printed = now
            share = f"/{self.total} ({100 * done // self.total} %)" if self.total else ""
            print(f"{self.what}: {done}{share}, {now - self.start:.0f} s{', ' + note if note else ''}", flush=True)


class Bar:
    """The terminal form: one rich progress bar."""

    def __init__(self, what: str, total: int, progress):
        self.progress = progress
        self.task = progress.add_task(what, total=total, note="")

    def advance(self, done: int, note: str = "", total: int | None = None) -> None:
        self.progress.update(self.task, completed=done, note=note, **({"total": total} if total else {}))


@contextmanager
def bar(what: str, total: int):
    """Show progress of `total` units; call `.advance(done, note)` on what this yields."""
    if not sys.stdout.isatty():
        yield Lines(what, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
               TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns) as progress:
        yield Bar(what, total, progress)


@contextmanager
def silent():
    """For work too short to show."""
    yield Quiet()


class Quiet:
    def advance(self, done: int, note: str = "", total: int | None = None) -> None:
        pass
