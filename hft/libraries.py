"""Settings that libraries read when they are imported: call `quiet()` before torch, transformers or unsloth load."""

import logging
import os
import warnings

from hft import files


def quiet() -> None:
    """Private compile caches, no telemetry, no progress bars and no banners but our own."""
    private = files.cache() / f"unsloth-{os.getuid()}"  # each user of a shared cache has one
    settings = {
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait give their core to what else runs, instead of spinning
        "UNSLOTH_COMPILE_LOCATION": str(private),  # its default, the working directory, is imported as code
        "UNSLOTH_DISABLE_STATISTICS": "1",
        "UNSLOTH_DISABLE_AUTO_UPDATES": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "BITSANDBYTES_NOWELCOME": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "0" if os.isatty(1) else "1",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    private.mkdir(parents=True, exist_ok=True)
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


def hush() -> None:
    """The part that needs the libraries loaded: transformers' own bars and log level."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def make_deterministic() -> None:
    """Let torch use kernels whose sums always come in one order, and refuse those that have none."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(True)
