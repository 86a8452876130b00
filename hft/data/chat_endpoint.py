"""Any OpenAI-compatible server, given by address: vLLM's, llama.cpp's, or one on the net."""

import json
import os
from typing import Any

from hft import download
from hft.errors import HftError

KEY = "OPENAI_API_KEY"


def chat(address: str, model: str, messages: list[dict], temperature: float, max_tokens: int, seed: int) -> str:
    """The answer to a conversation; a busy or broken server is asked again.

    A key, where the server wants one, comes from OPENAI_API_KEY and reaches nothing but the request. Raises HftError
    when the server refuses, and in the end when it does not answer.
    """
    body = {"model": model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    # No redirect is followed: to another host it would take the key along.
    with download.client(address, timeout=600) as web:
        try:
            return download.retry(lambda: answer(web, address, body))
        except download.Passing as problem:
            raise HftError(
                f"{address} does not answer ({problem}), asked {download.TRIES} times",
                "start the server, then type the same again: it goes on",
            ) from None


def answer(web: Any, address: str, body: dict[str, Any]) -> str:
    """One try. Raises download.Passing for what another one may mend, and HftError."""
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
    reason = f"{status}: {response.content[:300].decode(errors='replace')}"
    if download.busy(status):
        raise download.Passing(reason)
    if status in (401, 403):
        raise HftError(f"{address} refuses the request ({status})", f"put its key into {KEY}")
    raise HftError(f"{address} refuses the request ({reason})", "check --endpoint (it ends in /v1) and --model")
