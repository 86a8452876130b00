"""Write the training and held-out rows of the quickstart: short invented passages with questions that a few of their words answer.

`python3 recipes/quickstart/rows.py` rewrites train.jsonl and heldout.jsonl beside itself, the same every time. All is made up.
No name, thing or number of the held-out part occurs in training, and part of its passages and questions are worded as in no
row of training ("new": true). A passage holds several words of the answer's sort: the question decides which of them is right.
"""

import json
import random
import re
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

SEED, TRAIN_ROWS = 20240, 640
HELD_ROWS = {(False, False): 78, (True, False): 26, (False, True): 32, (True, True): 20}  # (new passage?, new question?) -> rows

# Letter of a slot: words for training / words for held-out. No word is in both parts.
POOLS = """\
first: Anna Ben Clara David Elsie Frank Greta Hugo Irene Jonas Karen Louis Maria Nathan Olive Peter Rosa Simon Tessa Victor Wendy Alan Betty
  Colin Dora Edwin Fiona George Helen Ivan Julia Keith Laura Martin Nora Oscar / Mira Sven Priya Tomas Yara Felix Ingrid Omar Lena Rufus Zoe
  Bruno Carmen Dmitri Esther Gavin Hanna Jasper Kira Leon
last: Alden Barrow Calder Dunmore Ellery Farrow Garland Hadley Ingram Jarrett Kendall Lowell Marlow Norwood Oakley Pender Quill Radley
  Sutton Thorne Underhill Varley Yardley Ashby Carver Denholm Elwood Fenton Goddard Hartley Kirby Langdon Merton Redfern / Okafor Lindqvist
  Moreau Tanaka Brandt Castell Duval Eriksen Ferro Grunwald Halloran Kowal Lund Novak Rossi Sandoval Vance
t: Alderby Brackwell Cindermoor Dunhollow Eastmere Fernleigh Gorsefield Harrowick Inglebrook Kestrelton Larkhaven Millbourne Netherwick
  Pinefold Quarrydale Ravenford Silverstrand Thistleby Umberley Willowmere Yarrowgate Amberholt Briarcombe Cobbleford Foxmarsh / Saltrey
  Bellmarsh Crowmere Dapplewood Frostwick Glimmerdale Hazelport Ivyreach Marrowby Otterwell Plumstow Rookford Wrenstow
x: Tamrin Velloc Orbane Kestro Lumira Pondel Ravix Solveta Brimko Dorvan Embric Fenwo Galdor Hespia Jorra Kelvora Mondri Nubelo / Avello
  Bintar Corvusa Deltori Elmaro Faruno Gintal Hovara Istrel Kanduro Lovix Mirandel
o: chest clock cradle drum bench boat cart chair harp kite lantern mask mirror puppet sledge statue stool table violin wagon / canoe ladder
  bookcase globe gate flute shield cupboard whistle bowl
c: pine copper brass walnut cedar silver steel bamboo bronze / pewter birch tin beech zinc rosewood
s: bakery bookshop pottery forge dairy mill pharmacy garage restaurant / brewery tannery sawmill boatyard nursery
b: library observatory gallery cinema zoo castle aquarium theatre / lighthouse planetarium greenhouse arcade bathhouse
e: book_fair choir_concert flower_show kite_festival craft_market poetry_evening film_night science_fair / jazz_concert cheese_show
  street_parade quiz_day garden_party
z: train bus ferry tram / shuttle minibus steamboat
u: lamp radio fan drill torch heater projector camera / mixer shaver scanner pump
k: red blue green white black yellow grey purple / pink brown orange cream turquoise maroon"""
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
WEEK = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

