"""Files that matter are written in one step, so that a killed run never leaves half of one."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from hft.errors import HftError


def write(path: Path, text: str) -> None:
    """Write UTF-8 text atomically: a reader sees the old file or the new one."""
    with draft(path) as new, new.open("w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def draft(path: Path):
    """Yield a path to write to; what was written takes the place of `path` when the block ends well, and is removed when not."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def write_json(path: Path, facts) -> None:
    """Write sorted, indented JSON atomically."""
    write(path, json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Write one JSON object a line, atomically."""
    write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def new_folder(target: Path):
    """Yield an empty folder that takes the place of `target` when the block ends well; a failed block leaves `target` as it was."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    draft.mkdir(parents=True)
    try:
        yield draft
        readable(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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
