"""Fetching over loopback HTTP: goes on where it stopped, checks what came, leaves nothing half at the target."""

import gc
import hashlib
import http.server
import threading
import warnings

import pytest

from hft import download
from hft.errors import HftError

BODY = hashlib.shake_128(b"hft").digest(2_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MISSING, BY_HAND = "could not fetch {}: HTTP Error 404: Not Found", "try again, or put the file there by hand: {}"


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


@pytest.fixture
def serve():
    """serve(how) starts a loopback server; returns (address, list of the Range headers it was asked for)."""
    running = []

    def start(how):
        ranges = []

        class Handler(http.server.BaseHTTPRequestHandler):
            log_message = print

            def do_GET(self):
                ranges.append(self.headers.get("Range"))
                how(self, int((ranges[-1] or "bytes=0-")[6:-1]))

        running.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{running[-1].server_port}/rows.json", ranges

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
    with warnings.catch_warnings(action="ignore"):  # fetch leaves sockets open: see the last test
        gc.collect()


@pytest.fixture
def target(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "rows.json"


def lying(target):
    return {path.name: path.read_bytes() for path in target.parent.iterdir()}


def refusal(address, target):
    with pytest.raises(HftError) as error:
        download.file(address, target, SHA256)
    return error.value.message


@pytest.mark.parametrize(
    ("how", "part", "ranges"),
    [
        (RANGED, None, [None]),
        (RANGED, b"", [None]),
        (UNRANGED, None, [None]),
        (RANGED, BODY[:1], ["bytes=1-"]),
        (RANGED, BODY[:1_500_000], ["bytes=1500000-"]),
        (RANGED, BODY[:-1], ["bytes=1999999-"]),
        (RANGED, BODY, ["bytes=2000000-"]),  # complete, but killed before it was put in place: 416
        (RANGED, b"another version", ["bytes=15-", None]),
        (RANGED, b"?" * 3_000_000, ["bytes=3000000-", None]),
        (UNRANGED, BODY[:1_500_000], ["bytes=1500000-"]),
        (UNRANGED, b"another version", ["bytes=15-"]),
    ],
    ids=[
        "nothing",
        "empty",
        "unranged",
        "byte",
        "most",
        "but-one",
        "all",
        "other",
        "longer",
        "unranged-part",
        "unranged-other",
    ],
)
def test_the_whole_file_arrives_whatever_was_left_before(serve, target, how, part, ranges):
    address, seen = serve(how)
    if part is not None:
        target.with_name("rows.json.part").write_bytes(part)
    assert download.file(address, target, SHA256) == target
    assert (lying(target), seen) == ({"rows.json": BODY}, ranges)


@pytest.mark.parametrize(
    ("after", "stops"),
    [
        (700_000, {700_000: "1 MB", 1_400_000: "1 MB"}),
        (1_000_000, {1_000_000: "1 MB"}),
        (1_999_999, {1_999_999: "2 MB"}),
    ],
)
def test_a_cut_fetch_keeps_its_part_and_goes_on_there(serve, target, after, stops):
    address, seen = serve(cut(after))
    target.write_bytes(b"older")  # stays until the new one is whole
    for kept, said in stops.items():
        assert refusal(address, target) == (
            f"could not fetch {address}: the connection broke after {kept} of 2000000 bytes "
            f"({said} are kept: the next try goes on there)\n  Fix: try again, or put the file there by hand: {target}"
        )
        assert lying(target) == {"rows.json": b"older", "rows.json.part": BODY[:kept]}
    download.file(address, target, SHA256)
    assert (lying(target), seen) == ({"rows.json": BODY}, [None, *(f"bytes={kept}-" for kept in stops)])


@pytest.mark.parametrize(
    ("status", "content", "before", "times", "problem", "fix"),
    [
        (404, b"", {}, 1, MISSING, BY_HAND),
        (
            404,
            b"",
            {"rows.json.part": BODY[:1_000_000]},
            1,
            MISSING + " (1 MB are kept: the next try goes on there)",
            BY_HAND,
        ),
        (
            200,
            b"<html>Welcome to the hotel",
            {},
            2,
            "{} is not the file that hft knows (SHA-256 differs)",
            "a proxy may have answered in its place: fetch it by hand and compare",
        ),
    ],
    ids=["missing", "missing with a part", "login page"],
)
def test_what_is_not_the_file_is_refused_and_what_is_kept_stays(
    serve, target, status, content, before, times, problem, fix
):
    for name, old in before.items():
        target.with_name(name).write_bytes(old)
    address, seen = serve(lambda to, start: send(to, status, content))
    assert refusal(address, target) == f"{problem}\n  Fix: {fix}".replace("{}", address, 1).replace("{}", str(target))
    assert (lying(target), len(seen)) == (before, times)


def test_a_server_that_is_not_there_is_named(target):
    address = "http://127.0.0.1:1/rows.json"  # nothing listens on port 1
    assert refusal(address, target).startswith(
        f"could not fetch {address}: <urlopen error [Errno 111] Connection refused>\n"
    )


DEFECTS = [
    ("not HTTP", b"+OK POP3 server ready\r\n", "data"),
    ("no URL", None, "data"),
    ("a file for a folder", b"", "data/rows.json"),
    ("cut in a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nhalf of it", "data"),
]


@pytest.mark.parametrize(("what", "answer", "folder"), DEFECTS, ids=[what for what, *_ in DEFECTS])
def test_whatever_goes_wrong_is_an_error_of_one_line(serve, target, what, answer, folder):
    target.write_text("older")
    address = "mirror.example/rows.json" if answer is None else serve(lambda to, start: to.wfile.write(answer))[0]
    assert refusal(address, target.parents[1] / folder / "new").startswith(f"could not fetch {address}: ")


def test_a_refused_fetch_leaves_no_socket_open(serve, target):
    address, _ = serve(lambda to, start: send(to, 404, b"nothing here"))
    with warnings.catch_warnings(record=True, action="always") as unclosed:
        refusal(address, target)
        gc.collect()
    assert [str(one.message) for one in unclosed] == []


def test_what_is_fetched_goes_to_the_cache_where_the_data_folder_is_read_only(tmp_path, monkeypatch):
    from hft.data import files as data_files

    monkeypatch.setenv("HFT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))
    assert data_files.fetched() == tmp_path / "data"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert data_files.fetched() == tmp_path / "cache" / "data"
    (tmp_path / "cache" / "data").mkdir(parents=True)
    (tmp_path / "cache" / "data" / "x.json").touch()
    assert data_files.find("x.json", tmp_path) == tmp_path / "cache" / "data" / "x.json"
