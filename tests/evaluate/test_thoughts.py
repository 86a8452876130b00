"""What stands behind a model's thoughts, on the templates of six well-known models."""

import pytest
import templates

from hft.data import tokens
from hft.data.rows import Sample
from hft.evaluate import ask, reasoning, thoughts
from hft.evaluate.reasoning import Tags
from hft.recipe import file as recipe_file

ROW = {"question": "Who?", "answer": "Lena Horst"}
PROMPT = [{"role": "user", "content": "Who?"}]


@pytest.mark.parametrize(
    ("text", "tags", "answer"),
    [
        ("<think>\n\n</think>\n\n34", Tags(), "34"),
        ("a</think>34", Tags(opened=True), "34"),
        ("a, not </think> yet</think>\n34<|im_end|>", Tags(opened=True), "34"),
        ("34", Tags(), "34"),
        ("<think>I wonder", Tags(), ""),
        ("I wonder", Tags(opened=True), ""),
        ("<r>a</r>34", Tags("<r>", "</r>"), "34"),
        ("", Tags(), ""),
    ],
)
def test_the_answer_stands_behind_the_last_end_tag(text, tags, answer):
    assert thoughts.behind(text, tags) == answer


@pytest.mark.parametrize("name", templates.ALL)
def test_a_model_that_says_what_it_was_trained_to_say_is_right(name):
    """Qwen3's template puts an empty pair of tags into the target: decoded with it a perfect answer scored 0."""
    loaded = recipe_file.load("quickstart", ("prompt.format=chat",))
    tokenizer = templates.tokenizer(name)
    encoded = tokens.encode(PROMPT, ROW["answer"], tokenizer)
    said = tokenizer.decode(encoded.completion_ids, skip_special_tokens=True).strip()
    sample = Sample("1", ROW, PROMPT, [ROW["answer"]], encoded)
    [record] = ask.records(loaded, [sample], [said], tokenizer)
    assert {key: record[key] for key in ("answer", "exact_match", "f1")} == {
        "answer": said,
        "exact_match": 1.0,
        "f1": 1.0,
    }


@pytest.mark.parametrize("name", templates.ALL)
def test_template_and_vocabulary_say_whether_a_model_thinks(name):
    tokenizer = templates.tokenizer(name)
    recipe = recipe_file.load("quickstart").recipe
    assert thoughts.written(tokenizer, reasoning.tags(recipe, tokenizer)) == (name in templates.THINKS)


def test_thoughts_that_hold_the_answer_earn_nothing_and_a_rows_own_do_not_count():
    loaded = recipe_file.load("quickstart", ("prompt.format=chat",))
    tokenizer = templates.tokenizer("Qwen3")
    encoded = tokens.encode(PROMPT, "34", tokenizer)
    sample = Sample("1", ROW, PROMPT, ["<think>\nhm\n</think>\n\n34"], encoded)
    said = ["<think>34</think>no", "<think>no</think>34"]
    assert [one["exact_match"] for one in ask.records(loaded, [sample, sample], said, tokenizer)] == [0.0, 1.0]
