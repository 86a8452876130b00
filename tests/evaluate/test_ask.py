"""Asking the held-out questions, with a model that only pretends: once, again, bare, drawn, measured."""

import json
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from characters import Characters

from hft.data import tokens
from hft.data.prepare import Also, Prepared
from hft.data.rows import Sample
from hft.evaluate import ask, known, scores
from hft.model.generate import Sampling
from hft.recipe import file as recipe_file

PLAIN = ("quickstart",)
REASONING = ("grpo_indonesian", "evaluate.reasoning={bare: false, samples: 0}", "rewards=[format_exact]")
BARE = ("grpo_indonesian", "evaluate.reasoning={bare: true, samples: 0}", "rewards=[format_exact]")
DRAWN = ("grpo_indonesian", "evaluate.reasoning={bare: false, samples: 3, temperature: 0.7}", "rewards=[format_exact]")

NOTHING = Prepared([], [], {}, None)


class Chats(Characters):
    """Characters with a chat template, which writes one line a turn."""

    chat_template = "a line a turn"

    def apply_chat_template(self, messages, tokenize, add_generation_prompt=False, enable_thinking=True):
        return "".join(f"{turn['role']}: {turn['content']}\n" for turn in messages)

    def get_added_vocab(self):
        return {}


class Backend:
    """A model of canned answers; notes what it is asked."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, []

    def generate(self, model, tokenizer, prompts, limit, plan, what, sampling=None, one_line=False):
        self.asked.append((what, ["".join(map(chr, ids[1:])) for ids in prompts], limit, sampling))
        return [self.answers[i % len(self.answers)] for i in range(len(prompts))]


def opened(written, *answers, questions=("17 + 17?", "25 + 25?")):
    """What the pipeline hands over: a recipe, its held-out rows, and a model with these answers."""
    loaded = recipe_file.load(written[0], written[1:])
    samples = []
    for number, text in enumerate(questions):
        row = {"prompt": text, "question": text, "solution": "34", "context": "", "answer": "34"}
        prompt = [{"role": "user", "content": f"Told: {text}"}] if "grpo" in written[0] else text
        samples.append(Sample(str(number), row, prompt, ["34"], tokens.encode(prompt, "34", Chats())))
    return SimpleNamespace(
        loaded=loaded,
        backend=Backend(*answers),
        model=SimpleNamespace(disable_adapter=nullcontext),
        tokenizer=Chats(),
        plan=None,
        prepared=Prepared([], samples, {}, None),
    )


def kept(run, column):
    return [json.loads(line) for line in (run / "answers" / f"{column}.jsonl").read_text().splitlines()]


def test_questions_are_asked_greedily_and_their_answers_kept(tmp_path):
    given = opened(PLAIN, "34", "50")
    ask.ask(tmp_path, given, "base")
    limit = given.loaded.recipe.evaluate.max_new_tokens
    assert given.backend.asked == [("asking base (questions)", ["17 + 17?", "25 + 25?"], limit, None)]
    assert [(record["question"], record["answer"], record["exact_match"]) for record in kept(tmp_path, "base")] == [
        ("17 + 17?", "34", 1.0),
        ("25 + 25?", "50", 0.0),
    ]
    assert "reward" not in kept(tmp_path, "base")[0]
    assert json.loads((tmp_path / "evaluation.json").read_text())["base"]["exact_match"]["mean"] == 50


@pytest.mark.parametrize("written", [PLAIN, REASONING, BARE, DRAWN], ids=["plain", "reasoning", "bare", "drawn"])
def test_what_was_asked_is_not_asked_again_unless_it_is_to_be(tmp_path, written):
    recipe = recipe_file.load(written[0], written[1:]).recipe
    assert not ask.asked(tmp_path, recipe, NOTHING, "base")
    ask.ask(tmp_path, opened(written, "34"), "base")
    assert ask.asked(tmp_path, recipe, NOTHING, "base")
    assert not ask.asked(tmp_path, recipe, NOTHING, "adapter")
    resumed = opened(written, "50")
    ask.ask(tmp_path, resumed, "base")
    assert (resumed.backend.asked, kept(tmp_path, "base")[0]["answer"]) == ([], "34")
    ask.ask(tmp_path, resumed, "base", again=True)
    assert kept(tmp_path, "base")[0]["answer"] == "50"


def test_a_run_killed_between_two_cells_asks_only_the_second(tmp_path):
    ask.ask(tmp_path, opened(BARE, "34"), "base")
    (tmp_path / "answers" / "base-bare.jsonl").unlink()
    resumed = opened(BARE, "50")
    ask.ask(tmp_path, resumed, "base")
    assert [what for what, *_ in resumed.backend.asked] == ["asking base-bare (questions)"]
    assert list(scores.kept(tmp_path)) == ["base", "base-bare"]


def test_bare_cells_are_asked_without_the_instruction(tmp_path):
    given = opened(BARE, "34")
    ask.ask(tmp_path, given, "base")
    (_, told, *_), (what, bare, *_) = given.backend.asked
    assert (told[0], what) == ("ser: Told: 17 + 17?\n", "asking base-bare (questions)")  # less the first character
    assert "Told" not in bare[0]
    assert bare[0].endswith("17 + 17?\n")


def test_answers_are_drawn_to_each_question(tmp_path):
    given = opened(DRAWN, "<think>a</think>34", "50")
    ask.ask(tmp_path, given, "adapter")
    (what, _, _, greedy), (drawing, prompts, _, sampling) = given.backend.asked
    assert (what, greedy, drawing) == ("asking adapter (questions)", None, "drawing from adapter (answers)")
    assert [prompt[-9:-1] for prompt in prompts] == ["17 + 17?"] * 3 + ["25 + 25?"] * 3
    assert sampling == Sampling(0.7, given.loaded.recipe.evaluate.reasoning.top_p, given.loaded.recipe.train.seed)
    assert [[answer["answer"] for answer in record["drawn"]] for record in kept(tmp_path, "adapter")] == [
        ["<think>a</think>34", "50", "<think>a</think>34"],
        ["50", "<think>a</think>34", "50"],
    ]
    assert kept(tmp_path, "adapter")[0]["drawn"][1] == {"answer": "50", "right": 0.0, "format": 0.0, "tokens": 2}


def test_a_record_of_a_reasoning_recipe_says_what_the_answer_consists_of(tmp_path):
    ask.ask(tmp_path, opened(REASONING, "<think>a</think>34", "34"), "base")
    first, second = kept(tmp_path, "base")
    assert first["reasoning"] == {"right": 1.0, "format": 1.0, "tokens": 18}
    assert second["reasoning"] == {"right": 1.0, "format": 0.0, "tokens": 2}
    assert (first["reward"], second["rewards"]) == (3.0, {"format_exact": 0.0})
    assert "drawn" not in first


def test_a_prompt_that_opens_the_reasoning_counts_for_the_format(tmp_path):
    ask.ask(tmp_path, opened(REASONING, "a</think>34", questions=("<think>",)), "base")
    assert kept(tmp_path, "base")[0]["reasoning"]["format"] == 1.0


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_of_codeio_running_the_code_says_what_is_right(tmp_path):
    given = opened(DRAWN, '{"input": {"n": -3}}', "It is 3.")
    code = {"code": "def f(n):\n    return n * n", "name": "f", "input_json": '{"n": 3}', "output_json": "9"}
    asked = [one._replace(row={**one.row, **code, "kind": "input"}) for one in given.prepared.evaluate]
    given.prepared = given.prepared._replace(evaluate=asked)
    ask.ask(tmp_path, given, "base")
    first, second = kept(tmp_path, "base")
    assert first["reasoning"] == {"right": 1.0, "format": 1.0, "tokens": 20}
    assert second["reasoning"] == {"right": 0.0, "format": 0.0, "tokens": 8}
    assert [one["right"] for one in first["drawn"]] == [1.0, 0.0, 1.0]


def test_another_recipes_questions_are_asked_in_its_form_and_measured_as_it_does(tmp_path):
    given, other = opened(PLAIN, "<think>a</think>34", "50"), opened(DRAWN)
    loaded, [sample, _] = other.loaded, other.prepared.evaluate
    given.prepared = given.prepared._replace(also={loaded.name: Also(loaded, [sample], None)})
    ask.ask(tmp_path, given, "base")
    own, too, drawing = given.backend.asked
    assert own[0] == "asking base (questions)"
    limit, told = loaded.recipe.evaluate.max_new_tokens, loaded.recipe.evaluate.reasoning
    assert too == ("asking base@grpo_indonesian (questions)", ["ser: Told: 17 + 17?\n"], limit, None)
    assert drawing[3] == Sampling(0.7, told.top_p, loaded.recipe.train.seed)
    [record] = kept(tmp_path, "base@grpo_indonesian")
    assert record["reasoning"] == {"right": 1.0, "format": 1.0, "tokens": 18}
    assert (record["rewards"], len(record["drawn"])) == ({"format_exact": 3.0}, 3)
    assert "reasoning" not in kept(tmp_path, "base")[0]


def test_a_run_killed_before_another_recipes_questions_asks_only_those(tmp_path):
    given, other = opened(PLAIN, "34"), opened(BARE)
    given.prepared = given.prepared._replace(also={"two": Also(other.loaded, other.prepared.evaluate, None)})
    ask.ask(tmp_path, given, "adapter")
    (tmp_path / "answers" / "adapter@two.jsonl").unlink()
    assert not ask.asked(tmp_path, given.loaded.recipe, given.prepared, "adapter")
    given.backend.asked.clear()
    ask.ask(tmp_path, given, "adapter")
    assert [what for what, *_ in given.backend.asked] == ["asking adapter@two (questions)"]
    assert ask.asked(tmp_path, given.loaded.recipe, given.prepared, "adapter")


def test_in_another_run_the_bases_answers_are_known_and_the_trained_models_are_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(known, "base_of", lambda opened: {"files": {}})
    other = opened(DRAWN)
    also = {"two": Also(other.loaded, other.prepared.evaluate[:1], None)}
    said = {}
    for run, again in (("first", False), ("second", False), ("third", True)):
        given = opened(BARE, f"{run} 34", f"{run} 50")
        given.prepared = given.prepared._replace(also=also)
        (tmp_path / run).mkdir()
        for column in ("base", "adapter"):
            ask.ask(tmp_path / run, given, column, again)
        said[run] = [what.partition(" (")[0] for what, *_ in given.backend.asked]
    base = ["asking base", "asking base-bare", "asking base@two", "drawing from base@two"]
    adapter = [what.replace("base", "adapter") for what in base]
    assert said == {"first": base + adapter, "second": adapter, "third": base + adapter}
    assert capsys.readouterr().out == (
        "base: 2 answers known from an earlier run\n"
        "base-bare: 2 answers known from an earlier run\n"
        "base@two: 1 answer known from an earlier run\n"
        "base@two: 3 drawn answers known from an earlier run\n"
    )
    for name in ("base", "base-bare", "base@two"):
        first, second, third = (kept(tmp_path / run, name) for run in said)
        assert first == second
        assert third[0]["answer"] == "third 34"


def test_without_held_out_rows_nothing_is_asked(tmp_path):
    given = opened(PLAIN, "34", questions=())
    ask.ask(tmp_path, given, "base")
    assert (given.backend.asked, list(tmp_path.iterdir())) == ([], [])
