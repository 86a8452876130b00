"""What hft says, on the terminal and in the run's log.txt."""

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from hft import redact

_file: Path | None = None


def say(line: str) -> None:
    """Print a line, and append it with the time to the log of the run at hand."""
    line = redact.text(line)
    print(line, flush=True)
    if _file:
        with _file.open("a", encoding="utf-8") as out:
            out.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def columns(lines: list[list[str]]) -> str:
    """Cells of equal numbers a line, in left-aligned columns."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


@contextmanager
def to(path: Path) -> Iterator[None]:
    """Append to this file until the block ends; an error that ends the block is written there too."""
    global _file
    _file = path
    try:
        yield
    except BaseException as problem:
        with path.open("a", encoding="utf-8") as out:
            reason = getattr(problem, "message", None) or repr(problem)
            out.write(f"{time.strftime('%H:%M:%S')} ended by: {redact.text(reason)}\n")
        raise
    finally:
        _file = None


class Heard(io.StringIO):
    """Text that is kept; a file to those who ask for its number, as vLLM does."""

    def fileno(self) -> int:
        """The number of the terminal, which is written to all the same."""
        assert sys.__stdout__, "Python was started without a terminal and without a file in its place"
        return sys.__stdout__.fileno()


@contextmanager
def aside() -> Iterator[None]:
    """Keep what libraries print in this block (banners, notices) out of the terminal, in the log only."""
    heard = Heard()
    try:
        with redirect_stdout(heard):
            yield
    finally:
        if _file and heard.getvalue().strip():
            with _file.open("a", encoding="utf-8") as out:
                out.write(redact.text(heard.getvalue().strip()) + "\n")


EVERY = 10  # seconds between lines when the output is not a terminal


class Lines:
    """The log-file form: prints `what: 12/60 (20 %), 34 s, note` every EVERY seconds and at the end."""

    def __init__(self, what: str, total: int) -> None:
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

    def __init__(self, what: str, total: int, progress: Any) -> None:
        self.progress = progress
        self.task = progress.add_task(what, total=total, note="")

    def advance(self, done: int, note: str = "", total: int | None = None) -> None:
        self.progress.update(self.task, completed=done, note=note, **({"total": total} if total else {}))


@contextmanager
def bar(what: str, total: int) -> "Iterator[Lines | Bar]":
    """Show progress of `total` units; call `.advance(done, note)` on what this yields."""
    if not sys.stdout.isatty():
        yield Lines(what, total)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    parts = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*parts) as progress:
        yield Bar(what, total, progress)


@contextmanager
def silent() -> "Iterator[Quiet]":
    """For work too short to show."""
    yield Quiet()


class Quiet:
    """Shows nothing."""

    def advance(self, done: int, note: str = "", total: int | None = None) -> None:
        """As Bar and Lines have it."""
