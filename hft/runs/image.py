"""The image manifest: what is inside, so that two servers can prove that they run the same image.

While the image is built this file runs alone (python image.py LOCK > /opt/image.json): it needs the standard library
only.
"""

from __future__ import annotations  # tools/docker.py uses this file with Pythons from 3.8 on

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

MANIFEST = Path("/opt/image.json")
LLAMA_CPP = Path("/opt/llama.cpp")
DERIVED = ("uv_cache.json", "RECORD")


def read() -> dict | None:
    """The manifest with the revision of hft in it; None outside an image."""
    if not MANIFEST.exists():
        return None
    return {**json.loads(MANIFEST.read_text(encoding="utf-8")), "revision": os.environ.get("HFT_REVISION")}


def digests(manifest: dict) -> dict:
    """The manifest without its long lists: what identifies the image."""
    return {name: value for name, value in manifest.items() if not isinstance(value, list)}


def make(lock: Path) -> dict:
    """Describe the image that this interpreter runs in, whose libraries come from `lock`."""
    packages = sorted(f"{found.name.lower()}=={found.version}" for found in importlib.metadata.distributions())
    debian = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package}=${Version}\n"], capture_output=True, text=True, check=True
    )
    return {
        "lock": lock_digest(lock),
        "site_packages": content(site_packages()),
        "llama_cpp": content(LLAMA_CPP),
        "python": sys.version.split()[0],
        "packages": packages,
        "debian": sorted(debian.stdout.split()),
    }


def lock_digest(lock: Path) -> str:
    """The lock's name and SHA-256."""
    return f"{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()}"


def site_packages() -> Path:
    """This virtual environment's folder of libraries."""
    return Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def content(folder: Path) -> str:
    """SHA-256 over names and bytes of all files, in order of their names.

    Left out is what says nothing about the contents: bytecode, which holds the times of its sources, uv's note of when
    it saw a local wheel, and the lists of hashes in which that note stands.
    """
    seen = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc" and p.name not in DERIVED):
        hashed = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                hashed.update(chunk)
        seen.update(f"{hashed.hexdigest()}  {path.relative_to(folder)}\n".encode())
    return seen.hexdigest()


if __name__ == "__main__":
    json.dump(make(Path(sys.argv[1])), sys.stdout, indent=1, sort_keys=True)
