"""The talk with llama-server, without llama.cpp: a double start token is avoided, a wrong tokenizer is refused."""

import contextlib

import pytest

from hft import gguf
from hft.errors import HftError
from hft.prompts import Tokens


@pytest.fixture
def server(monkeypatch):
    """A server that cuts text into characters and answers with the prompt in capitals."""
    @contextlib.contextmanager
    def run(path, context):
        yield "address"

    def post(address, path, body):
        return {"tokens": [ord(c) for c in body["content"]]} if path == "tokenize" else {"content": f" {body['prompt'].upper()}\n"}

    monkeypatch.setattr(gguf, "server", run)
    monkeypatch.setattr(gguf, "post", post)


def tokens(text, ids=None):
    return Tokens(text, " x", ids or [ord(c) for c in text], [1])


def test_answers_come_in_order_without_outer_spaces(server, tmp_path):
    assert gguf.ask(tmp_path / "m.gguf", [tokens("one"), tokens("two")], None, 4, 16) == ["ONE", "TWO"]


def test_the_start_token_is_not_sent_twice(server, tmp_path):
    assert gguf.ask(tmp_path / "m.gguf", [tokens("<s>one", [ord(c) for c in "one"])], "<s>", 4, 16) == ["ONE"]


def test_other_tokens_than_in_training_are_refused(server, tmp_path):
    with pytest.raises(HftError, match=r"m\.gguf cuts a prompt into other tokens than the training did: \[111, 110, 101\] not \[9, 9\]"):
        gguf.ask(tmp_path / "m.gguf", [tokens("one", [9, 9])], None, 4, 16)
