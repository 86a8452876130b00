"""Ask a model the held-out questions, and score what it says."""

from pathlib import Path

from hft.data import formats, tokens
from hft.data.rows import Sample
from hft.evaluate import grader, reasoning, scores
from hft.model.generate import Sampling
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe

BARE = "-bare"  # ends the name of a column that was asked without prompt.instruction


def ask(run: Path, opened, column: str, again: bool = False) -> None:
    """Ask the held-out questions (a run.Opened) and keep the answers; what an interrupted run has asked is not asked again.

    A reasoning recipe may want them asked without its instruction too, and several answers drawn to each.
    """
    if asked(run, opened.loaded.recipe, column) and not again:
        return
    told = opened.loaded.recipe.evaluate
    cells = {column: opened.prepared.evaluate}
    if told.reasoning and told.reasoning.bare:
        cells[column + BARE] = bare(opened.prepared.evaluate, opened.loaded, opened.tokenizer)
    for name, samples in cells.items():
        if not samples or ((run / "answers" / f"{name}.jsonl").exists() and not again):
            continue

        def answer(what, ids, sampling=None):
            return opened.backend.generate(
                opened.model, opened.tokenizer, ids, told.max_new_tokens, opened.plan, what, sampling
            )

        ids = [one.tokens.prompt_ids for one in samples]
        answers, drawn = answer(f"asking {name} (questions)", ids), []
        if told.reasoning and (times := told.reasoning.samples):
            how = Sampling(told.reasoning.temperature, told.reasoning.top_p, opened.loaded.recipe.train.seed)
            flat = answer(f"drawing from {name} (answers)", [one for one in ids for _ in range(times)], how)
            drawn = [flat[i : i + times] for i in range(0, len(flat), times)]
        scores.keep(run, name, records(opened.loaded, samples, answers, opened.tokenizer, drawn))


def asked(run: Path, recipe: Recipe, column: str) -> bool:
    """True when a column's answers are all there, as in a run that goes on."""
    names = [column, column + BARE] if recipe.evaluate.reasoning and recipe.evaluate.reasoning.bare else [column]
    return all((run / "answers" / f"{name}.jsonl").exists() for name in names)


def bare(samples: list[Sample], loaded: Loaded, tokenizer) -> list[Sample]:
    """The same questions without the recipe's instruction."""
    usual = loaded.recipe.prompt.format
    forms = {written: formats.form(written, loaded.code) for written in {one.format or usual for one in samples}}
    asked = [forms[one.format or usual](one.row, None) for one in samples]
    return [
        one._replace(prompt=prompt, tokens=tokens.encode(prompt, answer, tokenizer))
        for one, (prompt, answer) in zip(samples, asked, strict=True)
    ]


def records(
    loaded: Loaded, samples: list[Sample], answers: list[str], tokenizer, drawn: list[list[str]] = ()
) -> list[dict]:
    """One record a question: its answer with scores and rewards; for a reasoning recipe what it consists of, drawn answers too."""
    recipe = loaded.recipe
    kept = scores.scored(samples, answers, recipe.evaluate.by, grader.judged(loaded, samples, answers, tokenizer))
    if told := recipe.evaluate.reasoning:
        tags = reasoning.tags(recipe, tokenizer)

        def measured(text, one):
            around = tags._replace(opened=one.tokens.prompt.rstrip().endswith(tags.start))
            return {
                **reasoning.measured(text, one.answers, around, told.language, tuple(told.among)),
                "tokens": len(tokenizer(text, add_special_tokens=False)["input_ids"]),
            }

        for record, one in zip(kept, samples, strict=True):
            record["reasoning"] = measured(record["answer"], one)
        for record, one, texts in zip(kept, samples, drawn, strict=False):
            record["drawn"] = [{"answer": text, **measured(text, one)} for text in texts]
    return kept
