"""What must hold of the libraries in an image, or it is not built: python tools/check_image.py cpu|cuda

Every package imports; the compiled ones hold kernels for the lab's GPUs; llama.cpp runs. Needs no GPU.
"""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Unsloth first, because it patches the others.
LIBRARIES = ("unsloth", "trl", "transformers", "peft", "datasets", "bitsandbytes", "langid", "click")
BOTH = (*LIBRARIES, "py3langid", "math_verify")
PACKAGES = {"cpu": BOTH, "cuda": (*BOTH, "vllm", "xformers")}
ARCHITECTURES = ((8, 9), (9, 0), (12, 0))  # RTX 4090, H100, RTX 5080


def check(what: str, test: Callable[[], str]) -> None:
    """Run one test, print what it found and its seconds; a failure ends the build."""
    begin = time.monotonic()
    try:
        result = test()
    except Exception as problem:
        sys.exit(f"CHECK FAILED  {what}: {problem!r}")
    print(f"ok  {what}: {result}  ({time.monotonic() - begin:.0f} s)", flush=True)


def imports(name: str) -> str:
    """The version of a package that imports."""
    importlib.import_module(name)
    return importlib.metadata.version(name)


def attention() -> str:
    """xformers' own list of what works."""
    done = subprocess.run([sys.executable, "-m", "xformers.info"], capture_output=True, text=True, check=True)
    working = re.findall(r"^memory_efficient_attention\.(\S+):\s+available", done.stdout, re.M)
    wanted = {"cutlassF-pt", "cutlassB-pt", "fa2F@", "fa2B@"}
    missing = [name for name in wanted if not any(kernel.startswith(name) for kernel in working)]
    if missing:
        raise ValueError(f"xformers lacks {', '.join(missing)}:\n{done.stdout}")
    return ", ".join(working)


def kernels(folder: str, pattern: str) -> str:
    """Machine code in a package's libraries must run on each of our GPUs: same major version, minor not above."""
    cuobjdump = next(Path(sys.prefix).rglob("triton/backends/nvidia/bin/cuobjdump"))
    held: set = set()
    for library in sorted(site(folder).glob(pattern)):
        listed = subprocess.run([cuobjdump, "--list-elf", library], capture_output=True, text=True)
        held |= {(int(number[:-1]), int(number[-1])) for number in re.findall(r"\.sm_(\d+)[af]?\.", listed.stdout)}
    missing = [
        f"{major}.{minor}" for major, minor in ARCHITECTURES if not any(a == major and b <= minor for a, b in held)
    ]
    if missing:
        raise ValueError(f"{folder} has no kernels for {', '.join(missing)}; only {sorted(held)}")
    return ", ".join(f"{major}.{minor}" for major, minor in sorted(held))


def extension() -> str:
    """vLLM's own extension must load, or Unsloth quietly goes on without vLLM."""
    importlib.import_module("vllm._C_stable_libtorch")
    return "loads"


def with_a_driver(folder: str) -> int:
    """Start this script again with an empty stand-in for the driver's library; returns its exit code.

    Where images are built there is no driver.
    """
    libraries = sorted(site("vllm").glob("*.so"))
    listed = subprocess.run(["nm", "-D", "--undefined-only", *libraries], capture_output=True, text=True, check=True)
    calls = sorted(set(re.findall(r" U (cu[A-Z]\w+)$", listed.stdout, re.M)))
    source, library = Path(folder, "driver.c"), Path(folder, "libcuda.so.1")
    source.write_text("".join(f"int {call}(void) {{ return 100; }}\n" for call in calls))  # 100: CUDA_ERROR_NO_DEVICE
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source], check=True)
    places = ":".join(filter(None, [folder, os.environ.get("LD_LIBRARY_PATH")]))
    return subprocess.call(
        [sys.executable, __file__, "cuda"], env={**os.environ, "LD_LIBRARY_PATH": places, "HFT_STAND_IN": "1"}
    )


def site(package: str) -> Path:
    """The folder of an installed package."""
    return next(Path(sys.prefix).glob(f"lib/python*/site-packages/{package}"))


def quantizer() -> str:
    """llama-quantize must start and know the types that recipes name."""
    help_text = subprocess.run(["/opt/llama.cpp/bin/llama-quantize", "--help"], capture_output=True, text=True)
    if "Q4_K_M" not in help_text.stdout + help_text.stderr:
        raise ValueError(help_text.stdout + help_text.stderr)
    return "starts"


if __name__ == "__main__":
    world = sys.argv[1]
    if world == "cuda" and not os.environ.get("HFT_STAND_IN"):
        with tempfile.TemporaryDirectory() as scratch:
            sys.exit(with_a_driver(scratch))
    for name in PACKAGES[world]:
        check(f"import {name}", lambda name=name: imports(name))
    if world == "cuda":
        check("vllm's extension", extension)
        check("xformers attention", attention)
        check("kernels of vllm", lambda: kernels("vllm", "_C*.so"))
        check("kernels of bitsandbytes", lambda: kernels("bitsandbytes", "libbitsandbytes_cuda130.so"))
    check("llama-quantize", quantizer)
