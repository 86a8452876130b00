"""What a fetch takes from its surroundings: authorities, proxies, redirects; its pauses; and who waits for whom."""

import os
import shutil
import ssl
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from conftest import ROOT
from fetching import BODY, RANGED, SHA256, lying, refusal

from hft import download, files


def test_the_pause_doubles(monkeypatch):
    pauses, tried = [], []
    monkeypatch.setattr(download.time, "sleep", pauses.append)

    def step():
        tried.append(True)
        raise download.Passing("broken")

    with pytest.raises(download.Passing, match="broken"):
        download.retry(step, 5)
    assert (len(tried), pauses) == (5, [2, 4, 8, 16])


def test_a_redirect_is_followed_to_the_file(serve, target):
    there, _ = serve(RANGED)
    head = f"HTTP/1.0 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode()
    address, _ = serve(lambda to, start: to.wfile.write(head))
    download.file(address, target, SHA256)
    assert lying(target) == {"rows.json": BODY}


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody has signed, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    made = tmp_path / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=hft", "-addext", "subjectAltName=IP:127.0.0.1"]
    places = ["-keyout", str(tmp_path / "key.pem"), "-out", str(made)]
    subprocess.run(["openssl", "req", *kind, *name, *places], check=True, capture_output=True)
    return made


def test_the_systems_authorities_are_trusted_and_no_others(serve, target, certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    address, _ = serve(RANGED, context)
    address = address.replace("http:", "https:")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert "CERTIFICATE_VERIFY_FAILED" in refusal(address, target)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    download.file(address, target, SHA256)
    assert lying(target) == {"rows.json": BODY}


def test_the_environments_proxy_is_taken(serve, target, monkeypatch):
    monkeypatch.delenv("no_proxy")
    proxy, _ = serve(lambda to, start: (asked.append(to.path), RANGED(to, start)))
    asked = []
    monkeypatch.setenv("http_proxy", proxy.removesuffix("/rows.json"))
    download.file("http://mirror.example/rows.json", target, SHA256)
    assert (lying(target), asked) == ({"rows.json": BODY}, ["http://mirror.example/rows.json"])


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_named(target, monkeypatch, proxy):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", proxy)
    assert refusal("http://mirror.example/rows.json", target).startswith(
        "the proxy that the environment names cannot be used: "
    )


def test_a_socks_proxy_for_everything_does_not_stand_in_the_way(serve, target, monkeypatch):
    """httpx alone takes ALL_PROXY, and fails for want of a SOCKS library; urllib never did."""
    address, _ = serve(RANGED)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    download.file(address, target, SHA256)
    assert lying(target) == {"rows.json": BODY}


def test_a_mirror_on_a_disk_is_copied(tmp_path, target):
    (tmp_path / "a mirror").mkdir()
    (tmp_path / "a mirror" / "rows.json").write_bytes(BODY)
    download.file((tmp_path / "a mirror" / "rows.json").as_uri(), target, SHA256)
    assert lying(target) == {"rows.json": BODY}
    assert "No such file or directory" in refusal((tmp_path / "none.json").as_uri(), target.with_name("other"))


def test_progress_is_said_by_the_megabyte(target, capsys, monkeypatch):
    """Not by the network's pieces, which are many."""
    answer = SimpleNamespace(headers={"Content-Length": str(3 * download.MB)}, iter_raw=lambda: [b"x" * 1024] * 3072)
    download.receive(answer, target, 0, "rows.json")
    assert [line.partition(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "fetching rows.json (MB): 1/3 (33 %)",
        "fetching rows.json (MB): 3/3 (100 %)",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="two users need root")
def test_a_shared_caches_lock_is_for_all_users(tmp_path):
    """What the first user left must not shut the second one out."""
    with files.alone(tmp_path / "model"):
        pass
    assert oct((tmp_path / ".model.lock").stat().st_mode)[-3:] == "666"


OTHER_PROCESS = """
import sys
from pathlib import Path
from hft import files
with files.alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
    Path(sys.argv[1]).write_text("made")
"""


def test_another_process_is_waited_for_and_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.01)
    path = tmp_path / "made"
    command = [sys.executable, "-c", OTHER_PROCESS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout.readline() == "held\n"
        timer = threading.Timer(0.1, other.stdin.close)
        timer.start()
        with files.alone(path):
            assert path.read_text() == "made"
        timer.join()
    assert capsys.readouterr().out == f"Waiting for another process, which is making {path} ...\n"
    with files.alone(path):
        pass
    assert capsys.readouterr().out == ""
