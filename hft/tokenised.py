"""Tokenised rows, kept between runs in a private folder: the same texts, tokenizer and code are not tokenised again."""

import hashlib
import inspect
import json
import os
from pathlib import Path

from hft import files, progress, prompts
from hft.prompts import Messages, Tokens

FEW = 2000  # so many are tokenised in a second or three: not kept
MOST = 8  # files that are kept, the ones used last


def encode(pairs: list[tuple[str | Messages, str]], tokenizer, what: str) -> list[Tokens]:
    """Tokens of (prompt, answer) pairs, from the cache where it has them."""
    place = folder() / f"{key(pairs, tokenizer)}.parquet" if len(pairs) > FEW and hasattr(tokenizer, "backend_tokenizer") else None
    if place and (found := read(place)):
        return found
    made = []
    with progress.bar(f"tokenising {what} rows", len(pairs)) if len(pairs) > FEW else progress.silent() as shown:
        for number, (prompt, answer) in enumerate(pairs, 1):
            made.append(prompts.encode(prompt, answer, tokenizer))
            shown.advance(number)
    if place:
        keep(place, made)
    return made


def folder() -> Path:
    """Each user's own: the rows may not be for everyone's eyes."""
    found = files.cache() / f"tokenised-{os.getuid()}"
    found.mkdir(parents=True, exist_ok=True, mode=0o700)
    return found


def key(pairs: list[tuple[str | Messages, str]], tokenizer) -> str:
    """A digest of all that the tokens depend on: tokenizer, the code that renders rows, the rows."""
    seen = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    seen.update(json.dumps([tokenizer.chat_template, tokenizer.eos_token_id, inspect.getsource(prompts)]).encode())
    for pair in pairs:
        seen.update(json.dumps(pair).encode())
    return seen.hexdigest()


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

    with files.draft(place) as draft:
        parquet.write_table(pyarrow.table({name: [getattr(one, name) for one in made] for name in Tokens._fields}), draft)
    for old in sorted(place.parent.glob("*.parquet"), key=lambda path: path.stat().st_mtime)[:-MOST]:
        old.unlink(missing_ok=True)
