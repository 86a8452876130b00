"""Conversations of a row: what becomes of their turns, and the field that is named where one cannot be trained on."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data import formats, messages

ASK, REPLY = {"role": "user", "content": "왜?"}, {"role": "assistant", "content": "그냥."}
CALL = {"type": "function", "id": "c1", "function": {"name": "weather", "arguments": '{"city": "서울"}'}}


def chat(*turns, told=None, **columns):
    return formats.chat({"messages": list(turns), **columns}, told)


@pytest.mark.parametrize(
    ("told", "turns", "prompt"),
    [
        (
            None,
            [{"role": "system", "content": "너는 비서다."}, ASK],
            [{"role": "system", "content": "너는 비서다."}, ASK],
        ),
        ("짧게.", [ASK], [{"role": "system", "content": "짧게."}, ASK]),
        (
            "짧게.",
            [{"role": "system", "content": "너는 비서다."}, {"role": "system", "content": "친절하게."}, ASK],
            [{"role": "system", "content": "짧게.\n\n너는 비서다.\n\n친절하게."}, ASK],
        ),
        ("짧게.", [{"role": "system", "content": " "}, ASK], [{"role": "system", "content": "짧게."}, ASK]),
        (None, [{"role": "system", "content": None}, ASK], [ASK]),
        (
            None,
            [ASK, REPLY, {"role": "system", "content": "이제 길게."}, ASK],
            [ASK, REPLY, {"role": "system", "content": "이제 길게."}, ASK],
        ),
        # What templates know of a turn stays; an id or a weight is the data's own.
        (
            None,
            [{**ASK, "name": "민수", "id": 7, "weight": 1.0}, {**REPLY, "reasoning_content": "음"}, ASK],
            [{**ASK, "name": "민수"}, {**REPLY, "reasoning_content": "음"}, ASK],
        ),
        # Parquet has a null in every place that another row fills.
        (
            None,
            [{**ASK, "tool_calls": None, "name": None}, {**REPLY, "tool_calls": []}, ASK],
            [ASK, REPLY, ASK],
        ),
        (
            None,
            [{"role": "user", "content": [{"type": "text", "text": "가"}, {"type": "text", "text": "나"}, "다"]}],
            [{"role": "user", "content": "가\n나\n다"}],
        ),
        (
            None,
            [ASK, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "비", "tool_call_id": "c1"}],
            [
                ASK,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": {"city": "서울"}}}],
                },
                {"role": "tool", "content": "비", "tool_call_id": "c1"},
            ],
        ),
        (
            None,
            [ASK, {"role": "assistant", "content": None, "tool_calls": [{"name": "now", "arguments": None}]}],
            [
                ASK,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": {}}}],
                },
            ],
        ),
    ],
)
def test_turns_become_what_templates_read(told, turns, prompt):
    made, answer = chat(*turns, REPLY, told=told)
    assert answer == "그냥."
    assert [{key: turn[key] for key in sorted(turn)} for turn in made] == [
        {key: turn[key] for key in sorted(turn)} for turn in prompt
    ]
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize("tools", [[{"name": "now"}], '[{"name": "now"}]'])
def test_tools_stand_in_the_first_turn_and_are_told_apart_from_it(tools):
    made, _ = chat(ASK, REPLY, tools=tools)
    assert made == [{**ASK, "tools": [{"name": "now"}]}]
    assert messages.split(made) == ([ASK], [{"name": "now"}])
    assert messages.split([ASK]) == ([ASK], None)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_the_last_turn_s_reasoning_stands_in_front_of_the_answer(name):
    assert chat(ASK, {**REPLY, name: " 음.\n"})[1] == "<think>\n음.\n</think>\n\n그냥."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"messages": "[]"}, "'messages' of the row is a text, not a list of objects"),
        ({"messages": {"role": "user"}}, "'messages' of the row is an object, not a list of objects"),
        ({"messages": ["왜?"]}, "turn 1 of 'messages' is a text, not an object with role and content"),
        ({"messages": [ASK, None]}, "turn 2 of 'messages' is null, not an object with role and content"),
        ({"messages": [{"content": "왜?"}]}, "turn 1 of 'messages' has no 'role'; it has: content"),
        (
            {"messages": [{"from": "human", "value": "왜?"}]},
            "turn 1 of 'messages' has no 'role'; it has: from, value",
        ),
        ({"messages": [{"role": "user"}, REPLY]}, "turn 1 of 'messages' has no 'content'; it has: role"),
        (
            {"messages": [{"role": "user", "content": 5}, REPLY]},
            "'content' of turn 1 of 'messages' is a number, not a text",
        ),
        (
            {"messages": [{"role": "user", "content": {"text": "왜?"}}, REPLY]},
            "'content' of turn 1 of 'messages' is an object, not a text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, REPLY]},
            "part 1 of 'content' of turn 1 of 'messages' is of the type 'image_url', not a text",
        ),
        (
            {"messages": [{"role": "user", "content": ["가", 5]}, REPLY]},
            "part 2 of 'content' of turn 1 of 'messages' is a number, not a text",
        ),
        ({"messages": [ASK]}, "turn 1 of 'messages', the last, has the role 'user'; it must be the assistant's"),
        (
            {"messages": [ASK, {"role": "assistant", "tool_calls": [CALL]}]},
            "turn 2 of 'messages', the last, has 'tool_calls'; what is trained and asked is an answer in words",
        ),
        (
            {"messages": [ASK, {**REPLY, "tool_calls": "weather()"}]},
            "'tool_calls' of turn 2 of 'messages' is a text, not a list of objects",
        ),
        (
            {"messages": [ASK, {**REPLY, "tool_calls": [{"id": "c1"}]}]},
            "'tool_calls' of turn 2 of 'messages' holds a call without a name: {\"id\": \"c1\"}",
        ),
        (
            {"messages": [ASK, {**REPLY, "tool_calls": [{"name": "f", "arguments": "서울"}]}]},
            "the arguments of 'f' in turn 2 of 'messages' are no object: \"서울\"",
        ),
        (
            {"messages": [ASK, {**REPLY, "function_call": {"name": "f"}}]},
            "turn 2 of 'messages' has 'function_call': write it as 'tool_calls', as templates read it",
        ),
        (
            {"messages": [ASK, {**REPLY, "reasoning_content": ["음"]}]},
            "'reasoning_content' of turn 2 of 'messages' is a list, not a text",
        ),
        ({"messages": [ASK, REPLY], "tools": "weather"}, "'tools' of the row is a text, not a list of objects"),
        ({"messages": [ASK, REPLY], "tools": [{"type": "function"}]}, "entry 1 of 'tools' has no name: "),
    ],
    ids=str,
)
def test_what_cannot_be_trained_on_is_named_with_turn_and_field(given, said):
    with pytest.raises(ValueError) as error:
        formats.chat(given, None)
    assert str(error.value).startswith(said)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function", "name", "text"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"])}, optional={"content": ANY, "tool_calls": ANY}
    ),
    max_size=4,
)


@settings(deadline=None, database=None, max_examples=300)
@given(turns=ANY | TURNS, tools=ANY)
def test_any_conversation_is_json_that_templates_read_or_an_error_with_a_field(turns, tools):
    try:
        prompt, answer = formats.chat({"messages": turns, "question": "왜?", "answer": "나", "tools": tools}, "짧게.")
    except ValueError as error:
        assert "'" in str(error) or "turn" in str(error)
        return
    assert json.loads(json.dumps(prompt)) == prompt
    assert isinstance(answer, str)
    assert all(isinstance(turn["role"], str) and isinstance(turn["content"], str) for turn in prompt)
