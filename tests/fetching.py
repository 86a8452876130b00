"""A file on loopback HTTP for the tests of fetching: whole, in part, cut off, refused."""

import hashlib
import http.server
import threading
from contextlib import contextmanager

import pytest

from hft import download
from hft.errors import HftError

BODY = hashlib.shake_128(b"hft").digest(2_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


def send(to, status, body, length=None):
    head = f"HTTP/1.0 {status} {to.responses[status][0]}\r\nContent-Length: {length or len(body)}\r\n\r\n"
    to.wfile.write(head.encode() + body)


def cut(after, ranges=True):
    """A server that breaks off so many bytes into what is wanted."""

    def answer(to, start):
        start = start if ranges else 0
        send(to, 416 if start >= len(BODY) else 206 if start else 200, BODY[start:][:after], len(BODY[start:]))

    return answer


RANGED, UNRANGED = cut(None), cut(None, ranges=False)


@contextmanager
def serving(how, context=None):
    """A server that answers by how(handler, first byte wanted); yields (address, Range headers it was asked for)."""
    ranges = []

    class Handler(http.server.BaseHTTPRequestHandler):
        log_message = print

        def do_GET(self):
            ranges.append(self.headers.get("Range"))
            how(self, int((ranges[-1] or "bytes=0-")[6:-1]))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = print
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/rows.json", ranges
    finally:
        server.shutdown()
        server.server_close()


def lying(target):
    """What lies beside the target, the empty lock aside."""
    return {path.name: path.read_bytes() for path in target.parent.iterdir() if not path.name.endswith(".lock")}


def refusal(address, target):
    with pytest.raises(HftError) as error:
        download.file(address, target, SHA256)
    return error.value.message
