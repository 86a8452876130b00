"""`hft prepare`: look at a recipe's rows before training, or write those of its source to a file."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from hft import files, terminal
from hft.data import prepare, rows, sources
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.recipe.sources import parts
from hft.terminal import say


def preview(loaded: Loaded, count: int) -> str:
    """Counts after each filter, lengths, overlap, and rows with the trained part marked."""
    from hft import libraries
    from hft.model import base as models

    given = rows.read(loaded)
    libraries.quiet()
    tokenizer = models.tokenizer(models.resolve(recipe_file.origin(loaded)))
    prepared = prepare.prepare(loaded, given, tokenizer)
    said = [
        f"{name}: {rows.describe(facts)}"
        for name, facts in prepared.counts.items()
        if name not in ("train", "evaluate")
    ]
    for side, samples in (("train", prepared.train), ("evaluate", prepared.evaluate)):
        if samples:
            lengths = sorted(len(s.tokens.prompt_ids) + len(s.tokens.completion_ids) for s in samples)
            said.append(
                f"{side}: {rows.describe(prepared.counts[side])}; tokens a row: median {lengths[len(lengths) // 2]}, "
                f"longest {lengths[-1]} (at most {loaded.recipe.model.max_tokens})"
            )
    if prepared.evaluate:
        said.append(f"overlap: {prepared.overlap.describe()}")
    marked = "the right answer" if loaded.recipe.method == "grpo" else "the part that is trained"
    for one in prepared.train[:count]:
        trained = tokenizer.decode(one.tokens.completion_ids)
        said.append(
            f"--- row {one.id}, {len(one.tokens.prompt_ids)} + {len(one.tokens.completion_ids)} tokens; "
            f"{marked} stands between >>> and <<<\n{tokenizer.decode(one.tokens.prompt_ids)}>>>{trained}<<<"
        )
    return "\n".join(said)


def write(loaded: Loaded, target: Path) -> None:
    """Write the rows of the training source as .csv or .jsonl, one at a time, as the source gives them: training drops, this does not.

    Needs neither tokenizer nor model. Raises HftError for another kind of file, and where the rows have no common columns.
    """
    writer = {".csv": write_csv, ".jsonl": write_jsonl}.get(target.suffix)
    if writer is None:
        raise HftError(f"--out {target}: write .csv or .jsonl", "for example: --out pairs.csv")
    if not target.absolute().parent.is_dir():
        raise HftError(f"--out {target}: there is no folder {target.parent}", f"mkdir -p {target.parent}")
    with (
        files.draft(target) as draft,
        draft.open("w", encoding="utf-8", newline="") as out,
        terminal.bar("rows", 0) as shown,
    ):
        count = 0

        def counted():
            nonlocal count
            for source in parts(loaded.recipe.data.train):
                for row in sources.rows(source, loaded.path.parent):
                    count += 1
                    if count % 1000 == 0:
                        shown.advance(count)
                    yield row

        writer(counted(), out)
    say(f"{target}: {count:,} rows, {target.stat().st_size / 1e6:,.1f} MB")


def write_jsonl(lines: Iterator[dict], out) -> None:
    for row in lines:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_csv(lines: Iterator[dict], out) -> None:
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
