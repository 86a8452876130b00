"""Built-in rewards against a table of completions: the GRPO guides' scores with `compat: seed`, else the sound ones."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hft.evaluate import rewards
from hft.evaluate.reasoning import Tags

NAMES = ("format_exact", "format_approximate", "answer", "number", "language")
TABLE = [
    json.loads(line)
    for line in (Path(__file__).parent / "rewards.golden.jsonl").read_text(encoding="utf-8").splitlines()
]
RANGES = {
    "format_exact": (0, 3),
    "format_approximate": (-2, 1),
    "answer": (-4.5, 5),
    "number": (-2.5, 3.5),
    "language": (-5, 5),
}
OPENED = Tags(opened=True)


def score(name, text, truth, compat=None, tags=Tags()):  # noqa: B008  a named tuple never changes
    message = {"role": "assistant"} if text is None else {"role": "assistant", "content": text}
    options = {"wanted": "id"} if name == "language" else {}
    return rewards.BUILT_IN[name](completions=[[message]], answer=[truth], tags=tags, compat=compat, **options)[0]


def test_the_table_is_large_enough():
    assert len(TABLE) >= 40


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["what"])
@pytest.mark.parametrize("compat", ["seed", None], ids=["seed", "sound"])
def test_scores_of_the_table(row, compat):
    assert [score(name, row["completion"], row["truth"], compat) for name in NAMES] == row[compat or "sound"]


def total(row, rules):
    return sum(row[rules])


def test_no_worthless_completion_earns_more_than_an_honest_wrong_answer():
    rows = {row["what"]: row for row in TABLE}
    worthless = (
        "empty",
        "white space",
        "only tags",
        "only the end tag",
        "no answer",
        "echo of the prompt",
        "no end tag",
        "tags the wrong way round",
        "number in the reasoning, no answer",
        "malformed: no content",
        "end tag and answer",
    )
    assert max(total(rows[name], "sound") for name in worthless) < total(rows["wrong"], "sound")
    assert total(rows["number stuffed into the reasoning"], "sound") == total(rows["wrong"], "sound")
    assert total(rows["number stuffed into the reasoning"], "seed") > total(
        rows["wrong"], "seed"
    )  # why it is not the default


TEXTS = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "34",
            "-",
            ".",
            ",",
            "1,000",
            "nan",
            "inf",
            "\\boxed{",
            "}",
            " ",
            "\n",
            "kata",
            "word",
            "$x$",
            "<|im_end|>",
            "٣",
            "²",
            "1e999",
        ]
    )
    | st.text(max_size=6),
    max_size=12,
).map("".join)
TRUTHS = st.sampled_from(["34", "0", "-1.5", "1,234", "A", "", "nan", "inf", "1e999"]) | st.text(max_size=5)


@settings(deadline=None, database=None, max_examples=150)
@given(text=TEXTS | st.none(), truth=TRUTHS, opened=st.booleans())
@example(text="</think>" + "9" * 400, truth="0", opened=True)
@pytest.mark.parametrize("compat", ["seed", None], ids=["seed", "sound"])
@pytest.mark.parametrize("name", ["format_exact", "format_approximate", "answer", "number"])
def test_every_score_is_in_its_range(name, compat, text, truth, opened):
    low, high = RANGES[name]
    given_ = score(name, text, truth, compat, Tags(opened=opened))
    assert math.isfinite(given_)
    assert low <= given_ <= high


@settings(deadline=None, database=None, max_examples=60)
@given(text=TEXTS | st.none())
@pytest.mark.parametrize("compat", ["seed", None], ids=["seed", "sound"])
def test_the_language_score_is_one_of_three(text, compat):
    assert score("language", text, "", compat) in (5.0, -3.0, -5.0)


def test_a_template_that_opens_the_reasoning_leaves_the_start_tag_to_the_prompt():
    assert score("format_approximate", "a</think>b", "b", tags=OPENED) == 1.0
    assert score("format_approximate", "<think>a</think>b", "b", tags=OPENED) == 1.0
    assert score("format_approximate", "<think>a<think></think>b", "b", tags=OPENED) == -0.5


def test_text_completions_are_scored_as_chats_are():
    assert rewards.format_exact(["<think>a</think>b"], tags=Tags()) == [3.0]


THOUGHT = "<think>a</think>"


@pytest.mark.parametrize(
    ("text", "truth", "scores"),  # with untagged: 0, 0.5 and 1
    [
        (f"{THOUGHT}34", "34", [5.0, 5.0, 5.0]),
        ("34", "34", [-4.5, 2.5, 5.0]),
        ("17 + 17 = 34. So the answer is 34.", "34", [-4.5, 2.5, 5.0]),
        ("</think>34", "34", [-4.5, 2.5, 5.0]),
        ("36", "34", [-4.5, 1.0, 2.0]),
        (f"{THOUGHT}50", "34", [-2.5, -2.5, -2.5]),
        ("50", "34", [-4.5, -2.5, -2.5]),  # as a wrong answer between tags: no share of a loss
        ("no number", "34", [-4.5, -4.5, -4.5]),
        ("", "34", [-4.5, -4.5, -4.5]),
        (None, "34", [-4.5, -4.5, -4.5]),
    ],
)
def test_an_answer_without_tags_earns_the_share_that_the_recipe_says(text, truth, scores):
    said = [[{"role": "assistant", "content": text}]]
    assert [rewards.answer(said, [truth], tags=Tags(), untagged=share)[0] for share in (0.0, 0.5, 1.0)] == scores


@pytest.mark.parametrize(
    ("answer", "truth", "score"),
    [
        ("Jadi jawabannya 36.", "34", 2.0),
        ("36 km", "34", 2.0),
        ("40", "34", 1.5),
        ("bukan 34", "34", -4.5),
        ("34 atau 35", "34", -4.5),
        (r"\sqrt{34}", "34", -4.5),
        ("9007199254740992", "9007199254740993", 2.0),
        ("34 m", "34 cm", -2.5),
        ("3", r"\sqrt{3}", -4.5),
        ("1", "0", -2.5),
    ],
)
def test_what_is_not_right_is_near_far_or_unreadable(answer, truth, score):
    assert rewards.answer([f"{THOUGHT}{answer}"], [truth], tags=Tags()) == [score]


@pytest.mark.parametrize(
    ("answer", "truth", "language", "score"),
    [
        ("Jadi 12 + 22 = 34.", "34", None, 3.5),
        ("1.234", "1234", "id", 3.5),
        ("1.234", "1234", None, -1.5),
        ("34 atau 35", "34", None, -2.5),
        ("lebih dari 34", "34", None, -2.5),
        ("3", r"\sqrt{3}", None, -1.5),
    ],
)
def test_the_number_is_taken_from_the_answer_as_its_truth_is_compared(answer, truth, language, score):
    assert rewards.number([f"{THOUGHT}{answer}"], [truth], tags=Tags(language=language)) == [score]


@pytest.mark.parametrize("thought", ["I use </think> to end", "I quote <think> here", "<think>", "</think></think>"])
def test_tags_that_reasoning_mentions_cost_the_format_and_not_the_answer(thought):
    text = f"<think>a {thought}</think>34"
    assert rewards.answer([text], ["34"], tags=Tags()) == [5.0]
    assert rewards.number([text], ["34"], tags=Tags()) == [3.5]
    assert rewards.format_exact([text], tags=Tags()) == [0.0]


@pytest.mark.parametrize("name", [*NAMES, "codeio"])
def test_a_reward_says_what_it_gives_without_tags(name):
    assert "without tags: " in rewards.BUILT_IN[name].__doc__
