"""The talk with llama-server, without llama.cpp: a double start token is avoided, a wrong tokenizer is refused."""

import contextlib
import io
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hft.data.tokens import Tokens
from hft.errors import HftError
from hft.export import gguf

START = 60  # the token "<" that this server puts in front of texts, as models with a start token do


@pytest.fixture
def server(monkeypatch):
    """A server that cuts text into characters and answers with the prompt in capitals."""

    @contextlib.contextmanager
    def run(path, context, adapter):
        yield "address"

    def post(address, path, body):
        if path == "tokenize":
            return {"tokens": [START] * body["add_special"] + [ord(c) for c in body["content"]]}
        return {"content": f" {''.join(map(chr, body['prompt'])).upper()}\n"}

    monkeypatch.setattr(gguf, "server", run)
    monkeypatch.setattr(gguf, "post", post)


def tokens(text, ids=None):
    return Tokens(text, " x", ids or [ord(c) for c in text], [1])


def test_answers_come_in_order_without_outer_spaces(server, tmp_path):
    texts = [tokens(word, [START, *map(ord, word)]) for word in ("one", "two")]
    assert gguf.ask(tmp_path / "m.gguf", texts, [False] * 2, 4, 16) == ["<ONE", "<TWO"]


def test_a_chat_brings_its_own_start_token(server, tmp_path):
    assert gguf.ask(tmp_path / "m.gguf", [tokens("<one")], [True], 4, 16) == ["<ONE"]


def test_other_tokens_than_in_training_are_refused(server, tmp_path):
    with pytest.raises(
        HftError, match=r"m\.gguf cuts a prompt into other tokens .*: \[60, 111, 110, 101\] not \[9, 9\]"
    ):
        gguf.ask(tmp_path / "m.gguf", [tokens("one", [9, 9])], [False], 4, 16)


@pytest.fixture
def loopback(monkeypatch):
    """loopback([(status, body), ...]) starts a server that answers in this order; returns its address."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # must not be taken
    running = []

    def start(answers):
        class Handler(BaseHTTPRequestHandler):
            log_message = print

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

        running.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{running[-1].server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_the_server_is_asked_when_it_is_ready(loopback, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf.time, "sleep", lambda seconds: None)
    address = loopback([(503, b"loading"), (200, b"ok"), (200, json.dumps({"content": "한"}).encode())])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        gguf.wait(process, address, tmp_path / "m.gguf", io.BytesIO())
        process.kill()
    assert gguf.post(address, "completion", {}) == {"content": "한"}


def test_a_server_that_ends_says_why(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        with pytest.raises(HftError, match=r"llama.cpp cannot run m\.gguf:\nno such tensor\n"):
            gguf.wait(process, "http://127.0.0.1:1", tmp_path / "m.gguf", io.BytesIO(b"no such tensor\n"))


def test_an_answer_that_is_none_is_explained(loopback):
    address = loopback([(500, b"too long")])
    with pytest.raises(HftError) as error:
        gguf.post(address, "completion", {})
    assert error.value.problem == (
        "llama-server did not answer /completion: HTTP Error 500: Internal Server Error too long"
    )
    with pytest.raises(HftError, match=r"did not answer /tokenize: \[Errno 111\] Connection refused\n"):
        gguf.post("http://127.0.0.1:1", "tokenize", {})
