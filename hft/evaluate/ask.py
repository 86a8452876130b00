"""Ask a model the held-out questions, and score what it says."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hft.data import formats, tokens
from hft.data.prepare import Prepared
from hft.data.rows import Sample
from hft.evaluate import baseline, grader, known, metrics, reasoning, scores, thoughts, verified
from hft.evaluate.known import Asked
from hft.evaluate.reasoning import Tags
from hft.model.generate import Sampling
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe

BARE = "-bare"  # ends the name of a column that was asked without prompt.instruction


def ask(run: Path, opened: Any, column: str, again: bool = False) -> None:
    """Ask the held-out questions and keep the answers; what an interrupted run has asked is not asked again.

    A reasoning recipe may want them asked without its instruction too, and several answers drawn to each; the base is
    asked in its own chat template too. The questions of the recipes of `evaluate.also` follow, as those ask them.
    What the base has said to the same questions in an earlier run is known, unless it is to be asked `again`.
    opened: a train.session.Opened; where nothing is to be asked, one without a model will do
    """
    if not opened.prepared.evaluate or (asked(run, opened.loaded.recipe, opened.prepared, column) and not again):
        return
    base = known.base_of(opened) if column == "base" else None
    for name in names(opened.loaded.recipe, opened.prepared, column):
        if again or not answers_file(run, name).exists():
            asker, samples = questions(opened, name)
            with without_adapter(opened) if name.startswith("base") else nullcontext():
                answers, drawn = answered(opened, name, asker, samples, base, again)
            scores.keep(run, name, records(asker, samples, answers, opened.tokenizer, drawn))


def without_adapter(opened: Any) -> AbstractContextManager:
    """The model without its new adapter: that adds zeros, and on a CPU a third of the time."""
    recipe = opened.loaded.recipe
    return opened.model.disable_adapter() if recipe.lora and not known.goes_on(recipe) else nullcontext()


def asked(run: Path, recipe: Recipe, prepared: Prepared, column: str) -> bool:
    """True when a column's answers are all there, as in a run that goes on."""
    return all(answers_file(run, name).exists() for name in names(recipe, prepared, column))


def names(recipe: Recipe, prepared: Prepared, column: str) -> list[str]:
    """The columns that are asked for one: itself, its bare form, the base's chat, those of other recipes' questions."""
    told = recipe.evaluate.reasoning
    fair = [scores.CHAT] if column == "base" and prepared.baseline else []
    also = [scores.of_others(column, other) for other in prepared.also]
    return [column, *([column + BARE] if told and told.bare else []), *fair, *also]


def questions(opened: Any, name: str) -> tuple[Loaded, list[Sample]]:
    """(the recipe that asks, its held-out questions as a column asks them)."""
    loaded, prepared = opened.loaded, opened.prepared
    column, other = scores.apart(name)
    if other:
        return prepared.also[other].loaded, prepared.also[other].samples
    if column == scores.CHAT:
        return loaded, prepared.baseline
    return loaded, bare(prepared.evaluate, loaded, opened.tokenizer) if column.endswith(BARE) else prepared.evaluate


def answers_file(run: Path, name: str) -> Path:
    """Where scores.keep puts a column's answers."""
    return run / "answers" / f"{name}.jsonl"


def bare(samples: list[Sample], loaded: Loaded, tokenizer: Any) -> list[Sample]:
    """The same questions without the recipe's instruction."""
    usual = loaded.recipe.prompt.format
    forms = {written: formats.form(written, loaded.code) for written in {sample.format or usual for sample in samples}}
    pairs = [forms[sample.format or usual](sample.row, None) for sample in samples]
    return [
        sample._replace(prompt=prompt, encoded=tokens.encode(prompt, answer, tokenizer, loaded.recipe.prompt.prefill))
        for sample, (prompt, answer) in zip(samples, pairs, strict=True)
    ]


