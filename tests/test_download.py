"""Fetching over loopback HTTP: goes on where it stopped, checks what came, leaves nothing half at the target."""

import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from fetching import BODY, RANGED, SHA256, UNRANGED, cut, lying, refusal, send

from hft import download

MISSING, BY_HAND = "could not fetch {}: HTTP Error 404: Not Found", "try again, or put the file there by hand: {}"


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


@pytest.mark.parametrize(("after", "starts"), [(700_000, [700_000, 1_400_000]), (1_999_999, [1_999_999])])
def test_a_cut_fetch_goes_on_where_it_was_cut(serve, target, capsys, after, starts):
    address, seen = serve(cut(after))
    download.file(address, target, SHA256)
    assert (lying(target), seen) == ({"rows.json": BODY}, [None, *(f"bytes={start}-" for start in starts)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "again" in line]
    assert lines == [f"the connection broke after {start} of 2000000 bytes; trying again in 0 s" for start in starts]


def test_what_is_cut_too_often_keeps_its_part_for_the_next_command(serve, target):
    address, seen = serve(cut(300_000))
    target.write_bytes(b"older")  # stays until the new one is whole
    assert refusal(address, target) == (
        f"could not fetch {address}: the connection broke after 1200000 of 2000000 bytes "
        f"(1 MB are kept: the next try goes on there)\n  Fix: try again, or put the file there by hand: {target}"
    )
    assert lying(target) == {"rows.json": b"older", "rows.json.part": BODY[:1_200_000]}
    download.file(address, target, SHA256)
    assert (lying(target), len(seen), seen[4]) == ({"rows.json": BODY}, 7, "bytes=1200000-")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_or_broken_is_asked_again(serve, target, status):
    answers = [cut(None), *[lambda to, start: send(to, status, b"later")] * 3]
    address, seen = serve(lambda to, start: answers.pop()(to, start))
    download.file(address, target, SHA256)
    assert (lying(target), len(seen)) == ({"rows.json": BODY}, 4)


def test_a_server_that_stays_broken_is_named(serve, target):
    address, seen = serve(lambda to, start: send(to, 503, b""))
    assert refusal(address, target).startswith(f"could not fetch {address}: HTTP Error 503: Service Unavailable\n")
    assert len(seen) == download.TRIES


def test_of_two_that_want_the_same_file_one_fetches_it(serve, target):
    begun, go_on = threading.Event(), threading.Event()

    def slow(to, start):
        begun.set()
        assert go_on.wait(10)
        RANGED(to, start)

    address, seen = serve(slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(download.file, address, target, SHA256)
        assert begun.wait(10)
        second = pool.submit(download.file, address, target, SHA256)
        assert not second.done()
        go_on.set()
        assert [first.result(), second.result()] == [target, target]
    assert (lying(target), len(seen)) == ({"rows.json": BODY}, 1)


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
    assert refusal(address, target).startswith(f"could not fetch {address}: [Errno 111] Connection refused\n")


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
