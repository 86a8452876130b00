"""Chats in six models' own templates: where the prompt ends, what is trained, what a template cannot write."""

import json
from pathlib import Path

import pytest
import templates
import trl
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data import formats, tokens
from hft.errors import HftError

ASKED = {"question": "Why?", "answer": "So."}
THOUGHT = {"Question": "Why?", "Complex_CoT": "Because.", "Response": "So."}
OPENS = {  # how a model's turn begins
    "Qwen3": "<|im_start|>assistant\n",
    "DeepSeek-R1-Distill": "<｜Assistant｜><think>\n",
    "DeepSeek-R1-0528-Qwen3": "<｜Assistant｜>",
    "Llama-3.1": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "Qwen2.5": "<|im_start|>assistant\n",
    "SmolLM2": "<|im_start|>assistant\n",
}
NONE, SOME = "<think>\n\n</think>\n\n", "<think>\nBecause.\n</think>\n\n"
TRAINED = {  # the answer without and with reasoning in front of it
    "Qwen3": (f"{NONE}So.<|im_end|>", f"{SOME}So.<|im_end|>"),
    "DeepSeek-R1-Distill": (
        "\n</think>\n\nSo.<｜end▁of▁sentence｜>",
        "Because.\n</think>\n\nSo.<｜end▁of▁sentence｜>",
    ),
    "DeepSeek-R1-0528-Qwen3": ("So.<｜end▁of▁sentence｜>", f"{SOME}So.<｜end▁of▁sentence｜>"),
    "Llama-3.1": ("So.<|eot_id|>", f"{SOME}So.<|eot_id|>"),
    "Qwen2.5": ("So.<|im_end|>", f"{SOME}So.<|im_end|>"),
    "SmolLM2": ("So.<|im_end|>", f"{SOME}So.<|im_end|>"),
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
EVERY = pytest.mark.parametrize("name", templates.ALL)


def encode(name, row, told=None, prefill=""):
    return tokens.encode(*formats.chat(row, told), templates.tokenizer(name), prefill)


def rendered(name, turns, **how):
    return templates.tokenizer(name).apply_chat_template(turns, tokenize=False, **how)


def called(content=None, arguments='{"city": "서울"}', tools=TOOLS):
    """A conversation in which a tool is asked, as OpenAI's interface writes it."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "비가"}, {"type": "text", "text": "오나?"}]},
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "name": "weather", "tool_call_id": "c1", "content": "맑음"},
        {"role": "assistant", "content": "아니요."},
    ]
    return {"messages": turns, "tools": tools}


@EVERY
@pytest.mark.parametrize("row", [ASKED, THOUGHT], ids=["answer", "reasoning"])
@pytest.mark.parametrize("told", [None, "Be brief."])
def test_a_prompt_ends_where_the_model_begins_and_the_target_is_whole(name, row, told):
    made = encode(name, row, told)
    head = [{"role": "system", "content": told}] if told else []
    turns = [*head, {"role": "user", "content": "Why?"}]
    assert made.prompt == rendered(name, turns, add_generation_prompt=True)
    assert made.prompt.endswith(OPENS[name])
    assert made.completion == TRAINED[name][row is THOUGHT]
    assert made.completion_ids[-1] == templates.tokenizer(name).eos_token_id
    assert templates.tokenizer(name).decode(made.prompt_ids + made.completion_ids) == made.prompt + made.completion


@EVERY
def test_prompt_and_target_are_the_template_s_whole_conversation_where_it_writes_all_of_it(name):
    for row, content in ((ASKED, "So."), (THOUGHT, f"{SOME}So.")):
        made = encode(name, row)
        turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": content}]
        whole = rendered(name, turns).rstrip("\n")
        if name == "DeepSeek-R1-Distill" or (name == "DeepSeek-R1-0528-Qwen3" and row is THOUGHT):
            assert "<think>" not in whole  # it takes the reasoning out, and with it what its own prompt has opened
        else:
            assert made.prompt + made.completion == whole


@EVERY
@pytest.mark.parametrize("row", [ASKED, THOUGHT], ids=["answer", "reasoning"])
@pytest.mark.parametrize("prefill", ["", "<think>\n", "<think>"])
def test_a_think_block_is_never_half(name, row, prefill):
    made = encode(name, row, prefill=prefill)
    whole = made.prompt + made.completion
    assert whole.count("<think>") == whole.count("</think>") <= 1
    before, _, behind = whole.rpartition("</think>")
    assert before.count("<think>") == whole.count("<think>")
    assert behind.removesuffix(templates.tokenizer(name).eos_token).endswith("So.")
    assert ("Because." in before) == (row is THOUGHT)


@pytest.mark.parametrize("written", ["<think>Because.</think>So.", "<think>\nBecause.\n</think>\nSo."])
def test_qwen3_s_own_line_ends_stand_in_the_target_however_a_row_writes_them(written):
    row = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": written}]}
    assert encode("Qwen3", row).completion == TRAINED["Qwen3"][1]


def test_the_last_turn_s_own_reasoning_is_trained():
    last = {"role": "assistant", "reasoning_content": "Because.", "content": "So."}
    row = {"messages": [{"role": "user", "content": "Why?"}, last]}
    assert encode("Qwen3", row).completion == TRAINED["Qwen3"][1]


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip).filter(bool)


@settings(deadline=None, database=None, max_examples=60)
@given(name=st.sampled_from(sorted(templates.ALL)), question=TEXT, answer=TEXT, thought=st.none() | TEXT)
def test_any_answer_stands_at_the_end_of_its_target(name, question, answer, thought):
    made = encode(name, {"question": question, "answer": answer, "reasoning": thought or ""})
    end = templates.tokenizer(name).eos_token
    assert made.completion.endswith(answer + end)
    assert made.completion.count(end) == 1
    assert question in made.prompt
    assert not thought or thought in made.completion


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("Qwen3", '<tool_call>\n{"name": "weather", "arguments": {"city": "서울"}}\n</tool_call>'),
        ("Qwen2.5", '<tool_call>\n{"name": "weather", "arguments": {"city": "서울"}}\n</tool_call>'),
        ("Llama-3.1", '{"name": "weather", "parameters": {"city": "서울"}}'),
    ],
)
def test_tools_calls_and_results_are_written_as_the_template_wants_them(name, call):
    for arguments in ('{"city": "서울"}', {"city": "서울"}):
        made = encode(name, called(arguments=arguments), "Be brief.")
        assert call in made.prompt
        assert '"description": "The weather of a city."' in made.prompt
        assert "비가\n오나?" in made.prompt
        assert "맑음" in made.prompt
        assert "'role'" not in made.prompt
        assert made.completion.endswith("아니요." + templates.tokenizer(name).eos_token)


@pytest.mark.parametrize("name", ["DeepSeek-R1-Distill", "DeepSeek-R1-0528-Qwen3"])
def test_a_template_that_wants_arguments_as_text_gets_text(name):
    for arguments in ('{"city": "서울"}', {"city": "서울"}):
        prompt = encode(name, called(arguments=arguments, tools=None)).prompt
        assert 'function<｜tool▁sep｜>weather\n```json\n{"city": "서울"}\n```<｜tool▁call▁end｜>' in prompt


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("SmolLM2", called(), "leaves out the row's 'tools'"),
        ("DeepSeek-R1-Distill", called(), "leaves out the row's 'tools'"),
        ("SmolLM2", called(tools=None), "leaves out the call of 'weather' in the turn of the role 'assistant'"),
        ("Llama-3.1", called("보자."), "leaves out the text of the turn of the role 'assistant': \"보자.\""),
        (
            "DeepSeek-R1-Distill",
            called("보자.", tools=None),
            "leaves out the call of 'weather' in the turn of the role 'assistant'",
        ),
        (
            "Qwen2.5",
            {"messages": [{"role": "human", "content": "왜?"}, {"role": "assistant", "content": "그냥."}]},
            "leaves out the text of the turn of the role 'human': \"왜?\"",
        ),
        (
            "DeepSeek-R1-Distill",
            {
                "messages": [
                    {"role": "system", "content": "하나"},
                    {"role": "user", "content": "왜?"},
                    {"role": "system", "content": "둘"},
                    {"role": "user", "content": "또?"},
                    {"role": "assistant", "content": "그냥."},
                ]
            },
            "leaves out the text of the turn of the role 'system': \"하나\"",
        ),
        (
            "Llama-3.1",
            {
                "messages": [
                    {"role": "user", "content": "왜?"},
                    {"role": "assistant", "content": None, "tool_calls": called()["messages"][1]["tool_calls"] * 2},
                    {"role": "assistant", "content": "그냥."},
                ]
            },
            "refuses the conversation: This model only supports single tool-calls at once!",
        ),
    ],
)
def test_what_a_template_cannot_write_is_an_error_that_names_the_row(name, row, said):
    pairs = [formats.chat(ASKED, None), formats.chat(row, None)]
    for ids, called_it in ((None, "2"), (["a", "dialogue-7"], "dialogue-7")):
        with pytest.raises(HftError) as error:
            tokens.encode_all(pairs, templates.tokenizer(name), "train", ids=ids)
        assert error.value.message == (
            f"train row {called_it}: this model's chat template {said}\n"
            "  Fix: leave such rows out, or take a model whose template can write them"
        )


SHIPPED = {"Qwen3": "qwen3", "Qwen2.5": "qwen2_5", "DeepSeek-R1-Distill": "deepseek_r1_distill"}
SAID = st.sampled_from(["hi", " a b\n", SOME + "So.", "<think>y</think>z", "서울 'q' \"w\" <b>", ""])
CALL = st.builds(
    lambda name, city: {"type": "function", "function": {"name": name, "arguments": json.dumps({"city": city})}},
    st.sampled_from(["f", "g"]),
    SAID,
)
TURN = st.one_of(
    st.builds(lambda role, said: {"role": role, "content": said}, st.sampled_from(["user", "assistant", "tool"]), SAID),
    st.builds(
        lambda said, calls: {"role": "assistant", "content": said, "tool_calls": calls},
        st.sampled_from([None, ""]),
        st.lists(CALL, min_size=1, max_size=2),
    ),
)


@pytest.mark.parametrize(("name", "file"), SHIPPED.items())
@settings(deadline=None, database=None, max_examples=100)
@given(turns=st.lists(TURN, max_size=6), told=st.booleans(), tools=st.booleans(), opened=st.booleans())
def test_the_templates_written_out_here_are_the_models_own(name, file, turns, told, tools, opened):
    own = (Path(trl.__file__).parent / "chat_templates" / f"{file}.jinja").read_text(encoding="utf-8")
    turns = [{"role": "system" if told else "user", "content": "Hello."}, *turns]
    how = {"add_generation_prompt": opened, "tools": TOOLS if tools else None}
    assert rendered(name, turns, **how) == rendered(name, turns, chat_template=own, **how)
