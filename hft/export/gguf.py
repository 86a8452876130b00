"""GGUF files: made from a merged folder with llama.cpp, checked against the tokenizer, asked by llama.cpp itself."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hft import machine, terminal
from hft.data.tokens import Tokens
from hft.errors import HftError
from hft.export import llamacpp

SLOTS = 4  # questions that the server answers at once
START = 600  # seconds that the server may take to read a file
MISREAD = "llama.cpp reads this tokenizer differently: do not use the file; report this model"
ORDINARY = 1  # gguf's token type for text that may be cut
# What llama.cpp must cut as the model's own tokenizer does, whatever the recipe asks: two languages, numbers, code.
PROBES = (
    "The 3 quick-brown foxes didn't jump 1,234.50 times!",
    "대한민국의 수도는 서울이다. 인구는 약 941만 명(2023년)이다.",
    "Question: 누가 'Hello, world!'라고 했나?\nAnswer: 레나\n\n",
    "def f(x):\n    return x ** 2  # café, 10 °C",
)
# Plain HTTP to this machine: no proxy, no certificates.
LOOPBACK: dict[str, Any] = {"trust_env": False, "verify": False}


def convert(merged: Path, target: Path) -> None:
    """Write the merged folder as a 16-bit GGUF (bfloat16, as the folder holds it)."""
    by_script("convert_hf_to_gguf.py", [str(merged), "--outtype", "bf16"], "converting to GGUF", target)


def convert_adapter(adapter: Path, base: Path, target: Path) -> None:
    """Write the adapter alone as a GGUF (float32, as it is kept) for llama.cpp's --lora.

    base: the folder of the model that it was trained on
    """
    by_script(
        "convert_lora_to_gguf.py",
        [str(adapter), "--base", str(base), "--outtype", "f32"],
        "converting the adapter to GGUF",
        target,
    )


def by_script(script: str, words: list[str], what: str, target: Path) -> None:
    """Run one of llama.cpp's converters; `target` appears when it is whole."""
    source = llamacpp.home() / "source"
    environment = {**os.environ, "PYTHONPATH": str(source / "gguf-py"), "NO_LOCAL_GGUF": ""}
    draft = target.with_name(f".{target.name}.tmp")
    llamacpp.run(
        [sys.executable, str(source / script), *words, "--outfile", str(draft)],
        what,
        "llama.cpp may not know this architecture yet; the message above names it",
        environment,
        draft,
    )
    draft.replace(target)


def quantize(source: Path, target: Path, kind: str) -> None:
    """Write `source` with the weights in llama-quantize's type `kind`."""
    draft = target.with_name(f".{target.name}.tmp")
    llamacpp.run(
        [str(llamacpp.home() / "bin" / "llama-quantize"), str(source), str(draft), kind, str(machine.cores())],
        f"quantising to {kind}",
        "read the message above",
        draft=draft,
    )
    draft.replace(target)


def check_tokenizer(path: Path, tokenizer: Any) -> None:
    """Raise HftError when the file's tokenizer is not this one, that of the model before anything was made of it.

    Compared are vocabulary, added tokens, end token and chat template, and how llama.cpp itself cuts PROBES.
    """
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    eos = fields["tokenizer.ggml.eos_token_id"].contents() if "tokenizer.ggml.eos_token_id" in fields else None
    template = fields["tokenizer.chat_template"].contents() if "tokenizer.chat_template" in fields else None
    fix = "the model would not stop, or answer in another form than it was trained in: report this model"
    if eos != tokenizer.eos_token_id:
        raise HftError(f"{path.name}: its end token is {eos}, the tokenizer's is {tokenizer.eos_token_id}", fix)
    if (template or "") != (tokenizer.chat_template or ""):
        raise HftError(f"{path.name}: its chat template is not the tokenizer's", fix)
    kinds = fields["tokenizer.ggml.token_type"].contents()
    if wrong := other_token(fields["tokenizer.ggml.tokens"].contents(), kinds, tokenizer):
        raise HftError(f"{path.name}: {wrong}", MISREAD)
    with server(path, SLOTS * 64, None) as address:
        for text in PROBES:
            check_cut(address, path, Tokens(text, "", tokenizer(text)["input_ids"], []), chat=False)