# A block per kind. "?" a fact: training wordings || held-out-only ones. "+" a passage, "-" a held-out-only one, with its facts in brackets:
# fact@about=answer, `about` fills {q}, "!" marks an answer that is not the obvious span. Slots: {p1} a person, {l1} the surname of p1,
# {v1} a venue, d date, y year, w weekday, a and h times, m money, n number, the others as in POOLS.
TEXT = """\
= biography
? born: Where was {p1} born? | In which town was {p1} born? | What is the birthplace of {p1}? || What town was {p1} born in?
? shop: In which town was {p1}'s {s1}? | Where did {p1} run the {s1}? | Where was the {s1} of {p1}? || Which town was home to the {s1}?
? before: Who owned the {s1} before {p1}? | Whom did {p1} follow at the {s1}? | Whose place did {p1} take? || Who was {p1}'s predecessor?
? after: Who owned the {s1} after {p1}? | Who followed {p1} at the {s1}? | Who took the place of {p1}? || Who was {p1}'s successor?
+ chain: {p1} was born in {t1} and went to school in {t3}. In {y1} {l1} took over the {s1} in {t2} from {p2} and ran it until {y2}, when
  {p3} became the owner. [born=t1 shop=t2 before=p2! after=p3!]
+ sale: When {p3} bought the {s1} in {t2} in {y2}, the seller was {p1}. {l1}, born in {t1}, had inherited it from {p2} in {y1}. Customers
  came from as far as {t3}. [born=t1 shop=t2 before=p2! after=p3!]
+ rent: In {y1} {p1} opened a {s1} in {t2}. The first plan had been {t3}, but rents there were too high. {l1}, born in {t1}, sold the {s1}
  in {y2} to {p2}, who later passed it on to {p3}. [born=t1 shop=t2! after=p2!]
+ keys: Few people in {t2} knew that {p1}, from {y1} the owner of the local {s1}, came into the world in {t1}. {p2} had kept it earlier; on
  retiring in {y2}, {l1} handed the keys to {p3}. [born=t1 shop=t2 before=p2! after=p3!]
- plaque: A plaque honours the {s1} that {p1} had in {t2}, although older guidebooks claim that it stood in {t3}. A native of {t1}, {l1}
  sold it to {p3} in {y2}; {p2} had also made an offer. [born=t1 shop=t2! after=p3!]
= notice
? reopen: When does the {b1} open again? | On what date will the {b1} reopen? | What is the reopening date? || When does the closure end?
? first: When was the {b1} first meant to reopen? | What was the old reopening date? | Which date was dropped? || What date no longer holds?
? rest: On which weekday is the {b1} closed? | Which weekday is it not open? | On what day can nobody visit the {b1}?
  || Which day of the week is the {b1} shut?
? late: Until when is the {b1} open on {q}? | When does it close on {q}? | When do the doors shut on {q}? || How late can one stay on {q}?
? opens: At what time does the {b1} open? | From when can people visit the {b1}? | When do the doors open? || How early may guests come in?
+ works: The {b1} in {t1} closes on {d1}, says {p1}. It was due to open again on {d2}, but the new date is {d3}. A year's ticket costs {m1}.
  [reopen=d3! first=d2]
+ week: The {t1} {b1} opens every day except {w2}, from {a1} until {h1}. On {w1} it closes later, at {h2}. A tour costs {m1}, and {p1} leads
  one each {w3}. [rest=w2! late@w1=h2! opens=a1]
+ swap: {p1} said on {d1} that from now on the {t1} {b1} is shut on {w2}, not {w1}. The {b1} opens at {a2}; the old time, {a1}, was too
  early. Family tickets cost {m1}. [rest=w2! opens=a2!]
+ leaflet: Builders are busy in the {t1} {b1}, and nobody can enter it after {d1}. Expect us back on {d2}; the leaflet that promises {d3} is
  wrong. Doubts? Write to {p1}. [reopen=d2!]
- guests: Guests of the {t1} {b1} are welcome between {a1} and {h1} all week long, {w2} being the one exception. Each {w1} we even keep
  going until {h2}. Ask {p1} about parties on {w3}. [rest=w2! late@w1=h2! opens=a1]
= event
? day: On which day is the {e1}? | What day is the {e1} held? | On what day should people come? || What is the right weekday for the {e1}?
? oldday: Which day was first planned for the {e1}? | When was it meant to be at first? | What was the old day?
  || Which day was the {e1} moved from?
? hall: Where is the {e1} held? | In which place does the {e1} happen? | Where should visitors go? || What is the venue of the {e1}?
? ticket: How much is a ticket {q}? | What does a ticket cost {q}? | What is the price of a ticket {q}? || What do visitors who buy {q} pay?
+ moved: The {e1} in {t1} was planned for {w1} at {v1}. Now it is on {w2} at {v2}. {p1} gives the first talk, {p2} the last. Tickets cost
  {m1} in advance and {m2} at the door. [day=w2! oldday=w1 hall=v2! ticket@in_advance=m1 ticket@at_the_door=m2]
+ printed: The {e1} is at {v1} on {w1}. {p2}, not {p1} as once printed, gives the first talk, {p3} the last. Tickets cost {m2} at the door,
  or {m1} in advance, until {w2}. [day=w1 ticket@in_advance=m1 ticket@at_the_door=m2]
+ dropped: Come to {v2} on {w2} for the {t1} {e1}! The old plan, {w1} at {v1}, is off. {p2} speaks last, and {p1} speaks first. Tickets cost
  {m1} in advance, {m2} at the door. [day=w2! oldday=w1 hall=v2! ticket@in_advance=m1 ticket@at_the_door=m2]
- change: Change of plan: the {e1} has left {v1}, which lacks chairs, and {v2} is ready for it. Guests who kept {w1} free should note {w2}
  in their diaries. At the door they pay {m2}, in advance {m1}. [day=w2! oldday=w1 hall=v2! ticket@in_advance=m1 ticket@at_the_door=m2]
+ stand_in: {p1} agreed long ago to begin the {e1} but fell ill: now {p2} gives the first speech. {p3} comes on at the very end.
  {v2} was too small, which is why {v1} hosts everything on {w1}. [day=w1 hall=v1!]
= travel
? by: How will {p1} travel? | What means of transport does {p1} use? | What will {p1} travel by? || In what kind of vehicle does {p1} go?
? night: Where is the {q} night spent? | Where does {p1} sleep on the {q} night? | What town is the {q} night in? || Where is the {q} bed?
? goal: Where is {p1} going? | Which town will {p1} visit? | What town does {p1} travel to? || What is the destination of {p1}?
? with: Who is going with {p1}? | Who travels together with {p1}? | Which person comes along with {p1}? || Who keeps {p1} company?
? off: Where does {p1} get off? | Where does {p1} leave the {z1}? | At which stop does {p1} get off? || Where does {p1} start walking?
+ full: {p1} and {p2} leave {t1} on {w1}. The {z1} is full, so they travel by {z2}. They spend the first night in {t2} and the second night
  in {t3}, where {p3} lives. [by=z2! night@first=t2 night@second=t3 with=p2]
+ other: {p1} will travel to {t2} on {w1}, not to {t1} as first planned. {p2} wanted to come but must work, so {p3} goes with {p1} instead.
  They return by {z1} on {w2}. [goal=t2! with=p3!]
+ line: The {z1} from {t1} to {t2} stops in every town except {t3}. {p1} is going to {t3} with {p2}, so they get off in {t4} and walk. {p3}
  meets them there on {w1}. [goal=t3 off=t4! with=p2]
+ road: {p1} told {p2} to forget the {z1}: it is broken. Both must go by {z2} from {t1}. Their first bed is in {t3}
  and, one day later, {t2} has a room for them. [by=z2! night@first=t3 night@second=t2 with=p2]
- seat: {p3} had a seat beside {p1} but gave it to {p2}. The pair now visit {t2}, since {t1} turned out to be too far away. They set out on
  {w2} and hope to be home again on {w1}. [goal=t2! with=p2!]
= product
? price: How much is the {q} {u1}? | What does the {q} {u1} cost now? | What is the price of the {q} {u1}? || What do buyers of the {q} pay?
? was: How much was the {q} {u1} before? | What did the {q} {u1} cost earlier? | What was the old price? || Which price is out of date?
? part: What is the {q} made of? | What was used for the {q}? | Of what material is the {q}? || What material is the {q} of?
? hours: How many hours does the {q} {u1} run? | For how many hours does the {q} work? | What is the {q}'s running time in hours?
  || After how many hours does the {q} {u1} stop?
? not: What colour is the {x1} not sold in? | Which colour is it missing? | What colour can its buyers not get? || Which shade is ruled out?
+ sale: The {x1} {u1} used to cost {m2} and now costs {m1}, while the {x2} {u1} still costs {m3}. Buyers of the {x1} {u1} can choose {k1} or
  {k2}, but not {k3}. [price@x1=m1! price@x2=m3 was@x1=m2 not=k3!]
+ box: The case of the {x1} {u1} is made of {c1} and the handle of {c2}. Its price is {m2}, not {m1} as the box says. The larger {x2} {u1},
  sold by {p1}, costs {m3}. [part@case=c1 part@handle=c2 price@x1=m2! price@x2=m3]
+ two: Shops sell the {x1} {u1} and the {x2} {u1}. The first runs for {n1} hours and costs {m2}; the second runs for {n2} hours and costs
  {m1}. The first is {k1}, the second {k2}. [hours@x1=n1! hours@x2=n2! price@x1=m2! price@x2=m1!]
- lists: Please change your lists: the {x1} {u1} is no longer {m2} but {m3}, whereas {m1} remains right for the {x2} {u1}. The {x1} model
  has a case of {c2}; {c1} is kept for the handle. [price@x1=m3! price@x2=m1 was@x1=m2 part@case=c2 part@handle=c1]
+ kinds: Two kinds of {u1} are new: {x1}, which comes from {t1}, and {x2}, which comes from {t2}. When fully charged, the former works for
  {n2} hours and the latter for {n1}. {p1} asks {m2} for the latter and {m1} for the former. [hours@x1=n2! hours@x2=n1! price@x1=m1!
  price@x2=m2!]"""

