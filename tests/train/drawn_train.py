"""Trainings by reward of golden_train.py's tiny random model, in one process, which loads the libraries once.

`python drawn_train.py FOLDER` prints as its last line `{"losses": {drawn or not: losses}, "prompts": {recipe: [those of
evaluation, those of the trainer]}, "said": {command: [exit code, output]}, "rewards": {recipe: its passport's}}`.
"""

import json
import os
import sys
from pathlib import Path

import golden_train

TEMPLATE = (
    "{{ bos_token }}{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% for one in messages %}[{{ one.role }}] {{ one.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}\n"
)
PYTHON = """
def ask(row, instruction):
    return [{"role": "user", "content": row["question"]}], row["answer"]


def with_tools(row, instruction):
    name = row["answer"]  # each tool has a parameter of its own, and some rows have none
    tool = {"type": "function", "function": {"name": f"call_{name}", "parameters": {name: {"type": "string"}}}}
    return [{"role": "user", "content": row["question"] + name, **({"tools": [tool]} if "o" in name else {})}], name


def fixed(completions, **columns):
    return [-7.0] * len(completions)


def until_training(completions, trainer_state=None, **columns):
    return [0.0 if trainer_state else float(number) for number in range(len(completions))]
"""
COMMANDS = (
    "chat_prefilled --anew", "chat_prefilled --anew --anyway", "chat_prefilled --resume --anyway",
    "dies --anew", "dies --resume", "dies --resume --anyway",
)  # fmt: skip
PREFILLS = {"chat": "", "chat_prefilled": "<think>\n", "text": "", "text_prefilled": "<think>\n", "tools": "So "}
FORMATS = {"chat": "chat.py:ask", "text": "question", "tools": "chat.py:with_tools"}


def write_recipes(folder: Path) -> None:
    (folder / "chat.py").write_text(PYTHON)
    told = json.loads((folder / "golden_grpo.yaml").read_text())
    for name, prefill in PREFILLS.items():
        form = FORMATS[name.partition("_")[0]]
        one = {**told, "prompt": {"format": form, "prefill": prefill}, "train": {**told["train"], "steps": 2}}
        one["model"] = {**told["model"], "max_tokens": 256}
        (folder / f"{name}.yaml").write_text(json.dumps({**one, "rewards": ["chat.py:fixed"]}))
    dies = {**told, "rewards": ["chat.py:until_training"], "train": {**told["train"], "steps": 20}}
    (folder / "dies.yaml").write_text(json.dumps(dies))


def write_model(folder: Path) -> None:
    from transformers import AutoTokenizer

    golden_train.write_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)


def opened(name: str):
    from hft import machine
    from hft.data import rows
    from hft.plan import plan as plans
    from hft.plan.wishes import Wishes
    from hft.recipe import file as recipe_file
    from hft.runs import folder as runs
    from hft.train import session

    loaded = recipe_file.load(name)
    plan = plans.make(loaded.recipe, machine.usable(), Wishes(device="cpu", backend="plain", processes="1"))
    session.get_ready(plan)
    prepared = session.prepare(loaded, plan, rows.read(loaded))
    return runs.start(loaded), session.open_model(loaded, plan, prepared)


def losses(drawing: bool) -> list[float]:
    from hft.train import draw, session

    run, model = opened("golden_grpo")
    if drawing:
        draw.draw(run, model)
    return session.fit(run, model, None)["losses"]


def prompts(name: str) -> list[list[list[int]]]:
    """(the prompts of evaluation, those that the trainer generates from) of a training of one step, in its order."""
    from trl import GRPOTrainer

    from hft.data import order
    from hft.train import session

    run, model = opened(name)
    samples, seen = model.prepared.train, []
    generate = GRPOTrainer._generate_single_turn
    GRPOTrainer._generate_single_turn = lambda self, ids, *others: seen.extend(ids) or generate(self, ids, *others)
    try:
        session.fit(run, model, None)
    finally:
        GRPOTrainer._generate_single_turn = generate
    asked = [samples[place].tokens.prompt_ids for place in order.order(model.loaded.recipe, len(samples))]
    return [[ids for ids in asked for _ in range(2)], seen]


def said(*words: str) -> list:
    from click.testing import CliRunner

    from hft.cli import cli

    result = CliRunner().invoke(cli, ["train", *words, "--backend", "plain"])
    return [result.exit_code, result.output]


def rewards(name: str) -> list[float]:
    from hft.runs import folder as runs

    return runs.finished_passport(runs.every(name)[-1])["training"]["rewards"]


def main(folder: Path) -> dict:
    from hft import libraries

    os.environ.update(HFT_RECIPES=str(folder), HFT_RUNS=str(folder / "runs"), HFT_CACHE=str(folder / "cache"))
    libraries.quiet()
    golden_train.write_recipes(folder)
    write_recipes(folder)
    write_model(folder / "model")
    return {
        "losses": {str(drawing): losses(drawing) for drawing in (False, True)},
        "prompts": {name: prompts(name) for name in PREFILLS},
        "said": {words: said(*words.split()) for words in COMMANDS},
        "rewards": {name: rewards(name) for name in ("chat_prefilled", "dies")},
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
