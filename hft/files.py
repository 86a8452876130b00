"""Files that matter are written in one step, so that a killed run never leaves half of one."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hft.errors import HftError


def write(path: Path, text: str) -> None:
    """Write UTF-8 text atomically: a reader sees the old file or the new one."""
    with draft(path) as new, new.open("w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of `path` when the block ends well, and is removed when not."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def write_json(path: Path, facts: Any) -> None:
    """Write sorted, indented JSON atomically."""
    write(path, json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[Any]:
    """The objects of a file that `write_jsonl` wrote; only a line feed ends a line: texts hold other line ends."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends well; else `target` stays."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    draft.mkdir(parents=True)
    try:
        yield draft
        readable(draft)
        put_in_place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def put_in_place(draft: Path, target: Path) -> None:
    """Let a folder take the place of another one; a kill at any moment leaves the one or the other there.

    Linux exchanges the two in one step (renameat2). Where a file system cannot, such as NFS, the old folder steps aside
    as .NAME.before first; `whole_again` puts it back after a kill between the two renames.
    """
    before = target.with_name(f".{target.name}.before")
    whole_again(target)
    if not target.exists():
        draft.rename(target)
    elif not exchange(draft, target):
        target.rename(before)
        draft.rename(target)
        shutil.rmtree(before, ignore_errors=True)


def whole_again(target: Path) -> None:
    """Put back the folder that stepped aside for a new one which a kill kept from coming."""
    before = target.with_name(f".{target.name}.before")
    if before.exists() and not target.exists():
        before.rename(target)
    shutil.rmtree(before, ignore_errors=True)


EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
HERE = -100  # AT_FDCWD: paths count from the working directory


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the file system or the C library cannot."""
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    return renameat2 is not None and renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0


PATIENCE = 1.0  # seconds; a longer wait for another process is said


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the making of `path` for this process; others wait, and look again.

    The lock is the empty file .NAME.lock beside it, which stays; a killed process lets go by itself.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o666)  # a shared cache has many users
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        print(f"Waiting for another process, which is making {path} ...", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def readable(folder: Path) -> None:
    """Give files the permissions that the umask asks for: safetensors makes them for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~mask)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> dict[str, str]:
    """`{path inside the folder: SHA-256}` of every file, sorted by path."""
    return {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def need_space(folder: Path, gib: float, what: str) -> None:
    """Raise HftError when the disk that holds `folder` has less than `gib` GiB free."""
    free = shutil.disk_usage(folder).free / 2**30
    if free < gib:
        raise HftError(
            f"{what} needs {gib:.1f} GiB of disk under {folder}, and {free:.1f} GiB are free",
            "free some space, or put the runs on another disk: RUNS=/path make ...  (hft: HFT_RUNS=/path)",
        )


def cache() -> Path:
    """hft's own cache folder: HFT_CACHE, else ~/.cache/hft."""
    return Path(os.environ.get("HFT_CACHE") or Path.home() / ".cache" / "hft")
