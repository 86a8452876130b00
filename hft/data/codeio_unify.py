"""Plain Python files to functions of CodeI/O's unified form, by a model."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hft import terminal
from hft.data import codeio_answers
from hft.data.chat_endpoint import Ask
from hft.data.sandbox import run as sandbox
from hft.data.sandbox import verdict
from hft.data.sources import codeio, jsonl
from hft.errors import HftError
from hft.terminal import say

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


def unify(paths: list[Path], out: Path, ask: Ask) -> None:
    """Plain Python files (or a .jsonl with `content`) to unified form, into `out`.

    Only functions that give two pairs in the sandbox are kept.
    """
    texts = {name: text for path in paths for name, text in plain(path)}
    done = {row["origin"] for row in codeio_answers.whole(out)}
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
    say(f"{out}: {codeio_answers.describe(counts) or 'nothing new'}")


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
