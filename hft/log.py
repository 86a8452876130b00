"""What hft says, on the terminal and in the run's log.txt."""

import io
import sys
import time
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

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
    """Left-aligned columns."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


@contextmanager
def to(path: Path):
    """Append to this file until the block ends; an error that ends the block is written there too."""
    global _file
    _file = path
    try:
        yield
    except BaseException as problem:
        with path.open("a", encoding="utf-8") as out:
            said = getattr(problem, "message", None) or repr(problem)
            out.write(f"{time.strftime('%H:%M:%S')} ended by: {redact.text(said)}\n")
        raise
    finally:
        _file = None


class Heard(io.StringIO):
    """Text that is kept; a file to those who ask for its number, as vLLM does."""

    def fileno(self):
        return sys.__stdout__.fileno()


@contextmanager
def aside():
    """Keep what libraries print in this block (banners, notices) out of the terminal, in the log only."""
    heard = Heard()
    try:
        with redirect_stdout(heard):
            yield
    finally:
        if _file and heard.getvalue().strip():
            with _file.open("a", encoding="utf-8") as out:
                out.write(redact.text(heard.getvalue().strip()) + "\n")
