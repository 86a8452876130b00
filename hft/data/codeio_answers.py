"""CodeI/O by a model: chains of thought for its questions, verified, with one revision (CodeI/O++).

And plain files to functions of the unified form.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from hft import files, machine, terminal
from hft.data import chat_endpoint, formats, rows, sources
from hft.data.sandbox import run as sandbox
from hft.data.sandbox import verdict
from hft.data.sources import codeio, jsonl
from hft.errors import HftError
from hft.recipe.file import Loaded
from hft.recipe.sources import parts
from hft.terminal import say

AGAIN = "Think again, find the mistake, and end with the corrected JSON."
UNIFY = """Rewrite the Python file below as one self-contained function, in JSON with exactly these keys:
- "problem_description": a question in words that the function answers, without mentioning code;
- "io_requirements": name, type and meaning of each input and of the output;
- "refcode": Python code with a function `main_solution(...)`, whose arguments and result JSON can hold; no input(), \
no prints, no files,
  nothing random, nothing that depends on the time;
- "funcname": "main_solution";
- "input_generator": Python code of a function `input_generator()` that returns a random, small, valid input \
as a dictionary of arguments.
Answer with the JSON alone.

```python
{code}
```"""


class Question(NamedTuple):
    """A question of `source: codeio`, with its prompt as training has it."""

    row: dict
    prompt: Any  # a text, or the messages of a chat


def answer(loaded: Loaded, out: Path, ask: Callable | None, turns: Path | None, limit: int | None) -> None:
    """Answer the recipe's CodeI/O questions twice where need be; a record goes to `out` when it is there.

    So it can go on after an end. Turn 1 comes from `ask(messages)` or from the file `turns` ({id, turn_1, and turn_2 if
    there is one}). A record: `{id, kind, prompt, turn_1, feedback_1, turn_2, feedback_2, status_1, status_2, response}`
    whose `response` holds both turns and their feedback, as CodeI/O++ trains.
    """
    questions = [
        question
        for number, part in enumerate(parts(loaded.recipe.data.train), 1)
        if part.source == "codeio"
        for question in asked(loaded, part, number)
    ][:limit]
    if not questions:
        raise HftError(f"recipe {loaded.name} has no `source: codeio`", "take one that has, such as codeio")
    given = {row["id"]: row for row in read_turns(turns)} if turns else {}
    done = {record["id"]: record for record in whole(out)}
    records = list(done.values())
    waiting = [
        question
        for question in questions
        if question.row["id"] not in done and (ask or "turn_1" in given.get(question.row["id"], {}))
    ]
    with (
        out.open("a", encoding="utf-8") as file,
        ThreadPoolExecutor(machine.cores()) as pool,
        terminal.bar("answering", len(waiting)) as shown,
    ):
        made = pool.map(lambda question: answered(question, given.get(question.row["id"], {}), ask), waiting)
        for number, record in enumerate(made, 1):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            records.append(record)
            shown.advance(number)
    say(f"{out}: {len(records)} answers")
    for turn in (1, 2):
        say(f"turn {turn}: " + describe(Counter(record[f"status_{turn}"] for record in records)))


def read_turns(path: Path) -> list[dict]:
    """The rows of a --turns file. Raises HftError for one without id."""
    turns = list(jsonl.lines(path))
    if absent := [number for number, row in enumerate(turns, 1) if "id" not in row]:
        raise HftError(
            f"{path} line {absent[0]}: no 'id'",
            'each line is {"id": ..., "turn_1": ...}; the ids: hft prepare NAME --out rows.jsonl',
        )
    return turns


def asked(loaded: Loaded, part: Any, number: int) -> Iterator[Question]:
    """A part's questions as training has them; in a mixture their ids begin with the part's number."""
    form = formats.form(part.format or loaded.recipe.prompt.format, loaded.code)
    mixed = loaded.recipe.data.train.source == "mixture"
    for place, row in enumerate(sources.rows(part, loaded.path.parent), 1):
        row = {**row, **rows.rename(row, part, "train", place), **({"id": f"{number}.{row['id']}"} if mixed else {})}
        yield Question(row, form(row, part.instruction or loaded.recipe.prompt.instruction)[0])


def answered(question: Question, given: dict, ask: Callable | None) -> dict:
    """The record of a question's two turns, each from `given`, else asked for; a right first turn is not revised."""
    row, prompt = question
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    first = writable(given["turn_1"] if ask is None or "turn_1" in given else ask(messages))
    verdicts = [verdict.judge(row, first)]
    turns = [first, verdicts[0].feedback]
    second = given.get("turn_2")
    if verdicts[0].status == "correct":
        second = None
    elif second is None and ask:
        mistaken = {"role": "assistant", "content": first}
        second = ask([*messages, mistaken, {"role": "user", "content": f"{verdicts[0].feedback} {AGAIN}"}])
    if second is not None:
        second = writable(second)
        verdicts.append(verdict.judge(row, second))
        turns += [second, verdicts[1].feedback]
    return {
        "id": row["id"],
        "kind": row["kind"],
        "prompt": prompt,
        "turn_1": first,
        "feedback_1": verdicts[0].feedback,
        "turn_2": second,
        "feedback_2": verdicts[1].feedback if second is not None else None,
        "status_1": verdicts[0].status,
        "status_2": verdicts[-1].status,
        "response": "\n\n".join(turns),
    }


