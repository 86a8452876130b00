"""Checkpoints that can be trusted: one counts only when the list of its files' hashes, written last, still holds."""

import json
import shutil
from pathlib import Path

from hft import files

SEAL = "sealed.json"


def seal(checkpoint: Path) -> None:
    """Write the hashes of a checkpoint's files beside them, atomically: now it is whole."""
    files.readable(checkpoint)
    (checkpoint / SEAL).unlink(missing_ok=True)
    files.write_json(checkpoint / SEAL, files.sha256_folder(checkpoint))


def whole(checkpoint: Path) -> bool:
    """True when every file is as it was when the checkpoint was sealed."""
    try:
        hashes = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return bool(hashes) and all(files.sha256(checkpoint / name) == value for name, value in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint; damaged or half-written ones are named and removed."""
    steps = {p: p.name.removeprefix("checkpoint-") for p in folder.glob("checkpoint-*") if p.is_dir()}
    by_step = sorted((p for p, step in steps.items() if step.isdecimal()), key=lambda p: int(steps[p]), reverse=True)
    for checkpoint in by_step:
        if whole(checkpoint):
            return checkpoint
        print(f"{checkpoint.name} is damaged or half-written: taking the one before it", flush=True)
        shutil.rmtree(checkpoint)
    return None
