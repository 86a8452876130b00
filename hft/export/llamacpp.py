"""llama.cpp: built once from a hash-pinned source, kept in the cache; converts, quantises and serves GGUF files."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from hft import files, terminal
from hft.errors import HftError

# The source of llama.cpp, as the package llama-cpp-python carries it: PyPI keeps it for ever and pip checks the hash.
COMMIT = "0c1e57098"
SOURCE = "llama-cpp-python==0.3.36 --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
INSIDE = "vendor/llama.cpp"
PROGRAMS = ("llama-quantize", "llama-server")
CONVERTER = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion", "gguf-py", "LICENSE")
# Static, and without the newest instructions of the building machine: the same program runs on every server.
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=OFF",
    "-DGGML_AVX2=ON",
    "-DGGML_FMA=ON",
    "-DGGML_F16C=ON",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
)


def home() -> Path:
    """The folder with `bin/` and `source/`: HFT_LLAMA_CPP, else the cache; built first when it is not there."""
    if given := os.environ.get("HFT_LLAMA_CPP"):
        missing = [p for p in PROGRAMS if not Path(given, "bin", p).exists()]
        if missing:
            raise HftError(
                f"HFT_LLAMA_CPP={given} lacks bin/{missing[0]}", "unset HFT_LLAMA_CPP to let hft build llama.cpp"
            )
        return Path(given)
    folder = files.cache() / f"llama.cpp-{COMMIT}"
    if not built(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with files.alone(folder):
            if not built(folder):  # another process may have built it
                build(folder)
    return folder


def built(folder: Path) -> bool:
    """True when the programs are in `folder`."""
    return all((folder / "bin" / program).exists() for program in PROGRAMS)


def build(folder: Path) -> None:
    """Fetch the pinned source and build it into `folder`, atomically; about 7 minutes on 2 cores, once."""
    if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        raise HftError("building llama.cpp needs a C++ compiler, and none is installed", "apt-get install g++")
    files.need_space(folder.parent, 1.5, "building llama.cpp")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".llama.cpp.") as scratch:
        make(fetch(Path(scratch)), folder)


def make(source: Path, folder: Path) -> None:
    """Compile `source` and keep the programs and the converter in `folder`, in one step.

    The Dockerfile calls this too, where neither httpx nor filelock is installed.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".llama.cpp.") as scratch:
        draft = Path(scratch, "done")
        compile_in(source, Path(scratch, "build"))
        (draft / "bin").mkdir(parents=True)
        for program in PROGRAMS:
            shutil.copy2(Path(scratch, "build", "bin", program), draft / "bin")
        (draft / "source").mkdir()
        for part in CONVERTER:
            (shutil.copytree if (source / part).is_dir() else shutil.copy2)(source / part, draft / "source" / part)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)


def fetch(scratch: Path) -> Path:
    """Download the source package with pip, which checks its hash; returns the unpacked folder."""
    print("Fetching the source of llama.cpp (77 MB, once) ...", flush=True)
    wanted = scratch / "source.txt"
    wanted.write_text(SOURCE + "\n", encoding="utf-8")
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
            "--require-hashes",
            "--dest",
            str(scratch),
            "-r",
            str(wanted),
        ],
        "fetching llama.cpp's source",
        "check the network; or set HFT_LLAMA_CPP to a folder with a finished build",
    )
    archive = next(scratch.glob("llama_cpp_python-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        tar.extractall(scratch, members=(m for m in tar if f"/{INSIDE}/" in m.name))
    return scratch / archive.name.removesuffix(".tar.gz") / INSIDE


def compile_in(source: Path, folder: Path) -> None:
    """Configure and compile with CMake and ninja (both in requirements/*.lock), showing ninja's own count."""
    more = os.environ.get("HFT_LLAMA_OPTIONS", "").split()  # such as -DGGML_CUDA=ON, where CUDA's compiler is installed
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": tools, "GIT_DIR": "/nonexistent"}  # or CMake reads hft's own commit
    print("Building llama.cpp (once, about 7 minutes on 2 cores) ...", flush=True)
    run(
        ["cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder), *OPTIONS, *more],
        "configuring llama.cpp",
        "read the message above; CMake 3.14 or newer and a C++17 compiler are needed",
        environment,
    )
    command = ["cmake", "--build", str(folder), "--target", *PROGRAMS]
    output: list[str] = []
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as ninja,
        terminal.bar("llama.cpp", 0) as shown,
    ):
        for line in ninja.stdout or ():
            output.append(line)
            if count := re.match(r"\[(\d+)/(\d+)\]", line):
                shown.advance(int(count[1]), total=int(count[2]))
    if ninja.returncode:
        raise HftError("building llama.cpp failed:\n" + "".join(output[-15:]), "the first error above names the reason")


def run(
    command: list[str], what: str, fix: str, environment: dict[str, str] | None = None, draft: Path | None = None
) -> str:
    """Run a tool and return its output.

    Raises HftError with the end of the output when it fails, and removes its draft.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode:
        if draft:
            draft.unlink(missing_ok=True)
        raise HftError(f"{what} failed (exit {done.returncode}):\n{done.stdout[-3000:].strip()}", fix)
    return done.stdout
