"""Talk to servers: one retry for all who do, and files fetched over HTTP, resumable, checked against their SHA-256."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hft import files, terminal
from hft.errors import HftError

T = TypeVar("T")
TRIES = 4  # of one request
PAUSE = 2.0  # seconds before the second try; twice as many before each one after it
MB = 1 << 20  # bytes


class Passing(Exception):
    """What another try may mend; its text says what happened."""


def busy(status: int) -> bool:
    """True for the answers that ask for another try: too many requests (429), or a failure of the server (5xx)."""
    return status == 429 or status >= 500


def retry(step: Callable[[], T], tries: int = TRIES, tell: Callable[[str], None] | None = None) -> T:
    """The step's result; a step that raises Passing is tried again, each time after twice the pause.

    tell: is given one line before each pause. Raises the last Passing, and at once whatever else the step raises.
    """
    for attempt in range(1, tries):
        try:
            return step()
        except Passing as problem:
            seconds = PAUSE * 2 ** (attempt - 1)
            if tell:
                tell(f"{problem}; trying again in {seconds:g} s")
        time.sleep(seconds)
    return step()


def client(address: str, timeout: float, **options: Any) -> Any:
    """An httpx.Client for an address, by the environment's proxy; it trusts the system's authorities or SSL_CERT_FILE.

    timeout: seconds without a byte. It follows no redirect unless told to. Raises HftError for a proxy of no use.
    """
    import ssl

    import httpx

    try:
        context = ssl.create_default_context()
        return httpx.Client(verify=context, timeout=timeout, trust_env=False, proxy=proxy_for(address), **options)
    except (ImportError, ValueError, httpx.InvalidURL) as problem:
        raise HftError(
            f"the proxy that the environment names cannot be used: {problem}",
            "name it in HTTPS_PROXY as http://HOST:PORT",
        ) from None


def proxy_for(address: str) -> str | None:
    """The proxy that HTTP_PROXY or HTTPS_PROXY names for an address, if NO_PROXY does not leave it out.

    As urllib has it: httpx's own look-up takes ALL_PROXY too, and fails for SOCKS before it looks at NO_PROXY.
    """
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    try:
        parts = urlsplit(address)
    except ValueError:  # no address: the request will say so
        return None
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def file(address: str, target: Path, sha256: str) -> Path:
    """Fetch `address` to `target`, in place only when complete; an interrupted fetch goes on where it stopped.

    Of several processes that want the same file one fetches it. Raises HftError.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.alone(target):
            if target.is_file() and files.sha256(target) == sha256:  # another process was faster
                return target
            for _ in range(2):  # a part left by another version of the file is thrown away once
                retry(lambda: transfer(address, part), tell=terminal.say)
                if files.sha256(part) == sha256:
                    part.replace(target)
                    return target
                part.unlink()
    except (OSError, ValueError, Passing) as problem:
        kept = f" ({part.stat().st_size / 1e6:.0f} MB are kept: the next try goes on there)" if part.exists() else ""
        raise HftError(
            f"could not fetch {address}: {problem}{kept}", f"try again, or put the file there by hand: {target}"
        ) from None
    raise HftError(
        f"{address} is not the file that hft knows (SHA-256 differs)",
        "a proxy may have answered in its place: fetch it by hand and compare",
    )


def transfer(address: str, part: Path) -> None:
    """Append to `part` what it lacks. Raises Passing, and OSError or ValueError for what no other try mends."""
    import httpx

    if address.startswith("file://"):  # a mirror on a shared disk
        copy_from_disk(address, part)
        return
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with (
            client(address, timeout=60, follow_redirects=True) as web,
            web.stream("GET", address, headers=headers) as answer,
        ):
            if answer.status_code == 416 and have:  # nothing is left to send
                return
            if not answer.is_success:
                reason = f"HTTP Error {answer.status_code}: {answer.reason_phrase}"
                raise Passing(reason) if busy(answer.status_code) else OSError(reason)
            receive(answer, part, have if answer.status_code == 206 else 0, address.rpartition("/")[2])
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
        raise ValueError(str(problem)) from None
    except httpx.HTTPError as problem:
        raise Passing(str(problem) or type(problem).__name__) from None


def copy_from_disk(address: str, part: Path) -> None:
    """Copy what a file:// address names."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    shutil.copyfile(url2pathname(urlsplit(address).path), part)


def receive(answer: Any, part: Path, have: int, name: str) -> None:
    """Write an answer's bytes behind the first `have` of `part`. Raises Passing when the connection breaks."""
    import httpx

    total = have + int(answer.headers.get("Content-Length") or 0)
    told = have // MB
    with (
        part.open("ab" if have else "wb") as out,
        terminal.bar(f"fetching {name} (MB)", total // MB) as shown,
    ):
        try:
            for chunk in answer.iter_raw():  # in the network's own pieces: what came before a break is kept
                out.write(chunk)
                have += len(chunk)
                if have // MB > told:
                    told = have // MB
                    shown.advance(told)
        except httpx.TransportError:
            raise Passing(f"the connection broke after {have}{f' of {total}' if total else ''} bytes") from None
        os.fsync(out.fileno())
