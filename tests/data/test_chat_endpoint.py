"""The talk with an OpenAI-compatible server: the key stays with its host, what passes is asked again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hft import download
from hft.data import chat_endpoint
from hft.errors import HftError

GOOD = json.dumps({"choices": [{"message": {"content": "34"}}]})


@pytest.fixture
def serve(monkeypatch):
    """serve([(status, body, headers), ...]) starts a server that answers in this order; returns (address, seen)."""
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ForTestsOnly")
    running = []

    def start(answers):
        seen = []

        class Handler(BaseHTTPRequestHandler):
            log_message = print

            def do_POST(self):
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.append((self.path, self.headers["Authorization"], told))
                status, body, headers = answers[min(len(seen), len(answers)) - 1]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{running[-1].server_port}/v1", seen

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def ask(address, sample=1):
    with chat_endpoint.connect(address, "m", 0.5, 8, 7, at_once=2) as talk:
        return talk([{"role": "user", "content": "17 + 17?"}], sample)


def test_what_is_asked_and_what_comes_back(serve):
    address, seen = serve([(200, GOOD, {})])
    assert ask(address + "/") == "34"
    body = {"model": "m", "messages": [{"role": "user", "content": "17 + 17?"}], "temperature": 0.5, "max_tokens": 8}
    assert seen == [("/v1/chat/completions", "Bearer sk-ForTestsOnly", {**body, "seed": 7})]
    ask(address, sample=3)
    assert seen[1][2]["seed"] == 9


def test_without_a_key_none_is_sent(serve, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    address, seen = serve([(200, GOOD, {})])
    ask(address)
    assert [key for _, key, _ in seen] == [None]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_takes_the_key_nowhere(serve, status):
    there, seen = serve([(200, GOOD, {})])
    address, _ = serve([(status, "", {"Location": f"{there}/chat/completions"})])
    with pytest.raises(HftError, match=rf"refuses the request \({status}: \)\n  Fix: check --endpoint"):
        ask(address)
    assert seen == []


@pytest.mark.parametrize(
    "first",
    [(429, "", {}), (503, "", {}), (200, "half {", {}), (200, "{}", {}), (200, "[]", {}), (200, '{"choices": []}', {})],
)
def test_what_passes_is_asked_again(serve, first):
    address, seen = serve([first, (200, GOOD, {})])
    assert (ask(address), len(seen)) == ("34", 2)


@pytest.mark.parametrize(
    ("status", "body", "times", "said"),
    [
        (401, "no", 1, "refuses the request (401)\n  Fix: put its key into OPENAI_API_KEY"),
        (400, "temperature must be", 1, "refuses the request (400: temperature must be)\n  Fix: check --endpoint"),
        (404, "no such model", 1, "refuses the request (404: no such model)\n  Fix: check --endpoint (it ends in /v1)"),
        (500, "x" * 400, 4, f"does not answer (500: {'x' * 300}), asked 4 times\n  Fix: start the server, then type"),
        (200, "{}", 4, "does not answer (KeyError: 'choices'), asked 4 times\n  Fix: start the server, then type"),
    ],
)
def test_a_refusal_is_explained(serve, status, body, times, said):
    address, seen = serve([(status, body, {})])
    with pytest.raises(HftError) as error:
        ask(address)
    assert error.value.message.startswith(f"{address} {said}")
    assert len(seen) == times


@pytest.mark.parametrize(
    "body",
    [
        "You passed 900 input tokens. However, the model's context length is only 512 tokens, resulting in a maximum",
        "This model's maximum context length is 512 tokens. However, you requested 908 tokens",
        '{"error": {"code": 400, "type": "exceed_context_size_error"}}',
        '{"error": {"code": "context_length_exceeded"}}',
    ],
)
def test_a_conversation_without_room_is_told_from_other_refusals(serve, body):
    address, seen = serve([(400, body, {})])
    with pytest.raises(chat_endpoint.TooLong) as error:
        ask(address)
    assert error.value.message == (
        f"{address} has no room for the question and 8 tokens of answer (400: {body})\n  Fix: lower --max-tokens, "
        "or start the server with a longer context (vLLM: --max-model-len)"
    )
    assert len(seen) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/v1", "localhost", "http://[/v1"])
def test_a_server_that_is_not_there_is_named(serve, address):
    with pytest.raises(HftError) as error:
        ask(address)
    assert error.value.message.startswith(f"{address} does not answer (")
