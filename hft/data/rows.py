"""Rows from a recipe's sources to samples: renamed, in their prompt format, drawn from a mixture.

Nothing is dropped without being counted.
"""

import hashlib
from typing import Any, NamedTuple

from hft.data import formats, sources
from hft.data.sources import mixture
from hft.data.tokens import Tokens
from hft.errors import HftError
from hft.recipe.file import Loaded

Counts = dict[str, int]  # rows read, dropped by each filter (below 0), kept


class Sample(NamedTuple):
    """One row, ready to train on or to ask."""

    id: str
    row: dict  # as the source gave it
    prompt: str | formats.Messages
    answers: list[str]  # the right ones; the first is trained on
    encoded: Tokens | None  # None until a tokenizer is at hand
    format: str | None = None  # of its source, where that is not the recipe's
    instruction: str | None = None  # of its source, where that is not the recipe's
    cut: bool = False  # its passage was too long to be asked whole

    @property
    def tokens(self) -> Tokens:
        """The row as the model reads it."""
        assert self.encoded is not None, "this sample was prepared without a tokenizer"
        return self.encoded


class Read(NamedTuple):
    """Both sides as their sources give them, without empty rows; not yet tokenised, sampled or split.

    What is trained on has no row twice; what is asked has all of its file's, as its official score counts them.
    """

    train: list[Sample]
    evaluate: list[Sample]
    counts: dict[str, Counts]


def read(loaded: Loaded) -> Read:
    """Read the recipe's sources; needs no tokenizer and no model. Raises HftError with file, row and field."""
    counts: dict[str, Counts] = {}
    wanted = loaded.recipe.data
    train = read_side(loaded, wanted.train, "train", counts)
    return Read(train, read_side(loaded, wanted.evaluate, "evaluate", counts) if wanted.evaluate else [], counts)


def describe(counts: Counts) -> str:
    """`read 10, empty -2, kept 8`."""
    return ", ".join(f"{name} {number:+,}" if number < 0 else f"{name} {number:,}" for name, number in counts.items())


def read_side(loaded: Loaded, source: Any, side: str, counts: dict[str, Counts]) -> list[Sample]:
    """The samples of one side, `train` or `evaluate`.

    `counts[side]` says how many rows were read and what was dropped, for each part of a mixture too.
    """
    if source.source != "mixture":
        return read_source(loaded, source, side, side, counts)
    seed, drawn = loaded.recipe.train.seed, []
    for number, part in enumerate(source.parts, 1):
        name = f"{side} part {number}"
        samples = read_source(loaded, part, side, name, counts, number - 1)
        drawn.append(sample(samples, part.sample, seed, counts[name]))
    if empty := [number for number, samples in enumerate(drawn, 1) if not samples]:
        raise HftError(
            f"part {empty[0]} of the mixture ({sources.locate(source.parts[empty[0] - 1])}) has no row: "
            f"{describe(counts[f'{side} part {empty[0]}'])}",
            f"look at data.{side}.parts.{empty[0] - 1}, or leave it out",
        )
    sizes = mixture.sizes([len(samples) for samples in drawn], source.weights)
    mixed: list[Sample] = []
    for number, (samples, size) in enumerate(zip(drawn, sizes, strict=True), 1):
        count = counts[f"{side} part {number}"]
        chosen = sample(samples, size, seed, count)
        count["kept"] = len(chosen)
        mixed += [one._replace(id=f"{number}.{one.id}", row={**one.row, "part": str(number)}) for one in chosen]
    counts[side] = {"read": len(mixed)}
    return mixed


def unmade(problem: Exception) -> str:
    """Why a format made nothing of a row."""
    if isinstance(problem, ValueError):
        return f"cannot take the row: {problem}"
    return (
        f"wants {problem.args[0]}" if isinstance(problem, KeyError) else f"fails: {type(problem).__name__}: {problem}"
    )


def remedy(problem: Exception, written: str, where: str) -> str:
    """What to type when a format made nothing of a row: `where` is the source in the recipe."""
    if ":" in written and not isinstance(problem, KeyError):
        file, _, name = written.partition(":")
        return f"mend {file}: it is called as {name}(row, instruction) and returns (prompt, answer)"
    if isinstance(problem, ValueError):
        return "mend the row, or leave it out"
    named = str(problem.args[0]).split("'") if isinstance(problem, KeyError) else []
    wanted = named[1] if len(named) > 1 else "answer"
    return f"map the column in the recipe: {where}.columns: {{{wanted}: YOUR_COLUMN}}; or choose another format"


def read_source(
    loaded: Loaded, source: Any, side: str, name: str, counts: dict[str, Counts], part: int | None = None
) -> list[Sample]:
    """The samples of one source; `counts[name]` says how many rows were read and what was dropped.

    `part` is the source's place in a mixture, from 0. Raises HftError with source and row where the format makes
    nothing of it.
    """
    count = counts[name] = {"read": 0}
    written = source.format or loaded.recipe.prompt.format
    instruction = source.instruction or loaded.recipe.prompt.instruction
    form = formats.form(written, loaded.code)
    kept: list[Sample] = []
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(sources.rows(source, loaded.path.parent), 1):
        count["read"] += 1
        row = {**row, **rename(row, source, side, number)}
        try:
            prompt, answer = form(row, instruction)
        except Exception as problem:  # the recipe's own function may raise anything
            raise HftError(
                f"{sources.locate(source)}, row {number}: the format '{written}' " + unmade(problem),
                remedy(problem, written, f"data.{side}" + (f".parts.{part}" if part is not None else "")),
            ) from None
        if not isinstance(prompt, str | list) or not isinstance(answer, str):
            raise HftError(
                f"{sources.locate(source)}, row {number}: the format '{written}' gave {type(prompt).__name__} and "
                f"{type(answer).__name__}",
                "a format returns (prompt, answer), two texts",
            )
        if not prompt or not answer.strip() or (":" in written and formats.blank(form, row, instruction, prompt)):
            count["empty"] = count.get("empty", 0) - 1
            continue
        key = (str(prompt), answer)
        if key in seen and side == "train":
            count["duplicate"] = count.get("duplicate", 0) - 1
            continue
        seen.add(key)
        given = row.get("answers")
        answers = [answer, *(str(a) for a in given if a != answer)] if isinstance(given, list) else [answer]
        own = row.get("id")
        name_of_row = str(number if own is None else own)
        kept.append(Sample(name_of_row, row, prompt, answers, None, source.format, source.instruction))
    return kept


def rename(row: dict, source: Any, side: str, number: int) -> dict:
    """The columns that the recipe maps. Raises HftError with the row's own columns when one is missing."""
    for name in source.columns.values():
        if name not in row:
            raise HftError(
                f"{sources.locate(source)}, row {number}: no column '{name}'; it has: {', '.join(map(str, row))}",
                f"mend data.{side}.columns in the recipe",
            )
    return {wanted: row[name] for wanted, name in source.columns.items()}


def sample(samples: list[Sample], wanted: int | None, seed: int, count: Counts) -> list[Sample]:
    """A seeded sample in the rows' own order; `count` says how many are left out.

    The rows whose hashed id comes first, so that a filter before it does not reshuffle it.
    """
    if wanted is None or wanted >= len(samples):
        return samples
    ranks = {i: hashlib.sha256(f"{seed} {one.id}".encode()).digest() for i, one in enumerate(samples)}
    chosen = sorted(sorted(ranks, key=lambda place: ranks[place])[:wanted])
    count["not sampled"] = count.get("not sampled", 0) + wanted - len(samples)
    return [samples[i] for i in chosen]
