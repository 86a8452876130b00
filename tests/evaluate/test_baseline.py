"""The base asked fairly: its own template, examples of training rows only, a short answer, thoughts closed."""

import pytest
import templates

from hft.data import tokens
from hft.data.rows import Sample
from hft.evaluate import baseline
from hft.recipe import file as recipe_file

QUESTION = ("quickstart",)
SHOWN = "u:글 {0}\n\n{0}?\na:답 {0}\n"


def load(*settings, name="quickstart"):
    return recipe_file.load(name, settings)


def sample(number, size=1):
    row = {"context": f"글 {number}" * size, "question": f"{number}?", "answer": f"답 {number}"}
    prompt = f"{row['context']}\n\nQuestion: {number}?\nAnswer:"
    return Sample(str(number), row, prompt, [row["answer"]], tokens.Tokens(prompt, "", [1], [2]))


TRAIN = [sample(number) for number in range(12)]
ASKED = [sample(20), sample(21)]


def prompts(loaded, name="Qwen2.5", train=TRAIN, evaluate=ASKED):
    given = baseline.questions(loaded, train, evaluate, templates.tokenizer(name))
    return [one.tokens.prompt for one in given]


def turns(prompt):
    """(role, text) of each turn of a ChatML prompt."""
    parts = [part.split("<|im_end|>")[0].partition("\n") for part in prompt.split("<|im_start|>")[1:]]
    return [(role, text) for role, _, text in parts]


def test_each_question_follows_the_same_three_training_rows():
    first, second = map(turns, prompts(load()))
    assert first[:-2] == second[:-2]
    assert [role for role, _ in first] == ["system", *("user", "assistant") * 3, "user", "assistant"]
    assert first[0] == ("system", baseline.SHORT)
    assert [(first[-2], first[-1]), (second[-2], second[-1])] == [
        (("user", f"글 {number}\n\n{number}?"), ("assistant", "")) for number in (20, 21)
    ]
    shown = {(question, answer) for (_, question), (_, answer) in zip(first[1:-2:2], first[2:-2:2], strict=True)}
    assert len(shown) == 3
    assert shown < {(f"글 {number}\n\n{number}?", f"답 {number}") for number in range(12)}


def test_the_seed_chooses_the_examples():
    chosen = {tuple(turns(prompts(load(f"train.seed={seed}"))[0])[1:-2]) for seed in (1, 1, 2, 3)}
    assert len(chosen) == 3


def test_a_row_that_is_asked_is_never_shown():
    shown = turns(prompts(load(), train=[*ASKED, TRAIN[0]])[0])[1:-2]
    assert shown == [("user", "글 0\n\n0?"), ("assistant", "답 0")]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_recipe_says_how_many(count):
    assert len(turns(prompts(load(f"evaluate.baseline={{examples: {count}}}"))[0])) == 3 + 2 * count


def test_it_can_be_switched_off_and_needs_a_template():
    assert prompts(load("evaluate.baseline=false")) == []
    without = templates.tokenizer("Qwen2.5").__class__(
        tokenizer_object=templates.tokenizer("Qwen2.5").backend_tokenizer
    )
    assert baseline.questions(load(), TRAIN, ASKED, without) == []


def test_the_instruction_stands_in_front():
    [(role, text), *_] = turns(prompts(load("prompt.instruction=한 낱말로 답하세요."))[0])
    assert (role, text) == ("system", f"한 낱말로 답하세요.\n{baseline.SHORT}")


def test_short_examples_are_taken_of_those_that_are_drawn():
    long = [sample(number, size=50) for number in range(100, 109)]
    shown = turns(prompts(load(), train=[*long, *TRAIN[:3]])[0])[1:-2]
    assert max(len(text) for _, text in shown) < 20


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("Qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        ("DeepSeek-R1-Distill", "<｜Assistant｜><think>\n\n</think>\n\n"),
        ("DeepSeek-R1-0528-Qwen3", "<｜Assistant｜><think>\n\n</think>\n\n"),
        ("Llama-3.1", "<|start_header_id|>assistant<|end_header_id|>\n\n"),
        ("Qwen2.5", "<|im_start|>assistant\n"),
        ("SmolLM2", "<|im_start|>assistant\n"),
    ],
)
def test_a_model_that_thinks_has_done_so_where_a_short_answer_is_wanted(name, ending):
    prompt = prompts(load(), name)[0]
    assert prompt.endswith(ending)
    assert prompt.count("<think>") == ending.count("<think>")
    assert baseline.one_line(load(), templates.tokenizer(name))


def test_a_recipe_that_wants_reasoning_lets_such_a_model_reason():
    loaded = load("evaluate.reasoning={}")
    assert prompts(loaded, "DeepSeek-R1-Distill")[0].endswith("<｜Assistant｜><think>\n")
    assert baseline.SHORT not in prompts(loaded, "Qwen3")[0]
    lines = {name: baseline.one_line(loaded, templates.tokenizer(name)) for name in templates.ALL}
    assert lines == {name: name not in templates.THINKS for name in templates.ALL}


def test_of_an_example_with_reasoning_the_answer_alone_is_shown():
    thought = sample(3)._replace(answers=["<think>\nhm\n</think>\n\n답 3"])
    assert turns(prompts(load(), train=[thought])[0])[2] == ("assistant", "답 3")


def test_a_chat_keeps_its_turns_and_a_text_of_another_format_is_the_users():
    chat = sample(5)._replace(prompt=[{"role": "system", "content": "하나"}, {"role": "user", "content": "둘?"}])
    assert turns(prompts(load(), train=[], evaluate=[chat])[0])[:2] == [
        ("system", f"하나\n{baseline.SHORT}"),
        ("user", "둘?"),
    ]
    text = sample(6)._replace(prompt=" 번역: 셋 ", format="ko_en")
    assert turns(prompts(load(), train=[], evaluate=[text])[0])[1] == ("user", "번역: 셋")


def test_a_template_that_knows_no_system_turn_has_its_text_with_the_users():
    tokenizer = templates.tokenizer("Qwen2.5")
    refuses = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + tokenizer.chat_template
    )
    own = tokenizer.__class__(tokenizer_object=tokenizer.backend_tokenizer, chat_template=refuses)
    text = baseline.render([{"role": "system", "content": "하나"}, {"role": "user", "content": "둘?"}], own, True)
    assert ("user", "하나\n\n둘?") in turns(text)
