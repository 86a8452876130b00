"""`hft prepare`: look at a recipe's rows before training, or write those of its source to a file."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from hft import files, terminal
from hft.data import prepare, rows, sources
from hft.data.tokens import Tokens
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.terminal import say


def preview(loaded: Loaded, given: rows.Read, tokenizer: Any, count: int) -> str:
    """Counts after each filter, lengths, overlap, and `count` rows with the trained part marked."""
    prepared = prepare.prepare(loaded, given, tokenizer)
    counts, limit = prepared.counts, loaded.recipe.model.max_tokens
    paragraphs = [f"{name}: {rows.describe(counts[name])}" for name in counts if name not in ("train", "evaluate")]
    for side, samples in (("train", prepared.train), ("evaluate", prepared.evaluate)):
        if samples:
            lengths = sorted(sample.tokens.length for sample in samples)
            paragraphs.append(
                f"{side}: {rows.describe(counts[side])}; tokens a row: median {lengths[len(lengths) // 2]}, "
                f"longest {lengths[-1]} (at most {limit})"
            )
    if prepared.evaluate:
        paragraphs.append(f"overlap: {prepared.overlap.describe()}")
    trained = "the right answer" if loaded.recipe.method == "grpo" else "the part that is trained"
    for sample in prepared.train[:count]:
        paragraphs.append(f"--- row {sample.id}, {marked(sample.tokens, tokenizer, trained)}")
    return "\n".join(paragraphs)


def marked(tokens: Tokens, tokenizer: Any, trained: str) -> str:
    """A row as the model reads it, with `trained` between marks."""
    prompt, completion = tokenizer.decode(tokens.prompt_ids), tokenizer.decode(tokens.completion_ids)
    return (
        f"{len(tokens.prompt_ids)} + {len(tokens.completion_ids)} tokens; {trained} stands between >>> and <<<\n"
        f"{prompt}>>>{completion}<<<"
    )


def write(loaded: Loaded, target: Path) -> None:
    """Write the rows of the training source as .csv or .jsonl, one at a time.

    They are as the source gives them: training drops some, this does not. Needs neither tokenizer nor model. Raises
    HftError for another kind of file, and where the rows have no common columns.
    """
    writer = {".csv": write_csv, ".jsonl": write_jsonl}.get(target.suffix)
    if writer is None:
        raise HftError(f"--out {target}: write .csv or .jsonl", "for example: --out pairs.csv")
    if not target.absolute().parent.is_dir():
        raise HftError(f"--out {target}: there is no folder {target.parent}", f"mkdir -p {target.parent}")
    count = 0
    with (
        files.draft(target) as draft,
        draft.open("w", encoding="utf-8", newline="") as out,
        terminal.bar("rows", 0) as shown,
    ):

        def counted() -> Iterator[dict]:
            nonlocal count
            for row in sources.rows(loaded.recipe.data.train, loaded.path.parent):
                count += 1
                if count % 1000 == 0:
                    shown.advance(count)
                yield row

        writer(counted(), out)
    say(f"{target}: {count:,} rows, {target.stat().st_size / 1e6:,.1f} MB")


def write_jsonl(lines: Iterator[dict], out: TextIO) -> None:
    """One JSON object a line."""
    for row in lines:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_csv(lines: Iterator[dict], out: TextIO) -> None:
    """A header and one line a row. Raises HftError where a row has other columns than the first one."""
    table = None
    for number, row in enumerate(lines, 1):
        if table is None:
            table = csv.DictWriter(out, list(row), lineterminator="\n")
            table.writeheader()
        if list(row) != table.fieldnames:
            raise HftError(
                f"row {number} has the columns {', '.join(row)}, the first one {', '.join(table.fieldnames)}",
                "write --out rows.jsonl instead",
            )
        table.writerow(row)
