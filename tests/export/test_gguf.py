"""The talk with llama-server, without llama.cpp: a double start token is avoided, a wrong tokenizer is refused."""

import contextlib
import io
import json
import subprocess
import sys
import threading
import unicodedata
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


TEMPLATE = "{{ messages }}"
VOCABULARY = {"</s>": 0, "한": 1, "a": 2, "<turn>": 3, "<▁>": 4}
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4


class Tokenizer:
    """The tokenizer of the model before anything was made of it; it cuts text into characters behind a start token."""

    eos_token_id, chat_template = 0, TEMPLATE

    def get_vocab(self):
        return VOCABULARY

    def get_added_vocab(self):
        return {token: VOCABULARY[token] for token in ("</s>", "<turn>", "<▁>")}

    def __call__(self, text):
        return {"input_ids": [START, *map(ord, text)]}


def write_vocabulary(path, eos=0, template=TEMPLATE, tokens=("</s>", "한", "a", "<turn>", "< >", "[PAD5]"), kinds=None):
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_eos_token_id(eos)
    writer.add_chat_template(template)
    writer.add_token_list(tokens)
    writer.add_token_types((kinds or [CONTROL, NORMAL, NORMAL, CONTROL, USER_DEFINED, 5])[: len(tokens)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_file_with_the_models_own_tokenizer_is_right(server, tmp_path):
    gguf.check_tokenizer(write_vocabulary(tmp_path / "m.gguf"), Tokenizer())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"eos": 3}, "its end token is 3, the tokenizer's is 0"),
        ({"template": "{{ other }}"}, "its chat template is not the tokenizer's"),
        ({"tokens": ("</s>", "a", "한", "<turn>", "< >")}, "its token 1 is 'a', the tokenizer's is '한'"),
        ({"tokens": ("</s>", "한", "a", "<turn>")}, "its token 4 is None, the tokenizer's is '<▁>'"),
        ({"tokens": ("</s>", "한", "a", "<end>", "< >")}, "its token 3 is '<end>', the tokenizer's is '<turn>'"),
        ({"tokens": ("</s>", "한", " a", "<turn>", "< >")}, "its token 2 is ' a', the tokenizer's is 'a'"),
        (
            {"kinds": [CONTROL, NORMAL, NORMAL, NORMAL, USER_DEFINED, 5]},
            "its token 3, '<turn>', is ordinary text, which the tokenizer never cuts",
        ),
    ],
)
def test_what_a_file_has_otherwise_than_the_original_tokenizer_is_named(server, tmp_path, written, said):
    with pytest.raises(HftError) as error:
        gguf.check_tokenizer(write_vocabulary(tmp_path / "m.gguf", **written), Tokenizer())
    assert error.value.problem == f"m.gguf: {said}"


def test_korean_that_is_cut_in_another_way_is_refused_although_the_vocabulary_is_the_same(server, tmp_path):
    class Decomposing(Tokenizer):
        def __call__(self, text):
            return super().__call__(unicodedata.normalize("NFD", text))

    with pytest.raises(HftError, match=r"tokens than the training did, from token 1 on: \[45824, .* not \[4355, "):
        gguf.check_tokenizer(write_vocabulary(tmp_path / "m.gguf"), Decomposing())


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
