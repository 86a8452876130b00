"""Rows from a recipe's sources to tokenised samples: filters, counts, splits. Nothing is dropped without being counted."""

import hashlib
import random
from typing import NamedTuple

from hft import data, hooks, methods, prompts, tokenised
from hft.data import mixture
from hft.errors import HftError
from hft.overlap import Overlap, measure, texts
from hft.recipe import Recipe
from hft.recipe_file import Loaded


class Sample(NamedTuple):
    """One row, ready to train on or to ask."""

    id: str
    row: dict  # as the source gave it
    prompt: str | prompts.Messages
    answers: list[str]  # the right ones; the first is trained on
    tokens: prompts.Tokens | None  # None until a tokenizer is at hand
    format: str | None = None  # of its source, where that is not the recipe's


class Prepared(NamedTuple):
    train: list[Sample]
    evaluate: list[Sample]
    counts: dict[str, dict[str, int]]  # per side: rows read, dropped by each filter, kept
    overlap: Overlap


class Read(NamedTuple):
    """Both sides as their sources give them, without empty and duplicate rows; not yet tokenised, sampled or split."""

    train: list[Sample]
    evaluate: list[Sample]
    counts: dict[str, dict[str, int]]


def read(loaded: Loaded) -> Read:
    """Read the recipe's sources; needs no tokenizer and no model. Raises HftError with file, row and field."""
    counts, wanted = {}, loaded.recipe.data
    train = read_side(loaded, wanted.train, "train", counts)
    return Read(train, read_side(loaded, wanted.evaluate, "evaluate", counts) if wanted.evaluate else [], counts)


def prepare(loaded: Loaded, given: Read, tokenizer=None) -> Prepared:
    """Filter, sample, split and compare; without a tokenizer the length filter is left out.

    Raises HftError when nothing is left, or when held-out rows are also trained on and the recipe does not say so.
    """
    recipe, counts = loaded.recipe, {side: dict(count) for side, count in given.counts.items()}
    wanted, seed, limit = recipe.data, recipe.train.seed, recipe.model.max_tokens
    train, evaluate = given.train, given.evaluate
    if tokenizer is not None:
        train = short_enough(train, recipe, tokenizer, counts["train"], "train")
        evaluate = short_enough(evaluate, recipe, tokenizer, counts.get("evaluate"), "held-out")
        if recipe.grpo and recipe.grpo.prompt_quantile:
            train = short_prompts(train, recipe.grpo.prompt_quantile, counts["train"])
    train = sample(train, wanted.train.sample, seed, counts["train"])
    if wanted.held_out:
        train, evaluate = split(train, wanted.held_out, wanted.train.group, seed)
        counts["train"]["held out"] = -len(evaluate)
        counts["evaluate"] = {"held out": len(evaluate)}
    elif wanted.evaluate:
        evaluate = sample(evaluate, wanted.evaluate.sample, seed, counts["evaluate"])
    evaluate = sample(evaluate, recipe.evaluate.rows, seed, counts.get("evaluate"))
    for side, kept in (("train", train), ("evaluate", evaluate)):
        if side in counts:
            counts[side]["kept"] = len(kept)
            if not kept:
                raise HftError(f"no {side} row is left: {describe(counts[side])}",
                               f"look at the filters (model.max_tokens = {limit}, first, sample): hft prepare {loaded.name}")
    overlap = measure([compared(s) for s in train], [compared(s) for s in evaluate])
    if overlap.leaks and not wanted.memorise:
        raise HftError(f"{loaded.name}: held-out rows are also trained on: {overlap.describe()}",
                       "choose other rows, split by a column (data.held_out, data.train.group), or say you mean it: data.memorise: true")
    return Prepared(train, evaluate, counts, overlap)


def compared(one: Sample) -> dict:
    """What is looked at for overlap: the row, or its prompt where a recipe's own format reads other columns."""
    return one.row if any(texts(one.row)) else {"question": str(one.prompt), "compare_whole": True}


def describe(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:+,}" if number < 0 else f"{name} {number:,}" for name, number in counts.items())


def read_side(loaded: Loaded, source, side: str, counts: dict) -> list[Sample]:
    """One side's samples; `counts[side]` says how many rows were read and what was dropped, for each part of a mixture too."""
    if source.source != "mixture":
        return read_source(loaded, source, side, side, counts)
    seed, drawn = loaded.recipe.train.seed, []
    for number, part in enumerate(source.parts, 1):
        name = f"{side} part {number}"
        samples = read_source(loaded, part, side, name, counts, number - 1)
        drawn.append(sample(samples, part.sample, seed, counts[name]))
    if empty := [number for number, one in enumerate(drawn, 1) if not one]:
        raise HftError(f"part {empty[0]} of the mixture ({data.locate(source.parts[empty[0] - 1])}) has no row: "
                       f"{describe(counts[f'{side} part {empty[0]}'])}", f"look at data.{side}.parts.{empty[0] - 1}, or leave it out")
    sizes = mixture.sizes([len(one) for one in drawn], source.weights)
    mixed = []
    for number, (samples, size) in enumerate(zip(drawn, sizes, strict=True), 1):
        count = counts[f"{side} part {number}"]
        chosen = sample(samples, size, seed, count)
        count["kept"] = len(chosen)
        mixed += [one._replace(id=f"{number}.{one.id}", row={**one.row, "part": str(number)}) for one in chosen]
    counts[side] = {"read": len(mixed)}
    return mixed


def unmade(problem: Exception) -> str:
    """Why a format made nothing of a row."""
    return f"wants {problem.args[0]}" if isinstance(problem, KeyError) else f"fails: {type(problem).__name__}: {problem}"