KOREAN = """\
솔빛 도서관은 원래 5월 12일에 문을 열 예정이었으나 공사가 늦어져 5월 26일에 연다. 개관식 사회는 한유진이 맡고, 첫 강연은 오태림이 한다.
? 솔빛 도서관이 실제로 문을 여는 날은 언제인가요? 5월 26일 | 첫 강연을 하는 사람은 누구인가요? 오태림
물안개 축제의 어른 입장료는 안내문에 3천 원이라고 적혀 있지만, 이는 잘못된 값이고 실제로는 5천 원이다. 어린이는 2천 원만 내면 된다.
? 어른 입장료는 실제로 얼마인가요? 5천 원 | 어린이 입장료는 얼마인가요? 2천 원"""


class Fact(NamedTuple):
    key: str  # which question
    about: str  # what {q} in the question stands for: a slot, a word, or nothing
    answer: str  # the slot that holds the answer
    hard: bool  # the answer is not the obvious span


class Passage(NamedTuple):
    kind: str
    name: str
    text: str
    facts: list[Fact]
    wordings: dict[str, list[list[str]]]  # of each fact of this kind: for training, for held-out only


def pools(part: int) -> dict[str, list[str]]:
    """Words for each letter, in training (0) or held-out (1): numbers are even or odd, weekdays the same."""
    words = {}
    for item in re.split(r"\n(?! )", POOLS):
        letter, listed = item.split(":")
        words[letter] = [word.replace("_", " ") for word in listed.split("/")[part].split()]
    clock = [f"{hour}:{minute}" for hour in range(3, 10) for minute in (("15", "30"), ("00", "45"))[part]]
    places = cycle(("Hall", "Barn", "Theatre", "Garden"))
    return words | {
        "d": [f"{day} {month}" for month in MONTHS for day in range(10 + part, 29, 2)], "y": [str(n) for n in range(1880 + part, 1990, 2)],
        "a": [f"{time} am" for time in clock[6:]], "h": [f"{time} pm" for time in clock], "n": [str(n) for n in range(12 + part, 99, 2)],
        "m": [f"{n} euros" for n in range(12 + part, 99, 2)], "w": WEEK, "v": [f"{name} {next(places)}" for name in words["x"]],
    }


