"""Prompts and answers become tokens to train on: where the space goes, how a turn ends, what a template does."""

import pytest
from characters import Characters, ids
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data import formats, tokens
from hft.errors import HftError

QUICK = settings(deadline=None, database=None, max_examples=100)
LINE = st.text(st.characters(codec="utf-8", min_codepoint=2), max_size=25)


class Chat(Characters):
    chat_template = "each turn is [role]content<end> and a newline"

    def apply_chat_template(self, turns, tokenize, add_generation_prompt=False):
        assert tokenize is False
        return (
            "".join(f"[{t['role']}]{t['content']}<end>\n" for t in turns)
            + f"[assistant]{self.opening}" * add_generation_prompt
        )


@pytest.mark.parametrize(
    ("prompt", "answer", "text", "completion"),
    [
        ("Answer:", "서울", "Answer:", " 서울"),
        ("Answer: ", " 서울 \n", "Answer:", " 서울"),
        ("Answer: \t ", "서울", "Answer:", " 서울"),
        # The newline stays where the format put it, and takes the space's place.
        ("### Response:\n", "서울", "### Response:\n", "서울"),
        ("Answer:\n ", "서울", "Answer:", " 서울"),
        ("", "서울", "", " 서울"),
        ("Answer:", "", "Answer:", " "),
    ],
)
def test_the_space_goes_in_front_of_the_answer(prompt, answer, text, completion):
    assert tokens.encode(prompt, answer, Characters()) == (text, completion, ids(f"\1{text}"), ids(f"{completion}\0"))


@QUICK
@given(LINE, LINE)
def test_the_two_parts_are_the_tokens_of_the_whole_and_its_end(prompt, answer):
    made = tokens.encode(prompt, answer, Characters())
    assert not made.prompt.endswith(" ")
    assert prompt.startswith(made.prompt) and not prompt[len(made.prompt) :].strip()
    assert made.completion == answer.strip() if made.prompt.endswith("\n") else made.completion == " " + answer.strip()
    assert made.prompt_ids + made.completion_ids == [
        *Characters()(made.prompt + made.completion)["input_ids"],
        0,
    ]
    assert made.prompt_ids == Characters()(made.prompt)["input_ids"]


@QUICK
@given(st.sampled_from(["question", "instruction"]), LINE, LINE.filter(str.strip), LINE, st.none() | LINE)
def test_a_formats_prompt_is_kept_to_the_letter_and_asks_for_a_space(name, context, question, answer, told):
    prompt, wanted = formats.FORMATS[name]({"context": context, "question": question, "answer": answer}, told)
    made = tokens.encode(prompt, wanted, Characters())
    assert (made.prompt, made.completion) == (prompt, " " + answer.strip())


@pytest.mark.parametrize(
    "change",
    [lambda text: f"{text}\0" if text.endswith("울") else text, lambda text: text.replace(": ", "§")],
    ids=["an end set by the tokenizer is not set twice", "parts whose seam is one token are tokenised apart"],
)
def test_a_tokenizer_with_ways_of_its_own_gives_the_same_two_parts(change):
    assert tokens.encode("Answer:", "서울", Characters(change))[2:] == (ids("\1Answer:"), ids(" 서울\0"))


@pytest.mark.parametrize(
    ("opening", "completion"),
    [("", "서울<end>"), ("<think>\n", "\n</think>\n\n서울<end>"), ("<think>", "\n\n</think>\n\n서울<end>")],
    ids=["plain", "a template that opens the reasoning", "a template that opens it without a line end"],
)
def test_a_chat_is_the_template_and_ends_with_the_turn(opening, completion):
    tokenizer, text = Chat(), f"[system]가<end>\n[user]나<end>\n[assistant]{opening}"
    tokenizer.opening = opening
    turns = [{"role": "system", "content": "가"}, {"role": "user", "content": "나"}]
    assert tokens.encode(turns, " 서울\n", tokenizer) == (text, completion, ids(text), ids(completion))


def test_a_template_without_an_end_of_turn_gets_the_tokenizer_s():
    class Endless(Chat):
        opening = ""

        def apply_chat_template(self, turns, **options):
            return super().apply_chat_template(turns, **options).replace("<end>", "")

    assert tokens.encode([{"role": "user", "content": "나"}], "서울", Endless()).completion == "서울<end>"


THOUGHT = "<think>\nWeil.\n</think>\n\nSo."


@pytest.mark.parametrize(("opening", "completion"), [("", THOUGHT), ("<think>\n", THOUGHT.removeprefix("<think>\n"))])
@pytest.mark.parametrize("strips", [False, True], ids=["keeps reasoning", "takes reasoning out"])
def test_a_chat_keeps_its_reasoning_whatever_the_template_does(opening, completion, strips):
    class Reasoner(Chat):
        def apply_chat_template(self, turns, **options):
            short = [{**turn, "content": turn["content"].rpartition("</think>")[2]} for turn in turns]
            return super().apply_chat_template(short if strips else turns, **options)

    tokenizer = Reasoner()
    tokenizer.opening = opening
    made = tokens.encode([{"role": "user", "content": "?"}], THOUGHT, tokenizer)
    assert (made.prompt, made.completion) == (f"[user]?<end>\n[assistant]{opening}", f"{completion}<end>")


def test_a_chat_without_a_template_says_what_to_write():
    with pytest.raises(HftError) as error:
        tokens.encode([{"role": "user", "content": "가"}], "나", Characters())
    assert error.value.message == (
        "this model's tokenizer has no chat template\n"
        "  Fix: write prompt.format: instruction or question, or use the Instruct model"
    )
