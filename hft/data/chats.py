"""A conversation in the form of a tokenizer's chat template, with nothing that the template leaves out in silence."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hft.data.formats import THINK
from hft.data.messages import Messages, short, split
from hft.errors import HftError

END = "the answer's end"  # stands for an answer, to see what a template writes behind one


def render(prompt: Messages, tokenizer: Any, **how: Any) -> str:
    """The conversation as text, with the tools that its first turn carries.

    Raises HftError where the template refuses it or leaves out a text, a tool call or the tools. The last turn is not
    looked at where it is the assistant's: templates may take the reasoning out of it.
    """
    turns, tools = split(prompt)
    if tools:
        how["tools"] = tools

    def written(turns: Messages, **other: Any) -> str:
        return tokenizer.apply_chat_template(turns, tokenize=False, **{**how, **other})

    problem = ""
    for form in forms(turns):
        try:
            text = written(form)
        except Exception as refused:  # templates raise what they like: TemplateError, TypeError of a + None
            problem = problem or f"this model's chat template refuses the conversation: {refused}"
            continue
        lost = left_out(form, bool(tools), text, written)
        if not lost:
            return text
        problem = f"this model's chat template leaves out {lost}"
    raise HftError(problem, "leave such rows out, or take a model whose template can write them")


def forms(turns: Messages) -> Iterator[Messages]:
    """The conversation in the ways that templates expect tool calls: arguments as an object or a text, content null."""
    yield turns
    if not any("tool_calls" in turn for turn in turns):
        return
    for content, arguments in ((False, True), (True, False), (True, True)):
        yield [rewritten(turn, content, arguments) if "tool_calls" in turn else turn for turn in turns]


def rewritten(turn: dict, null: bool, as_text: bool) -> dict:
    """A turn with its calls' arguments as JSON texts, with null for an empty content, or with both."""
    calls = turn["tool_calls"]
    if as_text:
        calls = [changed(one, arguments=json.dumps(one["function"]["arguments"], ensure_ascii=False)) for one in calls]
    return {**turn, "tool_calls": calls, "content": turn["content"] or None if null else turn["content"]}


def changed(call: dict, **other: Any) -> dict:
    """A call with another name or other arguments."""
    return {**call, "function": {**call["function"], **other}}


def left_out(turns: Messages, tools: bool, text: str, written: Callable[..., str]) -> str | None:
    """The first thing of a conversation whose change would change nothing in the text; None where all is read."""

    def unread(other_turns: Messages, **other: Any) -> bool:
        try:
            return written(other_turns, **other) == text
        except Exception:  # it is read, or its absence would not be noticed
            return False

    if tools and unread(turns, tools=[{"type": "function", "function": {"name": END}}]):
        return "the row's 'tools'"
    for place, turn in enumerate(turns):
        words, where = turn.get("content"), f"the turn of the role '{turn.get('role')}'"
        if place == len(turns) - 1 and turn.get("role") == "assistant":
            continue
        other = {**turn, "content": f"{words} {END}"}
        missing = isinstance(words, str) and words.strip() not in text
        if missing and unread([*turns[:place], other, *turns[place + 1 :]]):
            return f"the text of {where}: {short(words)}"
        for call in turn.get("tool_calls", ()):
            renamed = [changed(one, name=END) if one is call else one for one in turn["tool_calls"]]
            if unread([*turns[:place], {**turn, "tool_calls": renamed}, *turns[place + 1 :]]):
                return f"the call of '{call['function']['name']}' in {where}"
    return None


def completion(prompt: Messages, text: str, begun: str, answer: str, tokenizer: Any) -> str:
    """What the model is to write behind `text`, the rendered prompt and what of the answer has `begun` there.

    As the template writes the turn where it begins like `text` and holds the whole answer. Some take the reasoning out,
    or open it in the prompt alone: then it is the answer as it stands. It ends with what ends a turn.
    """
    whole = render([*prompt, {"role": "assistant", "content": begun + answer}], tokenizer)
    rest = whole[len(text) :].rstrip("\n") if whole.startswith(text) else ""
    thought, _, said = (part.strip() for part in answer.rpartition(THINK[1]))
    if not rest or said not in rest or thought.removeprefix(THINK[0]).strip() not in rest:
        return answer + end_of_turn(prompt, tokenizer)
    return f"{rest}{tokenizer.eos_token}" if said and rest.endswith(said) else rest


def end_of_turn(prompt: Messages, tokenizer: Any) -> str:
    """What the template writes behind an answer, but the line end in front of a next turn; else the tokenizer's own."""
    whole = render([*prompt, {"role": "assistant", "content": END}], tokenizer)
    return (whole.rpartition(END)[2].rstrip("\n") if END in whole else "") or tokenizer.eos_token
