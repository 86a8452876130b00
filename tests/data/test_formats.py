"""Prompts: the exact text of each format."""

import pytest

from hft.data import formats

ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
SHORT = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
ROW = {"context": " 한강은 서울을 지난다.\n", "question": " 어디를 지나나? ", "answer": " 서울 "}


FORMATS = [  # format, row, told, prompt, answer
    ("question", ROW, None, "한강은 서울을 지난다.\n\nQuestion: 어디를 지나나?\nAnswer:", " 서울 "),
    (
        "question",
        ROW,
        "Use its words.",
        "Use its words.\n\n한강은 서울을 지난다.\n\nQuestion: 어디를 지나나?\nAnswer:",
        " 서울 ",
    ),
    ("question", {**ROW, "context": " "}, None, "Question: 어디를 지나나?\nAnswer:", " 서울 "),
    ("question", {"context": 1, "question": 2, "answer": 3}, None, "1\n\nQuestion: 2\nAnswer:", "3"),
    (
        "instruction",
        {"instruction": " 번역하라 ", "input": " dog\n", "output": "개"},
        None,
        f"{ALPACA}\n\n### Instruction:\n번역하라\n\n### Input:\ndog\n\n### Response:",
        "개",
    ),
    (
        "instruction",
        {"instruction": "인사하라", "input": "", "output": "안녕"},
        None,
        f"{SHORT}\n\n### Instruction:\n인사하라\n\n### Response:",
        "안녕",
    ),
    (
        "instruction",
        {"instruction": "인사하라", "input": None, "output": "안녕"},
        None,
        f"{SHORT}\n\n### Instruction:\n인사하라\n\n### Response:",
        "안녕",
    ),
    (
        "instruction",
        {"instruction": "인사하라", "output": "안녕"},
        "너는 비서다.",
        "너는 비서다.\n\n### Instruction:\n인사하라\n\n### Response:",
        "안녕",
    ),
    (
        "instruction",
        ROW,
        None,
        f"{ALPACA}\n\n### Instruction:\n어디를 지나나?\n\n### Input:\n한강은 서울을 지난다.\n\n### Response:",
        " 서울 ",
    ),
    ("chat", ROW, None, [{"role": "user", "content": "한강은 서울을 지난다.\n\n어디를 지나나?"}], " 서울 "),
    (
        "chat",
        {"instruction": "인사하라", "input": "", "output": "안녕"},
        "너는 비서다.",
        [{"role": "system", "content": "너는 비서다."}, {"role": "user", "content": "인사하라"}],
        "안녕",
    ),
    (
        "chat",
        {"messages": [{"role": "user", "content": "가", "id": 7}, {"role": "assistant", "content": "나"}]},
        None,
        [{"role": "user", "content": "가"}],
        "나",
    ),
    (
        "reasoning",
        {"Question": " Why? ", "Complex_CoT": " Because.\n", "Response": " So. "},
        None,
        f"""{formats.EXPERT}

### Instruction:
{formats.MEDICAL}

### Question:
Why?

### Response:
<think>
""",
        "Because.\n</think>\nSo.",
    ),
    (
        "reasoning",
        {"question": "Why?", "input": "It is.", "reasoning": "A.", "answer": "B."},
        "Be brief.",
        f"{formats.EXPERT}\n\n### Instruction:\nBe brief.\n\n### Question:\nWhy?\n\nIt is.\n\n### Response:\n<think>\n",
        "A.\n</think>\nB.",
    ),
    (
        "codeio",
        {
            "kind": "input",
            "problem": "Double it.",
            "requirements": "",
            "code": "def f(n): ...\n",
            "name": "f",
            "output_json": "4",
            "answer": "x",
        },
        "Guess.",
        "Double it.\n\n### Code:\n```python\ndef f(n): ...\n```\n\n### Output of `f`:\n4\n\n"
        '### Task:\nGuess. {"input": ...}\n\n'
        "### Response:",
        "x",
    ),
    (
        "ko_en",
        {"ko": "개", "en": "dog"},
        None,
        f"{ALPACA}\n\n### Instruction:\nTranslate this Korean text into English.\n\n### Input:\n개\n\n### Response:",
        "dog",
    ),
    (
        "en_ko",
        {"ko": "개", "en": "dog"},
        "번역",
        f"{ALPACA}\n\n### Instruction:\n번역\n\n### Input:\ndog\n\n### Response:",
        "개",
    ),
    (
        "chat",
        {"Question": "Why?", "Complex_CoT": "Because.", "Response": "So."},
        None,
        [{"role": "user", "content": "Why?"}],
        "<think>\nBecause.\n</think>\n\nSo.",
    ),
    (
        "chat",
        {**ROW, "messages": []},
        None,
        [{"role": "user", "content": "한강은 서울을 지난다.\n\n어디를 지나나?"}],
        " 서울 ",
    ),
]
LACKING = [
    ("question", {"Question": "가", "Answer": "나"}, "'context'; the row has: Question, Answer"),
    (
        "question",
        {"context": "가", "question": "나", "answer": None},
        "'answer'; the row has: context, question, answer (answer is null)",
    ),
    ("instruction", {"prompt": "가"}, "'instruction' or 'question'; the row has: prompt"),
    ("instruction", {"instruction": "가"}, "'output' or 'answer'; the row has: instruction"),
    ("chat", {"answer": "가"}, "'question' or 'Question' or 'instruction'; the row has: answer"),
    ("reasoning", {"question": "가", "answer": "나"}, "'reasoning' or 'Complex_CoT'; the row has: question, answer"),
    ("codeio", {"problem": "가"}, "'kind'; the row has: problem"),
    ("ko_en", {"한국어": "가", "en": "나"}, "'ko'; the row has: 한국어, en"),
    ("en_ko", {"ko": "가"}, "'en'; the row has: ko"),
]