def remedy(problem: Exception, written: str, where: str) -> str:
    """What to type when a format made nothing of a row: `where` is the source in the recipe."""
    if ":" in written and not isinstance(problem, KeyError):
        file, _, name = written.partition(":")
        return f"mend {file}: it is called as {name}(row, instruction) and returns (prompt, answer)"
    named = str(problem.args[0]).split("'") if isinstance(problem, KeyError) else []
    wanted = named[1] if len(named) > 1 else "answer"
    return f"map the column in the recipe: {where}.columns: {{{wanted}: YOUR_COLUMN}}; or choose another format"


def read_source(loaded: Loaded, source, side: str, name: str, counts: dict, part: int | None = None) -> list[Sample]:
    """The samples of one source; `counts[name]` says how many rows were read and what was dropped."""
    count = counts[name] = {"read": 0}
    written = source.format or loaded.recipe.prompt.format
    told = source.instruction or loaded.recipe.prompt.instruction
    form = hooks.form(written, loaded.code)
    kept, seen = [], set()
    for number, row in enumerate(data.rows(source, loaded.path.parent), 1):
        count["read"] += 1
        row = {**row, **rename(row, source, side, number)}
        try:
            prompt, answer = form(row, told)
        except Exception as problem:  # the recipe's own function may raise anything
            raise HftError(f"{data.locate(source)}, row {number}: the format '{written}' " + unmade(problem),
                           remedy(problem, written, f"data.{side}" + (f".parts.{part}" if part is not None else ""))) from None
        if not isinstance(prompt, str | list) or not isinstance(answer, str):
            raise HftError(f"{data.locate(source)}, row {number}: the format '{written}' gave {type(prompt).__name__} and "
                           f"{type(answer).__name__}", "a format returns (prompt, answer), two texts")
        if not prompt or not answer.strip():
            count["empty"] = count.get("empty", 0) - 1
            continue
        key = (str(prompt), answer)
        if key in seen:
            count["duplicate"] = count.get("duplicate", 0) - 1
            continue
        seen.add(key)
        given = row.get("answers")
        answers = [answer, *(str(a) for a in given if a != answer)] if isinstance(given, list) else [answer]
        own = row.get("id")
        kept.append(Sample(str(number if own is None else own), row, prompt, answers, None, source.format))
    return kept


def rename(row: dict, source, side: str, number: int) -> dict:
    """The columns that the recipe maps. Raises HftError with the row's own columns when one is missing."""
    for name in source.columns.values():
        if name not in row:
            raise HftError(f"{data.locate(source)}, row {number}: no column '{name}'; it has: {', '.join(map(str, row))}",
                           f"mend data.{side}.columns in the recipe")
    return {wanted: row[name] for wanted, name in source.columns.items()}


def short_enough(samples: list[Sample], recipe: Recipe, tokenizer, count: dict, side: str) -> list[Sample]:
    """Tokenise; drop and count what is longer than `model.max_tokens`: cutting would remove the answer."""
    kept, limit, room = [], recipe.model.max_tokens, methods.of(recipe).room
    encoded = tokenised.encode([(one.prompt, one.answers[0]) for one in samples], tokenizer, side)
    for one, tokens in zip(samples, encoded, strict=True):
        if len(tokens.prompt_ids) + room(recipe, tokens.completion_ids) > limit:
            count["too long"] = count.get("too long", 0) - 1
        else:
            kept.append(one._replace(tokens=tokens))
    return kept


def short_prompts(samples: list[Sample], quantile: float, count: dict) -> list[Sample]:
    """Drop and count prompts with more tokens than this quantile of all, rounded down, as the GRPO guides do."""
    import numpy

    lengths = [len(one.tokens.prompt_ids) for one in samples]
    limit = int(numpy.quantile(lengths, quantile)) if samples else 0
    kept = [one for one, length in zip(samples, lengths, strict=True) if length <= limit]
    if len(kept) < len(samples):
        count[f"prompt over {limit} tokens"] = len(kept) - len(samples)
    return kept


def sample(samples: list[Sample], wanted: int | None, seed: int, count: dict | None) -> list:
    """A seeded sample in the rows' own order: those whose hashed id comes first, so that a filter before it does not reshuffle it."""
    if wanted is None or wanted >= len(samples):
        return samples
    ranks = {i: hashlib.sha256(f"{seed} {one.id}".encode()).digest() for i, one in enumerate(samples)}
    chosen = sorted(sorted(ranks, key=ranks.get)[:wanted])
    count["not sampled"] = count.get("not sampled", 0) + wanted - len(samples)
    return [samples[i] for i in chosen]


def split(samples: list[Sample], share: float, group: str | None, seed: int) -> tuple[list[Sample], list[Sample]]:
    """A seeded split into (train, held out) by whole groups; without a group column each row is its own group.

    Groups are shuffled and held out until `share` of the rows is reached. Raises HftError when one side stays empty.
    """
    def group_of(one: Sample) -> str:
        if group and group not in one.row:
            raise HftError(f"row {one.id} has no column '{group}' to split by; it has: {', '.join(one.row)}", "mend data.train.group")
        return str(one.row[group]) if group else one.id

    if len(samples) < 2:
        return samples, []
    groups = sorted({group_of(one) for one in samples})
    random.Random(seed).shuffle(groups)
    sizes = {}
    for one in samples:
        sizes[group_of(one)] = sizes.get(group_of(one), 0) + 1
    held, rows = set(), 0
    for name in groups:
        if rows >= share * len(samples):
            break
        if rows + sizes[name] < len(samples):  # a group that would take all that is left to train on is passed over
            held.add(name)
            rows += sizes[name]
    if not held:
        raise HftError(f"{len(groups)} group(s) of '{group}' cannot be split: nothing would be left to train on",
                       "choose another data.train.group")
    return [s for s in samples if group_of(s) not in held], [s for s in samples if group_of(s) in held]
