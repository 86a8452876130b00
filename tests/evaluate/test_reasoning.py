"""What an answer that reasons consists of: tags, parts, number, language; and the four cells of its evaluation."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data.prepare import Prepared
from hft.data.rows import Sample
from hft.data.tokens import Tokens
from hft.evaluate import ask, reasoning, scores, table
from hft.evaluate.reasoning import Tags
from hft.plan.plan import Plan
from hft.recipe import file as recipe_file

INDONESIAN = "Pertama kita hitung jumlah semua bilangan itu lalu kita bagi hasilnya dengan dua"
ENGLISH = "First we add all of the numbers together and then we divide the result by two"


def recipe(*settings):
    return recipe_file.load("grpo_quickstart", settings).recipe


def test_tags_come_from_the_recipe_or_the_tokenizer():
    template = SimpleNamespace(
        chat_template="x",
        get_added_vocab=lambda: {"<|end|>": 1, "</thinking>": 2, "<thinking>": 3},
        apply_chat_template=lambda *_, **__: "<|user|>?<|assistant|><thinking>\n",
    )
    assert reasoning.tags(recipe(), template) == Tags("<thinking>", "</thinking>", opened=True)
    assert reasoning.tags(recipe("prompt.tags=['[', ']']"), template) == Tags("[", "]", opened=False)
    assert reasoning.tags(recipe()) == Tags("<think>", "</think>", opened=False)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think>b", ("a", "b")),
        ("a</think>b", None),
        ("<think>a</think>", None),
        ("<think></think>b", None),
        ("b", None),
        (None, None),
        ("<think>a</think>b<think>", None),
        ("<think>a</think>b</think>", None),
        ("<think>I use </think> to end</think>b", ("I use \n to end", "b")),
        ("<think>I quote <think></think>b", ("I quote", "b")),
        ("before <think>a</think>b", ("before \na", "b")),
        ("before <think></think>b", None),
    ],
)
def test_reasoning_and_answer_are_told_apart(text, parts):
    assert reasoning.parts(text, Tags()) == parts


def test_a_template_that_opens_the_reasoning_has_the_start_tag_in_the_prompt():
    assert reasoning.parts("a</think>b", Tags(opened=True)) == ("a", "b")
    assert reasoning.parts("a <think> is a tag</think>b", Tags(opened=True)) == ("a \n is a tag", "b")


@pytest.mark.parametrize(
    ("settings", "language"),
    [
        (("evaluate.reasoning={language: de}", "rewards=[{name: language, options: {wanted: id}}]"), "de"),
        (("evaluate.reasoning={bare: true}", "rewards=[answer, {name: language, options: {wanted: id}}]"), "id"),
        (("rewards=[answer]",), None),
    ],
)
def test_numbers_are_read_in_the_recipes_language(settings, language):
    assert reasoning.tags(recipe(*settings)).language == language


@pytest.mark.parametrize(
    ("text", "right", "format_", "language"),
    [
        (f"<think>{INDONESIAN}</think>34", 1, 1, 1),
        (f"<think>{ENGLISH}</think>The answer is 34.", 1, 1, 0),
        (f"<think>{INDONESIAN} 34</think>50", 0, 1, 1),
        ("34", 1, 0, 0),
        ("First 17 + 17, so \\boxed{34}", 1, 0, 0),
        ("17 + 17 = 34", 1, 0, 0),
        (f"<think>I use </think> to end. {INDONESIAN}</think>34", 1, 0, 1),
        (f"<think>I quote <think> here. {INDONESIAN}</think>34", 1, 0, 1),
        (f"{ENGLISH}<think>{INDONESIAN}</think>34", 1, 1, 0),
        (f"<think>{INDONESIAN}. {ENGLISH}</think>34", 1, 1, 0),
        ("", 0, 0, 0),
        (f"<think>{INDONESIAN}", 0, 0, 1),
        (INDONESIAN, 0, 0, 1),
        (f"<think>{INDONESIAN}</think>{ENGLISH}: 34", 1, 1, 0),
        (f"<think>{INDONESIAN}</think>Jadi jawabannya adalah 34.", 1, 1, 1),
        (f"<think>{INDONESIAN}</think>The answer is 34.", 1, 1, 1),
        (f"<think>{INDONESIAN}</think>34<|im_end|>", 1, 1, 1),
        ("<think>34</think>34", 1, 1, 0),
    ],
)
def test_an_answer_is_measured_in_three_ways(text, right, format_, language):
    assert reasoning.measured(text, ["34"], Tags(), "id", ("en", "zh")) == {
        "right": right,
        "format": format_,
        "language": language,
    }


def test_a_truth_that_reasons_too_is_its_answer():
    answer, truth = "Other thoughts.\n</think>\nThe eye ward.", "Thoughts.\n</think>\nThe eye ward."
    measures = reasoning.measured(answer, [truth], Tags(opened=True), None, ())
    assert measures == {"right": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    ("truth", "said", "right"),
    [
        ("Ciprofloxacin 500 mg", "Amoxicillin 500 mg", 0),
        ("Type 2 diabetes", "stage 2 hypertension", 0),
        ("5 cm", "5 cm", 1),
        ("$1,250", "It is 1250 dollars.", 1),
        ("\\boxed{7}", "7", 1),
        ("-3.0", "-3", 1),
    ],
)
def test_a_number_decides_only_where_the_truth_is_one(truth, said, right):
    assert reasoning.measured(f"<think>x</think>{said}", [truth], Tags(), None, ())["right"] == right


@settings(deadline=None, database=None, max_examples=100)
@given(
    text=st.lists(
        st.sampled_from(["<think>", "</think>", "34", " ", "\\boxed{", "}", "kata"]) | st.text(max_size=4)
    ).map("".join)
)
def test_measures_are_0_or_1_and_a_kept_format_has_parts(text):
    measures = reasoning.measured(text, ["34"], Tags(), None, ())
    assert set(measures) == {"right", "format"}
    assert set(measures.values()) <= {0.0, 1.0}
    assert measures["format"] == float(reasoning.well_formed(text, Tags()))
    assert measures["format"] <= float(reasoning.parts(text, Tags()) is not None)


class Backend:
    """Says the same to every prompt; notes what it was asked."""

    def __init__(self, said):
        self.said, self.asked = said, []

    def generate(self, model, tokenizer, prompts, limit, plan, what, drawn=None, one_line=False):
        self.asked.append((what, len(prompts), drawn))
        return [self.said] * len(prompts)


class Tokenizer:
    chat_template = "a template"
    eos_token, eos_token_id = "<eos>", 0

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": text.split()}

    def get_added_vocab(self):
        return {}

    def apply_chat_template(self, messages, tokenize, add_generation_prompt=False):
        return " ".join(one["content"] for one in messages)


@pytest.fixture
def opened():
    told = "evaluate.reasoning={language: id, bare: true, samples: 2}"
    loaded = recipe_file.load("grpo_indonesian", (told, "rewards=[format_exact, {name: answer, weight: 2}]"))
    samples = [
        Sample(
            str(n),
            {"prompt": f"{n} + {n}?", "solution": str(2 * n)},
            [{"role": "user", "content": "told"}],
            [str(2 * n)],
            Tokens("", "", [1], [2]),
        )
        for n in (17, 25)
    ]
    return SimpleNamespace(
        loaded=loaded,
        backend=Backend(f"<think>{INDONESIAN}</think>34"),
        model=SimpleNamespace(disable_adapter=nullcontext),
        tokenizer=Tokenizer(),
        plan=Plan,
        prepared=Prepared([], samples, {}, None),
    )


def test_four_cells_are_asked_greedily_and_drawn_from(opened, tmp_path):
    for column in ("base", "adapter"):
        ask.ask(tmp_path, opened, column)
    assert [(what, count) for what, count, _ in opened.backend.asked] == [
        (f"{verb} {cell} ({unit})", count)
        for column in ("base", "adapter")
        for cell in (column, f"{column}-bare")
        for verb, unit, count in (("asking", "questions", 2), ("drawing from", "answers", 4))
    ]
    assert [drawn and tuple(drawn) for _, _, drawn in opened.backend.asked[:2]] == [None, (0.6, 0.95, 3407, 0, None)]
    kept = scores.kept(tmp_path)
    assert list(kept) == ["base", "base-bare", "adapter", "adapter-bare"]
    assert [record["reasoning"] for record in kept["base"]] == [
        {"right": 1.0, "format": 1.0, "language": 1.0, "tokens": 13},
        {"right": 0.0, "format": 1.0, "language": 1.0, "tokens": 13},
    ]
    assert [record["reward"] for record in kept["base"]] == [13.0, -2.0]
    assert len(kept["base"][0]["drawn"]) == 2
    summary = json.loads((tmp_path / "evaluation.json").read_text())["adapter-bare"]
    assert summary["reasoning"]["right"]["mean"] == 50
    assert (summary["drawn"]["answers"], summary["drawn"]["any_right"]["mean"]) == (2, 50)
    text = table.table({name: scores.summary(records) for name, records in kept.items()})
    assert [line.split("  ")[0] for line in text.splitlines()] == [
        "2 held-out questions, scores x 100 [95 % interval]",
        "",
        "answer right",
        "format kept",
        "answer in its language",
        "answer right, 2 drawn",
        "format kept, 2 drawn",
        "answer in its language, 2 drawn",
        "any right, 2 drawn",
        "tokens, not x 100",
        "mean reward, not x 100",
        "",
        "",
    ]
    column = scores.of_json(summary)
    assert scores.headline(column) == ("answer right", column.reasoning["right"])


def test_what_was_asked_is_not_asked_again(opened, tmp_path):
    ask.ask(tmp_path, opened, "base")
    opened.backend.asked.clear()
    ask.ask(tmp_path, opened, "base")
    assert opened.backend.asked == []


def test_without_the_instruction_the_prompt_is_the_question_alone(opened):
    [bare, _] = ask.bare(opened.prepared.evaluate, opened.loaded, opened.tokenizer)
    assert bare.prompt == [{"role": "user", "content": "17 + 17?"}]
    assert bare.tokens.prompt == "17 + 17?"
