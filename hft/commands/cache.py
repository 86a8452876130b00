"""The command about hft's own cache: what lies there, what it costs to make again, and clearing it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from hft import errors, files, libraries
from hft.recipe import catalogue
from hft.terminal import columns


class Place(NamedTuple):
    holds: str
    entries: tuple[str, ...]  # patterns inside the cache
    cost: str  # of removing it


def places() -> dict[str, Place]:
    """What hft makes and can make again, by name."""
    user = os.getuid()
    return {
        "models": Place("models converted from GGUF files", ("models/*",), "converted again: half a minute for 135M"),
        "llama.cpp": Place("llama.cpp, built", ("llama.cpp-*", ".llama.cpp*"), "built again: in 7 minutes on 2 cores"),
        "codeio": Place("pairs of CodeI/O functions", ("codeio/*",), "the functions run again"),
        "tokenised": Place("your tokenised rows", (f"tokenised-{user}/*",), "tokenised again"),
        "answers": Place("bases' answers to your questions", (f"answers-{user}/*",), "the bases are asked again"),
        "compiled": Place(
            "your compiled code", (f"{libraries.compiled().name}/*", f"unsloth-{user}"), "compiled again as it is used"
        ),
    }


@click.command()
@click.argument("names", nargs=-1)
@click.option("--clear", is_flag=True, help="Remove what NAMES hold and can be made again; `all` is all of them.")
def cache(names, clear):
    """Show what lies in hft's cache (HFT_CACHE, else ~/.cache/hft), how large it is, and what removing it costs.

    What a running command is making or using is kept. The Hub's downloads and fetched files are shown, never cleared.

    \b
    Example: hft cache
             hft cache --clear compiled models
    """
    known = places()
    for name in names:
        if name not in [*known, "all"]:
            raise errors.HftError(
                f"the cache has no '{name}'{catalogue.suggest(name, known)}", f"choose from: {', '.join(known)}, all"
            )
    if clear and not names:
        raise errors.HftError("--clear needs names", f"hft cache --clear compiled   (or {', '.join(known)}, all)")
    chosen = [name for name in known if not names or name in names or "all" in names]
    if clear:
        click.echo("\n".join(cleared(name, known[name]) for name in chosen))
        return
    click.echo(f"{files.cache()}\n{columns([['NAME', 'HOLDS', 'SIZE', 'ONCE REMOVED'], *table(chosen)])}")


def table(names: list[str]) -> list[list[str]]:
    """The lines of the chosen places; of what is not hft's to clear too, where all are chosen."""
    known = places()
    lines = []
    for name in names:
        lines.append([name, known[name].holds, in_words(sum(map(size, entries(known[name])))), known[name].cost])
        lines += by_library() if name == "compiled" else []
    if len(names) == len(known):
        data, hub = size((files.cache() / "data").resolve()), size(hub_folder().resolve())
        lines.append(["(data)", "files fetched, or put there by you", in_words(data), "not cleared: may be yours"])
        lines.append(["(Hub)", str(hub_folder()), in_words(hub), "not cleared: the Hub's own tool is hf cache"])
    return lines


def by_library() -> list[list[str]]:
    """A line for each library that has compiled something; what a variable keeps elsewhere is not hft's to clear."""
    lines = []
    for variable, name in libraries.COMPILED.items():
        if elsewhere := os.environ.get(variable):
            there = in_words(size(Path(elsewhere).resolve()))
            lines.append([f"  ({name})", elsewhere, there, f"not cleared: {variable} is set"])
        elif ours := sum(map(size, libraries.compiled().glob(f"*/{name}"))):
            lines.append([f"  {name}", "", in_words(ours), ""])
    return lines


def hub_folder() -> Path:
    """Where the Hub's libraries keep models and data sets."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(caches, "huggingface"))


def entries(place: Place) -> list[Path]:
    """What lies at a place, but for locks; nothing where the place is a link out of the cache."""
    top = files.cache()
    found = [path for pattern in place.entries for path in sorted(top.glob(pattern))]
    return [path for path in found if path.suffix != ".lock" and (path.parent == top or not path.parent.is_symlink())]


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder that may be read; a link counts as itself."""
    total, folders = 0, []
    with contextlib.suppress(OSError):  # not there, or another user's
        if path.is_dir() and not path.is_symlink():
            folders.append(path)
        else:
            total = path.lstat().st_size
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def in_words(size: int) -> str:
    """Bytes as people read them."""
    for unit, one in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} B"


def cleared(name: str, place: Place) -> str:
    """Remove what a place holds, unless somebody holds one of its locks; returns a line that says what was freed."""
    try:
        with taken(place):
            found = entries(place)
            before = sum(map(size, found))
            for path in found:
                remove(path)
            left = sum(map(size, filter(os.path.lexists, found)))
    except OSError:  # filelock's Timeout is one
        return f"{name}: in use by another process, kept; clear it when that has ended"
    return f"{name}: {in_words(before - left)} freed" + (f"; {in_words(left)} of other users stay" if left else "")


@contextlib.contextmanager
def taken(place: Place) -> Iterator[None]:
    """Hold all locks of a place alone. Raises OSError when another process holds one, or one is not for this user."""
    from filelock import FileLock

    with contextlib.ExitStack() as held:
        for pattern in place.entries:
            parent, _, last = pattern.rpartition("/")
            for lock in sorted((files.cache() / parent).glob(f".{last}.lock")):
                held.enter_context(FileLock(lock, timeout=0))
        yield


def remove(path: Path) -> None:
    """Remove a file, a link (never what it points to) or a folder: whole, or where this user may not, not at all."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        else:
            aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a kill leaves no half of what it was
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