def parse(block: str) -> tuple[list[Passage], list[Passage]]:
    """The passages of one block of TEXT: those for both parts, those for the held-out part only."""
    kind, *items = (" ".join(item.split()) for item in re.split(r"\n(?! )", block))
    passages, wordings = {"+": [], "-": []}, {}
    for mark, name, body in (re.fullmatch(r"(.) (\w+): (.*)", item).groups() for item in items):
        if mark == "?":
            wordings[name] = [half.split(" | ") for half in body.split(" || ")]
        else:
            text, listed = re.fullmatch(r"(.*) \[(.*)\]", body).groups()
            facts = [Fact(*found[:3], bool(found[3])) for found in re.findall(r"(\w+?)(?:@(\w+))?=(\w+)(!?)", listed)]
            passages[mark].append(Passage(kind, f"{kind}-{name}", text, facts, wordings))
    return passages["+"], passages["-"]


def fill(rng: random.Random, words: dict[str, list[str]], slots: set[str]) -> dict[str, str]:
    """Values for the slots of one row, all different; numbers, times and dates ascend with the slot's digit and are not far apart."""
    values = {}
    for letter, count in {slot[0]: int(slot[1]) for slot in sorted(slots) if slot[0] not in "lpq"}.items():
        start = rng.randrange(max(1, len(words[letter]) - 23))
        picks = rng.sample(range(start, min(len(words[letter]), start + 24)), count)
        values |= {f"{letter}{i}": words[letter][pick] for i, pick in enumerate(sorted(picks) if letter in "dyahmn" else picks, 1)}
    for i, first, last in zip(range(1, 6), rng.sample(words["first"], 5), rng.sample(words["last"], 5), strict=True):
        values |= {f"p{i}": f"{first} {last}", f"l{i}": last}
    return values


def pairs(rng: random.Random, passage: Passage, new_wording: bool) -> Iterator[tuple[Fact, str]]:
    """Facts of a passage with a wording each, without end: two obvious answers, then one that is not."""
    piles = []
    for hard in (True, False):
        pile = [(fact, ask) for fact in passage.facts if fact.hard is hard for ask in passage.wordings[fact.key][new_wording]]
        piles += [cycle(rng.sample(pile, len(pile)))] * (1 if hard else 2) if pile else []
    for pile in cycle(rng.sample(piles, len(piles))):
        yield next(pile)


