"""The talk with llama-server, without llama.cpp: a double start token is avoided, a wrong tokenizer is refused."""

import contextlib

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
