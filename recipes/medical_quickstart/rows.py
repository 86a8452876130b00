"""Write the rows of the two medical quickstarts: an invented clinic, whose rules are no medical advice.

`python3 recipes/medical_quickstart/rows.py` rewrites the four files beside itself, the same every time.
Stage 1 (reasoning): which ward sees a patient, with the reasoning in the columns of medical-o1-reasoning-SFT. A third of the patients
name a second complaint that is over. Stage 2 (Korean): translation pairs, and instructions in the columns of KoCommercial.
No person of a held-out question occurs in training, and no held-out sentence pair.
"""

import json
import random
from itertools import product
from pathlib import Path

WARDS = {
    "cough": "chest", "wheeze": "chest", "rash": "skin", "itch": "skin", "sprain": "bone", "fracture": "bone",
    "blurred vision": "eye", "red eye": "eye", "earache": "ear", "hearing loss": "ear", "heartburn": "stomach", "nausea": "stomach",
}
PEOPLE = {
    "train": "Anna Boris Clara David Emma Felix Greta Hugo Irene Jakob Karin Leo Maria Nils Olga Peter Rosa Simon Tina Viktor",
    "heldout": "Agnes Bruno Celia Dario Edith Franz Hilda Igor Jana Kurt",
}
BARE = ("itch", "blurred vision", "nausea", "heartburn", "hearing loss")  # said without an article
PLAIN = ["{who} comes to the clinic with {what}. Which ward should see {who}?",
         "Since yesterday {who} has had {what}. To which ward does {who} go?",
         "A patient named {who} reports {what}. Name the ward."]
MIXED = ["{who} had {other} last month, which is gone. Today {who} has {what}. Which ward should see {who}?",
         "{who} no longer has {other}, but now has {what}. To which ward does {who} go?"]

# Korean with a word-for-word English side: small enough for a model that knows no Korean.
WHO = {"환자는": "The patient", "아이는": "The child", "의사는": "The doctor", "간호사는": "The nurse", "할머니는": "The grandmother"}
WHEN = {"오늘": "today", "어제": "yesterday", "아침에": "in the morning", "밤에": "at night"}
DID = {"열이 났습니다": "had a fever", "기침을 했습니다": "coughed", "약을 먹었습니다": "took medicine", "잠을 잤습니다": "slept",
       "물을 마셨습니다": "drank water", "검사를 받았습니다": "had an examination"}
ASKED = {"다음 문장에서 누가 나오는지 영어로 쓰세요.": WHO, "다음 문장에서 언제인지 영어로 쓰세요.": WHEN}


def patients(side: str, rows: int) -> list[dict]:
    """`{Question, Complex_CoT, Response, kind}`; every complaint as often as the others."""
    draw = random.Random(f"patients {side}")
    made = []
    for number, what in zip(range(rows), every(list(WARDS)), strict=False):
        kind = "mixed" if number % 3 == 0 else "plain"
        other = draw.choice([one for one in WARDS if WARDS[one] != WARDS[what]])
        who = draw.choice(PEOPLE[side].split())
        asked = draw.choice(MIXED if kind == "mixed" else PLAIN).format(who=who, what=a(what), other=a(other))
        over = f"The {other} is over, so it does not count. " if kind == "mixed" else ""
        thought = f"{over}{who} has {a(what)} now. {a(what).capitalize()} is seen by the {WARDS[what]} ward."
        made.append({"id": str(number), "Question": asked, "Complex_CoT": thought, "Response": f"The {WARDS[what]} ward.", "kind": kind})
    return made


def a(what: str) -> str:
    return what if what in BARE else f"an {what}" if what[0] in "aeiou" else f"a {what}"


def every(values: list):
    while True:
        yield from values


def korean() -> dict[str, dict[str, list[dict]]]:
    """`{side: {pairs, instructions}}`: every fifth combination is held out."""
    sides = {side: {"pairs": [], "instructions": []} for side in PEOPLE}
    combined = list(product(WHO, WHEN, DID))
    random.Random("korean").shuffle(combined)
    for number, (who, when, did) in enumerate(combined):
        side = sides["heldout" if number % 5 == 0 else "train"]
        ko, en = f"{who} {when} {did}.", f"{WHO[who]} {DID[did]} {WHEN[when]}."
        side["pairs"].append({"id": f"pair-{number}", "ko": ko, "en": en})
        for position, (told, words) in enumerate(ASKED.items()):
            word = (who, when)[position]
            side["instructions"].append({"id": f"told-{number}-{position}", "instruction": told, "input": ko, "output": words[word]})
    return sides


def write(name: str, rows: list[dict]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (Path(__file__).parent / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write("train", patients("train", 240))
    write("heldout", patients("heldout", 60))
    for side, kinds in korean().items():
        for kind, rows in kinds.items():
            write(f"{kind}_{side}", rows)
