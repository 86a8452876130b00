"""Settings that libraries read when they are imported: call `quiet()` before torch, transformers or unsloth load."""

import contextlib
import fcntl
import functools
import hashlib
import logging
import os
import re
import stat
import sys
import warnings
from pathlib import Path

from hft import files
from hft.errors import HftError

# Where each library keeps what it compiles at run time: its variable, and its folder in ours.
COMPILED = {
    "CUDA_CACHE_PATH": "cuda",  # the driver's, for cards newer than a kernel; by default ~/.nv/ComputeCache
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",  # by default the home; it adds .cache/flashinfer
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",  # by default /tmp/torchinductor_NAME, which a container loses
    "TRITON_CACHE_DIR": "triton",  # by default ~/.triton/cache
    "UNSLOTH_COMPILE_LOCATION": "unsloth",  # its default, the working directory, is imported as code
    "UNSLOTH_MEGA_CACHE_DIR": "unsloth-whole",  # whole graphs; by default ~/.cache/unsloth/mega_cache
    "VLLM_CACHE_ROOT": "vllm",  # by default ~/.cache/vllm
}
# Compiled code belongs to these versions: Unsloth rewrites transformers, TRL and PEFT, and compiles the outcome.
COMPILERS = ("flashinfer-python", "peft", "torch", "transformers", "triton", "trl", "unsloth", "unsloth_zoo", "vllm")

_places: dict[str, str] = {}  # what the variables of COMPILED were, once quiet() had set them


def quiet() -> None:
    """Private compile caches, no telemetry, no progress bars and no banners but our own."""
    private = prepare()
    settings = {
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait give their core to what else runs, instead of spinning
        "UNSLOTH_DISABLE_STATISTICS": "1",
        "UNSLOTH_DISABLE_AUTO_UPDATES": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "BITSANDBYTES_NOWELCOME": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "0" if os.isatty(1) else "1",
    }
    for name, value in (settings | {name: str(private / folder) for name, folder in COMPILED.items()}).items():
        os.environ.setdefault(name, value)
    _places.update({name: os.environ[name] for name in COMPILED})
    warnings.filterwarnings("ignore")  # their users are developers of those libraries; tests still see them
    for name in (
        "torchao",
        "torch.utils._pytree",
        "transformers",
        "trl",
        "peft",
        "bitsandbytes",
        "accelerate",
        "datasets",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)


def compiled() -> Path:
    """This user's folder for all that libraries compile; in it one folder for each set of versions and processor."""
    return files.cache() / f"compiled-{os.getuid()}"


def prepare() -> Path:
    """Make the private folder for what this environment compiles, and hold it until this process ends.

    Raises HftError where others could put code into it.
    """
    keep_private(compiled())
    folder = compiled() / environment()
    hold(folder)
    for place in (folder, *(folder / name for name in COMPILED.values())):
        place.mkdir(mode=0o700, exist_ok=True)
    return folder


def keep_private(folder: Path) -> None:
    """Make a folder for this user alone. Raises HftError where it is not: others may have put code there, or may yet.

    A link is as good as its folder when both are the user's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    owners = {folder.lstat().st_uid, folder.stat().st_uid} - {os.getuid()}
    if owners:
        wrong = f"belongs to user {min(owners)}"
    elif folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = "is writable for others"
    else:
        return
    raise HftError(
        f"{folder} {wrong}, and what lies there is run as code by user {os.getuid()}",
        f"rm -r {folder}   (all of it is made again), or a cache of your own: HFT_CACHE=/path",
    )


@functools.cache
def environment() -> str:
    """A digest of what compiled code depends on: the libraries, Python, and what the processor can do.

    Homes are shared between servers, and Inductor compiles for the processor at hand.
    """
    versions = [sys.version, os.uname().machine]
    versions += [f"{name}=={found}" for name in COMPILERS if (found := version(name))]
    with contextlib.suppress(OSError):
        able = re.search(r"^(flags|Features)\s*:.*", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        versions.append(able[0] if able else "")
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]


def version(library: str) -> str | None:
    """The version that is installed, found without an import; None where there is none."""
    from importlib import metadata  # 30 ms, which `hft --help` need not spend

    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def hold(folder: Path) -> int:
    """Keep `folder` from being cleared until this process ends; returns the number of its open lock.

    Many hold one folder together; who clears it takes the lock alone (commands/cache.py).
    """
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def hush() -> None:
    """The part that needs the libraries loaded: transformers' own bars and log level, and what Unsloth took back."""
    from transformers.utils import logging as transformers_logging

    os.environ.update(_places)  # importing Unsloth removes TORCHINDUCTOR_CACHE_DIR; Inductor reads it when it compiles
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def make_deterministic() -> None:
    """Let torch use kernels whose sums always come in one order, and refuse those that have none."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(True)
