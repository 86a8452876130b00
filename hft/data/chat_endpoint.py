"""Any OpenAI-compatible server, given by address: vLLM's, llama.cpp's, or one on the net."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request

from hft.errors import HftError

TRIES = 4
KEY = "OPENAI_API_KEY"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect to another host would take the key along: it is an error."""

    def redirect_request(self, *words):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def chat(address: str, model: str, messages: list[dict], temperature: float, max_tokens: int, seed: int) -> str:
    """The answer to a conversation. A busy or broken server is asked again; raises HftError in the end, or when it refuses.

    A key, where the server wants one, comes from OPENAI_API_KEY and reaches nothing but the request.
    """
    body = {"model": model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    headers = {
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {os.environ[KEY]}"} if os.environ.get(KEY) else {}),
    }
    request = urllib.request.Request(f"{address.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
    for attempt in range(1, TRIES + 1):
        try:
            with OPENER.open(request, timeout=600) as answer:
                return json.loads(answer.read())["choices"][0]["message"]["content"] or ""
        except urllib.error.HTTPError as problem:
            with problem:
                said = f"{problem.code}: {problem.read(300).decode(errors='replace')}"
            if problem.code in (401, 403):
                raise HftError(f"{address} refuses the request ({problem.code})", f"put its key into {KEY}") from None
            if problem.code != 429 and problem.code < 500:
                raise HftError(
                    f"{address} refuses the request ({said})", "check --endpoint (it ends in /v1) and --model"
                ) from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError) as problem:
            said = f"{type(problem).__name__}: {problem}"
        if attempt < TRIES:
            time.sleep(2**attempt)
    raise HftError(
        f"{address} does not answer ({said}), asked {TRIES} times",
        "start the server, then type the same again: it goes on",
    )