def runs(rows: list[dict]) -> set[tuple[str, ...]]:
    """All sequences of eight words in the passages."""
    texts = [row["context"].split() for row in rows]
    return {tuple(text[i : i + 8]) for text in texts for i in range(len(text) - 7)}


def make(rng: random.Random, part: int, passages: list[Passage], new_wording: bool, new: bool, count: int, train: list[dict]) -> list[dict]:
    """`count` rows, the passages taking turns; new ones share no sequence of eight words with the training rows."""
    words, trained, rows = pools(part), runs(train), []
    turns = {passage.name: pairs(rng, passage, new_wording) for passage in passages}
    for passage in islice(cycle(passages), count):
        fact, ask = next(turns[passage.name])
        slots = re.findall(r"{(\w+)}", passage.text)
        for _ in range(1000):
            values = fill(rng, words, {*slots, *re.findall(r"{(\w+)}", ask)})
            row = {"kind": passage.kind, "context": passage.text.format(**values),
                   "question": ask.format(q=values.get(fact.about, fact.about.replace("_", " ")), **values),
                   "answer": values[fact.answer], "template": passage.name, "new": new, "hard": fact.hard, "ask": ask}
            if row["context"] not in [other["context"] for other in rows] and not (new and runs([row]) & trained):
                break
        else:
            raise ValueError(f"{passage.name}: no text left that is fresh")
        rows.append(row)
    return rows


def korean() -> Iterator[dict]:
    """The Korean rows, with two questions to a passage."""
    for number, block in enumerate(re.split(r"\n(?![ ?])", KOREAN), 1):
        context, asked = (" ".join(part.split()) for part in block.split("\n? "))
        for question, answer in (re.fullmatch(r"(.*\?) (.*)", pair).groups() for pair in asked.split(" | ")):
            row = {"kind": "korean", "context": context, "question": question, "answer": answer, "template": f"korean-{number}"}
            yield row | {"new": True, "hard": True, "ask": question}


def check(train: list[dict], held: list[dict]) -> None:
    """Stop if the rows are not what the docstring promises."""
    both = train + held
    assert all(re.search(rf"(?<!\w){row['answer']}", row["context"]) and len(row["answer"].split()) <= 5 for row in both)
    assert all(30 <= len(row["context"].split()) <= 70 for row in both if row["kind"] != "korean")
    assert len({(row["context"], row["question"]) for row in both}) == len(both) and len({row["context"] for row in train}) == len(train)
    assert not {row["context"] for row in train} & {row["context"] for row in held}
    for rows, other in ((train, 1), (held, 0)):
        text = "\n".join(f"{row['context']}\n{row['question']}" for row in rows)
        foreign = [word for letter, words in pools(other).items() if letter not in "wn" for word in words]
        assert not re.search(rf"\b({'|'.join(foreign)})\b", text)
    passages, asks = {row["template"] for row in train}, {(row["kind"], row["ask"]) for row in train}
    assert all(row["new"] == (row["template"] not in passages or (row["kind"], row["ask"]) not in asks) for row in both)
    assert not runs([row for row in held if row["new"]]) & runs(train)
    assert all(sum(row["hard"] for row in rows) >= 0.35 * len(rows) for rows in (train, held))


def main() -> None:
    rng = random.Random(SEED)
    kinds = [parse(block) for block in TEXT.removeprefix("= ").split("\n= ")]
    common, held_only = ([passage for group in zip(*side, strict=True) for passage in group] for side in zip(*kinds, strict=True))
    train = make(rng, 0, common, False, False, TRAIN_ROWS, [])
    held = [row for (new_passage, new_wording), count in HELD_ROWS.items()
            for row in make(rng, 1, held_only if new_passage else common, new_wording, new_passage or new_wording, count, train)]
    rng.shuffle(train)
    rng.shuffle(held)
    held += korean()
    check(train, held)
    for name, rows in (("train", train), ("heldout", held)):
        lines = [{"id": f"{name}-{number:04}", **row} for number, row in enumerate(rows, 1)]
        hard = sum(line.pop("hard") for line in lines if line.pop("ask"))
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        Path(__file__).with_name(f"{name}.jsonl").write_text(text, encoding="utf-8", newline="\n")
        print(f"{name}: {len(rows)} rows, {hard} with an answer that is not the obvious span, {sum(row['new'] for row in rows)} new")


if __name__ == "__main__":
    main()
