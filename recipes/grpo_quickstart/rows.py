"""Write the prompts of grpo_quickstart: short invented reviews, each with the verdict of its writer.

`python3 recipes/grpo_quickstart/rows.py` rewrites train.jsonl and heldout.jsonl beside itself, the same every time.
No thing, no word of praise or blame and no sentence of the held-out part occurs in training. In a third of the reviews ("mixed")
praise and blame both occur and the later one decides.
"""

import json
import random
import re
from itertools import product
from pathlib import Path

SIDES = {
    "train": {
        "rows": 240,
        "things": "soup hotel film lamp phone bicycle jacket museum bakery novel laptop camera sofa kettle concert ferry",
        "good": "wonderful excellent delightful fantastic superb lovely brilliant pleasant perfect amazing",
        "bad": "terrible awful horrible dreadful disappointing useless boring ugly unpleasant poor",
        "plain": ["The {thing} was {word}.", "What a {word} {thing}!", "I found the {thing} {word}.",
                  "This {thing} is {word}, friends agree.", "My sister called the {thing} {word}, and so do I."],
        "mixed": ["People say the {thing} is {other}, but to me it was {word}.",
                  "At first the {thing} seemed {other}, in the end it was {word}."],
    },
    "heldout": {
        "rows": 120,
        "things": "restaurant guitar blanket podcast garden printer backpack train theatre coffee",
        "good": "great beautiful enjoyable impressive charming outstanding",
        "bad": "bad miserable annoying broken dull disgusting",
        "plain": ["We thought the {thing} was {word}.", "Honestly, a {word} {thing}.",
                  "After a week with this {thing}, I can only call it {word}."],
        "mixed": ["The advert promised a {other} {thing}; what we got was {word}.",
                  "I expected something {other}, yet the {thing} turned out {word}."],
    },
}


def rows(side: dict, seed: int) -> list[dict]:
    """`{"review", "verdict", "kind"}`, verdicts in turn, a third of them mixed."""
    draw = random.Random(seed)
    made = []
    for number, (kind, verdict) in zip(range(side["rows"]), every(), strict=False):
        good, bad = draw.choice(side["good"].split()), draw.choice(side["bad"].split())
        word, other = (good, bad) if verdict == "positive" else (bad, good)
        text = draw.choice(side[kind]).format(thing=draw.choice(side["things"].split()), word=word, other=other)
        made.append({"id": str(number), "review": re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text), "verdict": verdict, "kind": kind})
    return made


def every():
    while True:
        yield from product(("plain", "plain", "mixed"), ("positive", "negative"))


if __name__ == "__main__":
    for name, side in SIDES.items():
        lines = [json.dumps(row) + "\n" for row in rows(side, seed=7)]
        (Path(__file__).parent / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
