"""Tokenised rows, kept between runs in a private folder: the same texts, tokenizer and code are tokenised once."""

import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from hft import files, terminal
from hft.data import chats, messages
from hft.data.formats import THINK
from hft.data.messages import Messages
from hft.errors import HftError

FEW = 2000  # so many are tokenised in a second or three: not kept
MOST = 8  # files that are kept, the ones used last
NO_THOUGHT = f"{THINK[0]}\n\n{THINK[1]}\n\n"  # as the R1 and Qwen3 models write it


class Tokens(NamedTuple):
    """A rendered example: texts, and token ids (P,) and (C,) whose concatenation is what the model is trained on."""

    prompt: str
    completion: str
    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def length(self) -> int:
        """Tokens of the whole."""
        return len(self.prompt_ids) + len(self.completion_ids)


def encode_all(
    pairs: list[tuple[str | Messages, str]],
    tokenizer: Any,
    what: str,
    prefill: str = "",
    ids: list[str] | None = None,
) -> list[Tokens]:
    """Tokens of (prompt, answer) pairs, from the cache where it has them.

    Raises HftError, with the row's id or else its place, for a conversation that the chat template cannot write.
    """
    many = len(pairs) > FEW
    place = (
        folder() / f"{key(pairs, tokenizer, prefill)}.parquet"
        if many and hasattr(tokenizer, "backend_tokenizer")
        else None
    )
    if place and (kept := read(place)):
        return kept
    made = []
    with terminal.bar(f"tokenising {what} rows", len(pairs)) if many else terminal.silent() as shown:
        for number, (prompt, answer) in enumerate(pairs, 1):
            try:
                made.append(encode(prompt, answer, tokenizer, prefill))
            except HftError as problem:
                row, (said, _, fix) = ids[number - 1] if ids else number, problem.message.partition("\n  Fix: ")
                raise HftError(f"{what} row {row}: {said}", fix) from None
            shown.advance(number)
    if place:
        keep(place, made)
    return made


def folder() -> Path:
    """Each user's own: the rows may not be for everyone's eyes."""
    own = files.cache() / f"tokenised-{os.getuid()}"
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return own


def key(pairs: list[tuple[str | Messages, str]], tokenizer: Any, prefill: str = "") -> str:
    """A digest of all that the tokens depend on: tokenizer, the code that renders rows, the rows."""
    code = [inspect.getsource(part) for part in (encode, encode_text, encode_chat, chats, messages)]
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    digest.update(json.dumps([tokenizer.chat_template, tokenizer.eos_token_id, THINK, prefill, code]).encode())
    for pair in pairs:
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()


def read(place: Path) -> list[Tokens] | None:
    """What the cache has there; None for nothing, or a damaged file."""
    from pyarrow import ArrowException, parquet

    try:
        columns = parquet.read_table(place).to_pydict()
        place.touch()
        return [Tokens(*row) for row in zip(*(columns[name] for name in Tokens._fields), strict=True)]
    except (OSError, ArrowException, KeyError):
        return None


def keep(place: Path, made: list[Tokens]) -> None:
    """Write them in one step, and let go of the files that were not used for longest."""
    import pyarrow
    from pyarrow import parquet

    table = {name: [getattr(tokens, name) for tokens in made] for name in Tokens._fields}
    with files.draft(place) as draft:
        parquet.write_table(pyarrow.table(table), draft)
    for old in sorted(place.parent.glob("*.parquet"), key=lambda path: path.stat().st_mtime)[:-MOST]:
        old.unlink(missing_ok=True)


def encode(prompt: str | Messages, answer: str, tokenizer: Any, prefill: str = "") -> Tokens:
    """Render and tokenise one example; the completion ends with the token that ends the model's turn.

    prefill: what the model's turn begins with; it stands at the end of the prompt and not in the completion.
    Raises HftError when a chat is wanted from a tokenizer without a chat template.
    """
    if isinstance(prompt, str):
        return encode_text(prompt + prefill, without(prefill, answer), tokenizer)
    return encode_chat(prompt, answer, tokenizer, prefill)


def without(prefill: str, answer: str) -> str:
    """The answer behind what it begins with already."""
    return answer.strip().removeprefix(prefill.strip()).lstrip() if prefill else answer


def encode_text(prompt: str, answer: str, tokenizer: Any) -> Tokens:
    """A text and its continuation.

    The prompt never ends in a space: the space goes in front of the answer, where the model's tokens have it.
    """
    text, completion = prompt.rstrip(), f" {answer.strip()}"
    if text != prompt and prompt.endswith("\n"):  # the prompt's own line end stands between the two
        text, completion = prompt.rstrip(" "), answer.strip()
    prompt_ids = tokenizer(text)["input_ids"]
    both = tokenizer(text + completion)["input_ids"]
    # Tokens may join over the seam; then the two parts are tokenised apart, as generation will see them.
    joined = both[: len(prompt_ids)] == prompt_ids
    completion_ids = both[len(prompt_ids) :] if joined else tokenizer(completion, add_special_tokens=False)["input_ids"]
    if completion_ids[-1:] != [tokenizer.eos_token_id]:
        completion_ids = [*completion_ids, tokenizer.eos_token_id]
    return Tokens(text, completion, prompt_ids, completion_ids)


def encode_chat(prompt: Messages, answer: str, tokenizer: Any, prefill: str = "") -> Tokens:
    """A conversation in the form of the tokenizer's chat template, and the model's turn that follows it."""
    if not tokenizer.chat_template:
        raise HftError(
            "this model's tokenizer has no chat template",
            "write prompt.format: instruction or question, or use the Instruct model",
        )
    text = chats.render(prompt, tokenizer, add_generation_prompt=True)
    begun = prefill if not text.rstrip().endswith(prefill.rstrip()) else ""
    text, answer = text + begun, without(prefill, answer.strip())
    if text.rstrip().endswith(THINK[0]):  # the reasoning has been opened already
        answer = answer.removeprefix(THINK[0]).lstrip()
        if THINK[1] not in answer:  # a row without any: it ends before it begins
            answer = NO_THOUGHT.removeprefix(text[text.rindex(THINK[0]) :]) + answer
    completion = chats.completion(prompt, text, begun, answer, tokenizer)
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (text, completion)]
    return Tokens(text, completion, *ids)