@pytest.mark.parametrize(
    ("name", "row", "told", "prompt", "answer"), FORMATS, ids=[f"{i}-{one[0]}" for i, one in enumerate(FORMATS)]
)
def test_a_row_becomes_exactly_this(name, row, told, prompt, answer):
    assert formats.FORMATS[name](row, told) == (prompt, answer)


def test_every_format_is_in_the_tables():
    assert {one[0] for one in FORMATS} == {one[0] for one in LACKING} == set(formats.FORMATS)


@pytest.mark.parametrize(("name", "row", "said"), LACKING, ids=[f"{i}-{one[0]}" for i, one in enumerate(LACKING)])
def test_a_missing_column_is_named_with_those_that_are_there(name, row, said):
    with pytest.raises(KeyError) as error:
        formats.FORMATS[name](row, None)
    assert error.value.args == (said,)


@pytest.mark.parametrize(
    ("name", "row", "prompt"),
    [
        ("chat", {**ROW, "context": " \n"}, [{"role": "user", "content": "어디를 지나나?"}]),
        ("chat", {"instruction": "더하라", "input": 42, "output": 43}, [{"role": "user", "content": "42\n\n더하라"}]),
        (
            "instruction",
            {"instruction": "더하라", "input": 42, "output": 43},
            f"{ALPACA}\n\n### Instruction:\n더하라\n\n### Input:\n42\n\n### Response:",
        ),
    ],
)
def test_a_blank_context_is_none_and_a_number_is_text(name, row, prompt):
    assert formats.FORMATS[name](row, None)[0] == prompt


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("instruction", {"instruction": " ", "input": "가", "output": "나"}),
        ("question", {"context": "가", "question": "\n", "answer": "나"}),
        ("reasoning", {"question": "", "context": "가", "reasoning": "다", "answer": "나"}),
        ("codeio", {"kind": "input", "name": "f", "code": "", "output_json": "4", "answer": "나"}),
        ("codeio", {"kind": "input", "name": "f", "code": "pass", "output_json": " ", "answer": "나"}),
        ("ko_en", {"ko": "", "en": "나"}),
        ("en_ko", {"ko": "나", "en": ""}),
    ],
    ids=str,
)
def test_a_row_that_asks_nothing_has_no_prompt(name, row):
    assert formats.FORMATS[name](row, "Be brief.") == ("", "")


def test_a_chat_that_asks_nothing_has_no_turns():
    assert formats.chat({"context": "가", "question": "", "answer": "나"}, "Be brief.") == ([], "")
    assert formats.chat({"messages": []}, "Be brief.") == ([], "")


@pytest.mark.parametrize("name", ["context", "question", "answer", "reasoning"])
@pytest.mark.parametrize("value", [["가"], {"text": "가"}])
def test_a_list_or_an_object_is_no_text_and_never_stands_in_a_prompt(name, value):
    row = {"context": "가", "question": "나?", "answer": "다", "reasoning": "라", name: value}
    kind = "a list" if isinstance(value, list) else "an object"
    with pytest.raises(ValueError, match=f"^'{name}' is {kind}, not a text$"):
        formats.reasoning(row, None)
    with pytest.raises(ValueError, match=f"^'{name}' is {kind}, not a text$"):
        formats.chat(row, None)


def test_one_prompt_makes_a_row_for_a_format_with_columns_of_its_own():
    row = formats.asked("배가 온다", "")
    assert f"Translate: {row['en']}" == "Translate: 배가 온다"
    assert row["ko"] == "배가 온다", "a second column must not end in a KeyError"
    assert formats.question(row, None)[0] == "Question: 배가 온다\nAnswer:"
