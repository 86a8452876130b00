"""Fetch a file over HTTP: resumable, checked against its SHA-256, in place only when complete."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from hft import files, terminal
from hft.errors import HftError

CHUNK = 1 << 20  # bytes


def file(address: str, target: Path, sha256: str) -> Path:
    """Fetch `address` to `target`; an interrupted fetch goes on where it stopped. Raises HftError."""
    part = target.with_name(target.name + ".part")
    for attempt in (1, 2):  # a part left by another version of the file is thrown away once
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            transfer(address, part)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            kept = (
                f" ({part.stat().st_size / 1e6:.0f} MB are kept: the next try goes on there)" if part.exists() else ""
            )
            raise HftError(
                f"could not fetch {address}: {problem}{kept}", f"try again, or put the file there by hand: {target}"
            ) from None
        if files.sha256(part) == sha256:
            part.replace(target)
            return target
        part.unlink()
        if attempt == 2:
            raise HftError(
                f"{address} is not the file that hft knows (SHA-256 differs)",
                "a proxy may have answered in its place: fetch it by hand and compare",
            )


def transfer(address: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as problem:
        problem.close()
        if problem.code == 416 and have:  # nothing is left to send
            return
        raise
    with answer:
        if answer.status != 206:
            have = 0  # the server sends everything again
        total = have + int(answer.headers.get("Content-Length") or 0)
        with (
            part.open("ab" if have else "wb") as out,
            terminal.bar(f"fetching {address.rpartition('/')[2]} (MB)", total // CHUNK) as shown,
        ):
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                have += len(chunk)
                shown.advance(have // CHUNK)
            os.fsync(out.fileno())
        if total and have < total:
            raise OSError(f"the connection broke after {have} of {total} bytes")