def writable(turn: str) -> str:
    """A model's text, with ? for half a surrogate pair, which neither a file nor a server takes."""
    return turn.encode("utf-8", "replace").decode()


def unify(paths: list[Path], out: Path, ask: Callable) -> None:
    """Plain Python files (or a .jsonl with `content`) to unified form, into `out`.

    Only functions that give two pairs in the sandbox are kept.
    """
    texts = {name: text for path in paths for name, text in plain(path)}
    done = {row["origin"] for row in whole(out)}
    waiting = {name: text for name, text in texts.items() if name not in done}
    counts: Counter[str] = Counter()
    with out.open("a", encoding="utf-8") as file, terminal.bar("rewriting files", len(waiting)) as shown:
        for number, (name, text) in enumerate(waiting.items(), 1):
            status, made = unified(ask([{"role": "user", "content": UNIFY.format(code=text)}]))
            counts[status] += 1
            if made:
                file.write(json.dumps({**made, "origin": name}, ensure_ascii=False) + "\n")
                file.flush()
            shown.advance(number)
    say(f"{out}: {describe(counts) or 'nothing new'}")


def unified(text: str) -> tuple[str, dict | None]:
    """(status, the function) of what a model made of a file: kept when its generator gives two pairs that run."""
    made = verdict.last_object(text, "refcode")
    if made is None:
        return "unreadable", None
    try:
        function = codeio.function(made, 0)
    except HftError:
        return "incomplete", None
    job = {"code": function["code"], "function": function["name"], "generator": function["generator"], "count": 3}
    outcome = sandbox.run(job)
    if outcome.status != "ok" or sum(pair["status"] == "ok" for pair in outcome.pairs) < 2:
        return "does not run", None
    return "kept", made


def plain(path: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of a Python file, or of each row of a .jsonl with `content`."""
    if path.suffix != ".jsonl":
        yield str(path), path.read_text(encoding="utf-8", errors="replace")
        return
    for number, row in enumerate(jsonl.lines(path), 1):
        if "content" not in row:
            raise HftError(
                f"{path} line {number}: no column 'content'; it has: {', '.join(row)}", "name .py files instead"
            )
        yield f"{row.get('repo_name', path.name)}{row.get('path', f':{number}')}", row["content"]


def whole(out: Path) -> list[dict]:
    """The records of an output file; half a line that a kill has left is cut off."""
    if not out.exists():
        return []
    text = out.read_bytes()
    if not text.endswith(b"\n"):
        files.write(out, text[: text.rfind(b"\n") + 1].decode())
    return list(jsonl.lines(out))


def asker(address: str, model: str, temperature: float, max_tokens: int, seed: int) -> Callable:
    """`ask(messages)`: the answer of a model behind an OpenAI-compatible address."""
    return lambda messages: chat_endpoint.chat(address, model, messages, temperature, max_tokens, seed)


def describe(counts: Counter) -> str:
    """`correct 8, wrong 2`, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
