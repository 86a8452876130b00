"""Fetching over loopback HTTP: goes on where it stopped, checks what came, leaves nothing half at the target."""

import hashlib
import http.server
import random
import threading

import pytest

from hft import fetch
from hft.errors import HftError

BODY = random.Random(0).randbytes(2_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


def send(to, status, body, length=None):
    to.send_response(status)
    to.send_header("Content-Length", str(len(body) if length is None else length))
    to.end_headers()
    to.wfile.write(body)


def ranged(to, start):
    if start is not None and start >= len(BODY):
        send(to, 416, b"")
    else:
        send(to, 200 if start is None else 206, BODY[start or 0:])


def unranged(to, start):
    send(to, 200, BODY)


def missing(to, start):
    send(to, 404, b"nothing here")


def cut(after):
    """A server that breaks off so many bytes into what is wanted."""
    def answer(to, start):
        send(to, 200 if start is None else 206, BODY[start or 0:][:after], len(BODY) - (start or 0))
    return answer


@pytest.fixture
def serve(monkeypatch):
    """serve(how) starts a loopback server; returns (address, list of the Range headers it was asked for)."""
    monkeypatch.setenv("no_proxy", "*")
    running = []

    def start(how):
        ranges = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                ranges.append(wanted)
                how(self, int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else None)

            def log_message(self, *words):
                pass

        running.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{running[-1].server_port}/rows.json", ranges

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "rows.json"


def partly(target, content):
    """What an earlier fetch left behind."""
    target.parent.mkdir()
    target.with_name("rows.json.part").write_bytes(content)


def lying(target):
    return {path.name: path.read_bytes() for path in target.parent.iterdir()}


def refusal(address, target):
    with pytest.raises(HftError) as error:
        fetch.file(address, target, SHA256)
    return error.value.message


@pytest.mark.parametrize(("how", "part", "ranges"), [
    (ranged, None, [None]), (unranged, None, [None]),
    (ranged, b"", [None]),
    (ranged, BODY[:1], ["bytes=1-"]), (ranged, BODY[:1_500_000], ["bytes=1500000-"]), (ranged, BODY[:-1], ["bytes=1999999-"]),
    (ranged, BODY, ["bytes=2000000-"]),  # complete, but killed before it was put in place: 416
    (unranged, BODY[:1_500_000], ["bytes=1500000-"]),
    (ranged, b"another version", ["bytes=15-", None]), (ranged, b"?" * 3_000_000, ["bytes=3000000-", None]),
    (unranged, b"another version", ["bytes=15-"]),
], ids=str)
def test_the_whole_file_arrives_whatever_was_left_before(serve, target, how, part, ranges):
    address, seen = serve(how)
    if part is not None:
        partly(target, part)
    assert fetch.file(address, target, SHA256) == target
    assert lying(target) == {"rows.json": BODY}
    assert seen == ranges


@pytest.mark.parametrize(("after", "said"), [(0, "0 MB"), (1_000_000, "1 MB"), (1_999_999, "2 MB")])
def test_a_cut_fetch_keeps_its_part_and_goes_on_there(serve, target, after, said):
    address, _ = serve(cut(after))
    assert refusal(address, target) == (
        f"could not fetch {address}: the connection broke after {after} of 2000000 bytes ({said} are kept: the next try goes on there)\n"
        f"  Fix: try again, or put the file there by hand: {target}")
    assert lying(target) == {"rows.json.part": BODY[:after]}
    address, seen = serve(ranged)
    fetch.file(address, target, SHA256)
    assert seen == [f"bytes={after}-" if after else None]
    assert lying(target) == {"rows.json": BODY}


def test_a_line_that_breaks_again_and_again_gets_there(serve, target):
    address, seen = serve(cut(900_000))
    for kept in (900_000, 1_800_000):
        assert f"broke after {kept} of 2000000 bytes" in refusal(address, target)
    fetch.file(address, target, SHA256)
    assert seen == [None, "bytes=900000-", "bytes=1800000-"]
    assert lying(target) == {"rows.json": BODY}


def test_an_older_file_stays_until_the_new_one_is_whole(serve, target):
    target.parent.mkdir()
    target.write_bytes(b"older")
    refusal(serve(cut(5))[0], target)
    assert lying(target) == {"rows.json": b"older", "rows.json.part": BODY[:5]}


def test_a_missing_file_is_named_with_the_servers_word(serve, target):
    address, seen = serve(missing)
    assert refusal(address, target) == (f"could not fetch {address}: HTTP Error 404: Not Found\n"
                                        f"  Fix: try again, or put the file there by hand: {target}")
    assert (lying(target), seen) == ({}, [None])


def test_what_is_kept_outlives_a_404(serve, target):
    partly(target, BODY[:1_000_000])
    assert "(1 MB are kept: the next try goes on there)" in refusal(serve(missing)[0], target)
    assert lying(target) == {"rows.json.part": BODY[:1_000_000]}


def test_a_login_page_in_its_place_is_refused(serve, target):
    address, seen = serve(lambda to, start: send(to, 200, b"<html>Welcome to the hotel"))
    assert refusal(address, target) == (f"{address} is not the file that hft knows (SHA-256 differs)\n"
                                        "  Fix: a proxy may have answered in its place: fetch it by hand and compare")
    assert (lying(target), seen) == ({}, [None, None])


def test_a_server_that_is_not_there_is_named(serve, target, monkeypatch):
    address = "http://127.0.0.1:1/rows.json"  # nothing listens on port 1
    assert refusal(address, target).startswith(f"could not fetch {address}: <urlopen error [Errno 111] Connection refused>\n")


def garbage(to, start):
    to.wfile.write(b"+OK POP3 server ready\r\n")


def cut_chunks(to, start):
    to.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + BODY[:500])


@pytest.mark.xfail(strict=True, reason="http.client.HTTPException is no OSError: a traceback")
@pytest.mark.parametrize("how", [garbage, cut_chunks])
def test_an_answer_that_is_not_http_is_an_error_of_one_line(serve, target, how):
    address, _ = serve(how)
    assert refusal(address, target).startswith(f"could not fetch {address}: ")


@pytest.mark.xfail(strict=True, raises=ValueError, reason="urllib raises ValueError for what is no URL: a traceback")
def test_a_mirror_without_its_scheme_is_an_error_of_one_line(target):
    assert refusal("mirror.example/rows.json", target).startswith("could not fetch mirror.example/rows.json: ")


@pytest.mark.xfail(strict=True, raises=OSError, reason="the folder is made outside the try: a traceback")
def test_a_data_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path, target):
    target.parent.write_text("a file, not a folder")
    assert str(target.parent) in refusal("http://127.0.0.1:1/rows.json", target)