def answered(
    opened: Any, name: str, asker: Loaded, samples: list[Sample], base: dict[str, Any] | None, again: bool
) -> tuple[list[str], list[list[str]]]:
    """(the greedy answer to each question, those drawn to each where the recipe that asks wants some).

    base: what known.base_of says of a base whose answers are kept between runs
    """
    told = asker.recipe.evaluate
    short = name == scores.CHAT and baseline.one_line(asker, opened.tokenizer)

    def answer(what: str, ids: list[list[int]], sampling: Sampling | None = None) -> list[str]:
        def ask_model() -> list[str]:
            return opened.backend.generate(
                opened.model, opened.tokenizer, ids, told.max_new_tokens, opened.plan, what, sampling, short
            )

        return known.answers(name, base, Asked(ids, told.max_new_tokens, sampling, short), ask_model, again)

    ids = [sample.tokens.prompt_ids for sample in samples]
    answers = answer(f"asking {name} (questions)", ids)
    if not told.reasoning or not told.reasoning.samples or short:
        return answers, []
    times = told.reasoning.samples
    how = Sampling(told.reasoning.temperature, told.reasoning.top_p, asker.recipe.train.seed)
    flat = answer(f"drawing from {name} (answers)", [prompt for prompt in ids for _ in range(times)], how)
    return answers, [flat[start : start + times] for start in range(0, len(flat), times)]


def records(
    loaded: Loaded, samples: list[Sample], answers: list[str], tokenizer: Any, drawn: list[list[str]] | None = None
) -> list[dict[str, Any]]:
    """One record a question: its answer with scores and rewards; for a reasoning recipe what it consists of.

    drawn: further answers to each question, which are measured in the same way
    """
    recipe = loaded.recipe
    tags = reasoning.tags(recipe, tokenizer)
    kept = scores.scored(samples, answers, recipe.evaluate.by, grader.judged(loaded, samples, answers, tokenizer))
    if recipe.evaluate.reasoning:
        measure(kept, samples, drawn or [], tokenizer, recipe)
    elif thoughts.written(tokenizer, tags):
        for record, sample in zip(kept, samples, strict=True):
            around = around_answer(sample, tags)
            truths = [thoughts.behind(truth, around._replace(opened=False)) for truth in sample.answers]
            record.update(metrics.score(thoughts.behind(record["answer"], around), truths))
    return kept


def around_answer(sample: Sample, tags: Tags) -> Tags:
    """The tags around the reasoning of an answer to this prompt, which may have opened it."""
    return tags._replace(opened=sample.tokens.prompt.rstrip().endswith(tags.start))


def measure(
    kept: list[dict[str, Any]], samples: list[Sample], drawn: list[list[str]], tokenizer: Any, recipe: Recipe
) -> None:
    """Enter into the records what answers consist of that reason, and the answers drawn besides."""
    told, tags = recipe.evaluate.reasoning, reasoning.tags(recipe, tokenizer)
    assert told, "only recipes with evaluate.reasoning are measured"

    def measured(texts: list[str], asked: list[Sample]) -> list[dict[str, float]]:
        run = verified.measured(texts, [sample.row for sample in asked], tags)
        return [
            {
                **(by_code or in_words(text, sample)),
                "tokens": len(tokenizer(text, add_special_tokens=False)["input_ids"]),
            }
            for text, sample, by_code in zip(texts, asked, run, strict=True)
        ]

    def in_words(text: str, sample: Sample) -> dict[str, float]:
        around = around_answer(sample, tags)
        return reasoning.measured(text, sample.answers, around, told.language, tuple(told.among), told.detector)

    for record, about in zip(kept, measured([record["answer"] for record in kept], samples), strict=True):
        record["reasoning"] = about
    for record, sample, texts in zip(kept, samples, drawn, strict=bool(drawn)):
        abouts = measured(texts, [sample] * len(texts))
        record["drawn"] = [{"answer": text, **about} for text, about in zip(texts, abouts, strict=True)]
