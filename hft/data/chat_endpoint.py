"""Any OpenAI-compatible server, given by address: vLLM's, llama.cpp's, or one on the net."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hft import download
from hft.errors import HftError

KEY = "OPENAI_API_KEY"
SECONDS = 600  # without a byte: an answer comes as a whole, and may have waited for others
ROOM = "lower --max-tokens, or start the server with a longer context (vLLM: --max-model-len)"

Ask = Callable[..., str]  # ask(messages, sample=1)


class TooLong(HftError):
    """The server has no room for a conversation and its answer."""


@contextmanager
def connect(
    address: str, model: str, temperature: float, max_tokens: int, seed: int, at_once: int = 1
) -> Iterator[Ask]:
    """`ask(messages, sample=1)`: the answer to a conversation, from any thread; another sample has another seed.

    at_once: connections, which are kept from one answer to the next
    """
    import httpx

    told = {"model": model, "temperature": temperature, "max_tokens": max_tokens}
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    # No redirect is followed: to another host it would take the key along.
    with download.client(address, timeout=SECONDS, limits=limits) as web:
        yield lambda messages, sample=1: chat(web, address, {**told, "messages": messages, "seed": seed + sample - 1})


def chat(web: Any, address: str, body: dict[str, Any]) -> str:
    """The answer to a conversation; a busy or broken server is asked again.

    A key, where the server wants one, comes from OPENAI_API_KEY and reaches nothing but the request. Raises TooLong,
    HftError when the server refuses, and in the end when it does not answer.
    """
    try:
        return download.retry(lambda: answer(web, address, body))
    except download.Passing as problem:
        raise HftError(
            f"{address} does not answer ({problem}), asked {download.TRIES} times",
            "start the server, then type the same again: it goes on",
        ) from None


def answer(web: Any, address: str, body: dict[str, Any]) -> str:
    """One try. Raises download.Passing for what another one may mend, TooLong and HftError."""
    import httpx

    key = os.environ.get(KEY)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        response = web.post(f"{address.rstrip('/')}/chat/completions", content=json.dumps(body), headers=headers)
        if response.is_success:
            return response.json()["choices"][0]["message"]["content"] or ""
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError, IndexError, TypeError) as problem:
        raise download.Passing(f"{type(problem).__name__}: {problem}") from None
    status = response.status_code
    said = response.content.decode(errors="replace")
    reason = f"{status}: {said[:300]}"
    if download.busy(status):
        raise download.Passing(reason)
    if status in (401, 403):
        raise HftError(f"{address} refuses the request ({status})", f"put its key into {KEY}")
    # vLLM: "the model's context length is only ..."; llama.cpp: "exceeds the available context size"; OpenAI:
    # "context_length_exceeded". No other refusal of theirs speaks of a context.
    if status == 400 and "context" in said:
        raise TooLong(
            f"{address} has no room for the question and {body['max_tokens']} tokens of answer ({reason})",
            ROOM,
        )
    raise HftError(f"{address} refuses the request ({reason})", "check --endpoint (it ends in /v1) and --model")
