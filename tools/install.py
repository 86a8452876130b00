"""Make .venv from the lock that fits this machine: python3 tools/install.py cpu|cuda (make does this for you).

With a folder after it, that folder becomes the virtual environment of an image (the Dockerfile does this).

Needs Python's standard library and nothing else. Every package is checked against its hash in the lock.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import typing

HERE = pathlib.Path(__file__).resolve().parent.parent
LOCKS = HERE / "requirements"
VENV = HERE / ".venv"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"  # PyTorch's own; only the CPU build of torch comes from here


def stop(problem: str, fix: str) -> typing.NoReturn:
    """End with what is wrong and what to type."""
    sys.exit(f"Error: {problem}\n  Fix: {fix}")


def step(what: str, command: list) -> None:
    """Run one step, say what it is and how long it took; on failure show what it printed."""
    print(f"  {what} ...", end=" ", flush=True)
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print("failed")
        print(done.stdout)
        stop(f"{what}: failed", "read the message above; the network and a proxy's certificate are the usual causes")
    print(f"{time.monotonic() - start:.0f} s")


def torch_requirement(lock: pathlib.Path) -> str:
    """The lock's entry for torch, with its hashes: the one package that PyPI does not serve as a CPU build."""
    return re.search(r"^torch==.*?(?=^\S)", lock.read_text(encoding="utf-8"), re.M | re.S).group()


def torch_source() -> list:
    """Where the CPU build of torch comes from: a configured folder of wheels, else PyTorch's CPU index."""
    folders = (os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or "").replace(",", " ").split()
    if folders:
        return ["--no-index", *(word for folder in folders for word in ("--find-links", folder))]
    return ["--default-index", os.environ.get("TORCH_INDEX") or TORCH_INDEX]


def install(world: str) -> None:
    """Make .venv with everything: the lock, the tools for tests, and hft itself from this folder."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        stop(
            f"Python {sys.version.split()[0]} is not supported", "name one of 3.11 to 3.13: make PYTHON=python3.11 ..."
        )
    if world == "cpu" and sys.version_info[:2] != (3, 11):
        stop(
            "the CPU lock knows torch's hash for Python 3.11 only",
            "name it: make PYTHON=python3.11 ...  (or add the hashes of your Python with: make lock)",
        )
    python = str(VENV / "bin" / "python")
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        stop(
            f"Python could not make a virtual environment: {(made.stdout + made.stderr).strip().splitlines()[0]}",
            "on Debian or Ubuntu: apt-get install python3-venv",
        )
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    step("uv", [*pip, "--require-hashes", "-r", str(LOCKS / "uv.txt")])
    uv = str(VENV / "bin" / "uv")
    libraries(uv, python, world, LOCKS / "dev.lock")
    alone = ["--no-deps", "--no-build-isolation", "--offline"]
    editable = ["--config-settings", "editable_mode=compat", "-e", str(HERE)]
    step("hft itself", [uv, "pip", "install", "--python", python, *alone, *editable])


def install_image(world: str, folder: str) -> None:
    """Make an image's virtual environment: the lock and nothing else, compiled to bytecode, by the uv on the PATH."""
    step("a virtual environment", ["uv", "venv", "--quiet", "--python", sys.executable, folder])
    libraries("uv", f"{folder}/bin/python", world, options=("--compile-bytecode", "--link-mode", "copy"))


def libraries(uv: str, python: str, world: str, *more_locks: pathlib.Path, options: tuple = ()) -> None:
    """Install a lock, hash by hash; torch's CPU build first, from the one place that has it."""
    lock = LOCKS / f"{world}.lock"
    if world == "cpu":
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_torch:
            only_torch.write(torch_requirement(lock))
            only_torch.flush()
            command = [uv, "pip", "install", "--python", python, "--no-deps", "--require-hashes", *options]
            step("torch, CPU build (190 MB)", [*command, *torch_source(), "-r", only_torch.name])
    size = "500 MB" if world == "cpu" else "9 GB"
    step(
        f"everything in requirements/{world}.lock (about {size})",
        [uv, "pip", "sync", "--python", python, "--require-hashes", *options, str(lock), *map(str, more_locks)],
    )


if __name__ == "__main__":
    if sys.argv[1:2] not in (["cpu"], ["cuda"]) or len(sys.argv) > 3:
        sys.exit(__doc__)
    target = ".venv" if len(sys.argv) == 2 else sys.argv[2]
    print(f"Making {target} from requirements/{sys.argv[1]}.lock (once; minutes on a slow network):", flush=True)
    begin = time.monotonic()
    install(sys.argv[1]) if len(sys.argv) == 2 else install_image(*sys.argv[1:])
    print(f"Ready in {time.monotonic() - begin:.0f} s.", flush=True)
