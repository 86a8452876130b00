"""A row's conversation as chat templates take it: `messages` with roles, texts and tool calls, and the row's `tools`.

What cannot be trained on as it is written raises ValueError, with the turn and the field.
"""

import json
from typing import Any

Messages = list[dict[str, Any]]
# What templates read of a turn; a turn's other keys (an id, a weight) are the data's own affair.
KNOWN = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning", "thinking")
THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def conversation(row: dict, told: str | None) -> tuple[Messages, str, str]:
    """(the turns up to the last, the reasoning of the last, its text); no turns where nothing is asked.

    The instruction comes first: in one system turn with the row's own, a blank line between them, as many templates
    read the first system turn only. The row's `tools` stand in the first turn under that name, where `split` finds
    them. Raises ValueError, with turn and field, for what no template could be given.
    """
    *before, last = [turn(given, number) for number, given in enumerate(listed(row["messages"], "messages"), 1)]
    end = f"turn {len(before) + 1} of 'messages', the last,"
    if last["role"] != "assistant":
        raise ValueError(f"{end} has the role '{last['role']}'; it must be the assistant's")
    if "tool_calls" in last:
        raise ValueError(f"{end} has 'tool_calls'; what is trained and asked is an answer in words")
    asked = [one["content"] for one in before if one["role"] == "user"]
    if all(one["role"] == "system" for one in before) or not all(text.strip() for text in asked):
        return [], "", ""
    prompt = led(before, told)
    if tools := schemas(row.get("tools")):
        prompt[0] = {**prompt[0], "tools": tools}
    return prompt, next((last[name].strip() for name in THOUGHTS if last.get(name)), ""), last["content"]


def led(turns: Messages, told: str | None) -> Messages:
    """The turns with the instruction and all system turns before the first other one in one."""
    start = next((place for place, one in enumerate(turns) if one["role"] != "system"), len(turns))
    said = [text for text in (told, *(one["content"] for one in turns[:start])) if text and text.strip()]
    return [*([{"role": "system", "content": "\n\n".join(said)}] if said else []), *turns[start:]]


def turn(given: Any, number: int) -> dict[str, Any]:
    """One turn with what templates know of it; a null is as if it were not there."""
    where = f"turn {number} of 'messages'"
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {kind(given)}, not an object with role and content")
    kept = {key: value for key, value in given.items() if value is not None}
    if "function_call" in kept:
        raise ValueError(f"{where} has 'function_call': write it as 'tool_calls', as templates read it")
    if not isinstance(kept.get("role"), str):
        raise ValueError(f"{where} has no 'role'; it has: {', '.join(map(str, kept)) or 'nothing'}")
    if calls := listed(kept.pop("tool_calls", []), "tool_calls", where):
        kept["tool_calls"] = [called(call, where) for call in calls]
    elif "content" not in given:
        raise ValueError(f"{where} has no 'content'; it has: {', '.join(map(str, kept))}")
    kept["content"] = words(kept.get("content"), where)
    for name in THOUGHTS:
        if not isinstance(kept.get(name, ""), str):
            raise ValueError(f"'{name}' of {where} is {kind(kept[name])}, not a text")
    return {name: kept[name] for name in KNOWN if name in kept}


def words(content: Any, where: str = "a turn") -> str:
    """A turn's content as one text; text parts are joined by line ends, as llama.cpp's and vLLM's servers do."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ValueError(f"'content' of {where} is {kind(content)}, not a text")
    parts = []
    for number, part in enumerate(content, 1):
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            what = f"of the type {part.get('type')!r}" if isinstance(part, dict) else kind(part)
            raise ValueError(f"part {number} of 'content' of {where} is {what}, not a text")
        parts.append(text)
    return "\n".join(parts)


def called(call: Any, where: str) -> dict[str, Any]:
    """A tool call in the form that templates read: its arguments as an object, though OpenAI writes them as a text."""
    function = named(call)
    if function is None:
        raise ValueError(f"'tool_calls' of {where} holds a call without a name: {short(call)}")
    given = function.get("arguments")
    arguments = parsed(given) if isinstance(given, str) and given.strip() else given or {}
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of '{function['name']}' in {where} are no object: {short(given)}")
    own = {"id": call["id"]} if call.get("id") is not None else {}
    return {"type": "function", **own, "function": {"name": function["name"], "arguments": arguments}}


def schemas(given: Any) -> list[dict]:
    """The tools that a row offers: a list of objects, or the JSON of one; each must have a name."""
    tools = parsed(given) if isinstance(given, str) and given.strip() else given or []
    for number, tool in enumerate(listed(tools, "tools"), 1):
        if named(tool) is None:
            raise ValueError(f"entry {number} of 'tools' has no name: {short(tool)}")
    return tools


def named(given: Any) -> dict | None:
    """The function that a tool or a call is about, `{function: {name: ...}}` or `{name: ...}`; None for neither."""
    inner = given.get("function") or given if isinstance(given, dict) else None
    return inner if isinstance(inner, dict) and isinstance(inner.get("name"), str) else None


def split(prompt: Messages) -> tuple[Messages, list[dict] | None]:
    """(the turns alone, the tools that the first one carries; None for none, which templates take as no tools)."""
    if not prompt or "tools" not in prompt[0]:
        return prompt, None
    return [{key: value for key, value in prompt[0].items() if key != "tools"}, *prompt[1:]], prompt[0]["tools"]


def listed(given: Any, name: str, where: str = "the row") -> list:
    """A list as it is. Raises ValueError for anything else."""
    if not isinstance(given, list):
        raise ValueError(f"'{name}' of {where} is {kind(given)}, not a list of objects")
    return given


def parsed(text: str) -> Any:
    """What a JSON text holds; the text itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def short(value: Any) -> str:
    """The beginning of a value, as JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:80]}..."


def kind(value: Any) -> str:
    """What a value is, in a user's words."""
    said = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return said.get(type(value), "null" if value is None else f"a {type(value).__name__}")
