"""The one error that users see."""

import errno

import click

FULL = "No space left on device"  # as Python, torch and safetensors say it
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class HftError(click.ClickException):
    """What is wrong, where, and what to type next. Click prints it as `Error: ...` and exits with 1."""

    def __init__(self, problem: str, fix: str):
        super().__init__(f"{problem}\n  Fix: {fix}")
        self.problem = problem


def of_disk(problem: Exception) -> HftError | None:
    """The clear form of an error that the disk is to blame for: full, not writable; None for any other error."""
    where = getattr(problem, "filename", None) or "the disk"
    if FULL in str(problem) or getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return HftError(
            f"{FULL}: {where}; what was complete is kept",
            "free some space and go on with --resume, or put the runs on another disk: RUNS=/path make ...",
        )
    if getattr(problem, "errno", None) in REFUSED:
        return HftError(
            f"{getattr(problem, 'strerror', None)}: {where}",
            "make it writable for you; in a container, mount a folder of yours at /runs and at /cache, "
            "and name yourself: HFT_USER=$(id -u):$(id -g)",
        )
    return None


def is_out_of_memory(problem: Exception) -> bool:
    """True for what torch, cuBLAS and CUDA say when a GPU is full."""
    return isinstance(problem, RuntimeError) and any(word in str(problem) for word in ("out of memory", "ALLOC_FAILED"))


def of_memory(problem: Exception) -> HftError | None:
    """The clear form of a GPU's being full; None for any other error."""
    if not is_out_of_memory(problem):
        return None
    return HftError(
        f"the GPU's memory is full: {str(problem).splitlines()[0]}",
        "close what else uses the GPU (nvidia-smi), see what would fit (hft plan NAME --gpu all), "
        "or ask fewer rows at once: HFT_GENERATE_ROWS=4",
    )