def other_token(tokens: list[str], kinds: list[int], tokenizer: Any) -> str | None:
    """The first token of the tokenizer that a file's vocabulary has not, or has as ordinary text; None where all are
    there.
    """
    added = tokenizer.get_added_vocab()
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        there = tokens[number] if number < len(tokens) else None
        # The converter writes the texts of added tokens with plain spaces.
        if there != token and (token not in added or there is None or plain(there) != plain(token)):
            return f"its token {number} is {there!r}, the tokenizer's is {token!r}"
        if token in added and kinds[number] == ORDINARY:
            return f"its token {number}, {token!r}, is ordinary text, which the tokenizer never cuts"
    return None


def plain(token: str) -> str:
    """A token's text without the spaces around it, also where SentencePiece's sign stands for them."""
    return token.replace("▁", " ").strip()


def ask(
    path: Path,
    prompts: list[Tokens],
    chats: list[bool],
    max_new_tokens: int,
    max_tokens: int,
    adapter: Path | None = None,
) -> list[str]:
    """Answer every prompt greedily with llama-server, with an adapter where one is given.

    chats: True for a prompt made by a chat template, whose first token is part of its text
    max_new_tokens, max_tokens: tokens of an answer, and of a prompt with its answer
    Returns the texts without outer white space. Raises HftError when the file does not run, or cuts the prompts into
    other tokens than those it was trained on.
    """
    context = SLOTS * (max_tokens + max_new_tokens + 8)

    def answer(address: str, tokens: Tokens) -> str:
        body = {"prompt": tokens.prompt_ids, "n_predict": max_new_tokens, "temperature": 0.0, "cache_prompt": False}
        return post(address, "completion", body)["content"].strip()

    answers: list[str] = []
    with (
        server(path, context, adapter) as address,
        terminal.bar(f"asking {(adapter or path).name}", len(prompts)) as shown,
        ThreadPoolExecutor(SLOTS) as pool,
    ):
        for tokens, chat in list(zip(prompts, chats, strict=True))[:20]:
            check_cut(address, path, tokens, chat)
        for text in pool.map(answer, [address] * len(prompts), prompts):
            answers.append(text)
            shown.advance(len(answers))
    return answers


def check_cut(address: str, path: Path, tokens: Tokens, chat: bool) -> None:
    """Raise HftError when the server cuts a prompt into other tokens than the training did."""
    asked = {"content": tokens.prompt, "add_special": not chat, "parse_special": True}
    seen = post(address, "tokenize", asked)["tokens"]
    if seen != tokens.prompt_ids:
        pairs = zip(seen, tokens.prompt_ids, strict=False)
        same = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(seen), len(tokens.prompt_ids)))
        raise HftError(
            f"{path.name} cuts a prompt into other tokens than the training did, from token {same} on: "
            f"{seen[same : same + 8]} not {tokens.prompt_ids[same : same + 8]}",
            MISREAD,
        )


@contextmanager
def server(path: Path, context: int, adapter: Path | None = None) -> Iterator[str]:
    """Run llama-server on a free port of this machine's loopback; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(llamacpp.home() / "bin" / "llama-server")
    command = [program, "--model", str(path), "--host", "127.0.0.1", "--port", str(port), "--ctx-size", str(context)]
    command += ["--parallel", str(SLOTS), "--threads", str(machine.cores()), "--no-webui", "--log-disable"]
    command += ["--lora", str(adapter)] if adapter else []
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait(process, f"http://127.0.0.1:{port}", path, output)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def wait(process: subprocess.Popen, address: str, path: Path, output: IO[bytes]) -> None:
    """Return when the server is ready; a large file takes minutes to read. Raises HftError when it ends before."""
    import httpx

    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(f"{address}/health", timeout=5, **LOOPBACK).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.2)
    output.seek(0)
    raise HftError(
        f"llama.cpp cannot run {path.name}:\n{output.read().decode(errors='replace')[-1500:].strip()}",
        "the file is unusable; the message above says why",
    )


def post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The server's answer to one request. Raises HftError."""
    import httpx

    detail = ""
    try:
        answer = httpx.post(f"{address}/{path}", json=body, timeout=600, **LOOPBACK)
        if answer.is_success:
            return answer.json()
        problem = f"HTTP Error {answer.status_code}: {answer.reason_phrase}"
        detail = answer.text[:300]
    except httpx.HTTPError as broken:
        problem = str(broken)
    raise HftError(
        f"llama-server did not answer /{path}: {problem} {detail}".strip(),
        "the file aborts at run time: do not use it",
    )
