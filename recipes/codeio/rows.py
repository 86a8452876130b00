"""Write the functions of the recipe codeio in CodeI/O's unified form: problem, code, and a generator of inputs. All of them our own.

`python3 recipes/codeio/rows.py` rewrites functions.jsonl beside itself, the same every time.
"""

import json
from pathlib import Path

FUNCTIONS = [
    ("How many trips does a ferry of a given capacity need to carry all cars, one kind of car a trip?",
     "`cars` (list of int): cars of each kind; `capacity` (int, at least 1): cars a trip. Returns the number of trips (int).",
     "def main_solution(cars, capacity):\n    return sum(-(-count // capacity) for count in cars)",
     "import random\n\ndef input_generator():\n    return {'cars': [random.randint(0, 30) for _ in range(random.randint(1, 5))], "
     "'capacity': random.randint(1, 9)}"),
    ("A shelf loses its shortest book each evening until few enough are left. Which books stay, in their old order?",
     "`books` (list of int): heights, all different; `left` (int): books that stay. Returns the heights that stay (list of int).",
     "def main_solution(books, left):\n    books = list(books)\n    while len(books) > left:\n        books.remove(min(books))\n"
     "    return books",
     "import random\n\ndef input_generator():\n    return {'books': random.sample(range(10, 40), random.randint(2, 8)), "
     "'left': random.randint(1, 4)}"),
    ("A walker notes steps as letters N, E, S, W. How far from the start, counted along the streets, does the walk end?",
     "`walk` (str): letters N, E, S, W. Returns the distance (int).",
     "def main_solution(walk):\n    x = walk.count('E') - walk.count('W')\n    y = walk.count('N') - walk.count('S')\n"
     "    return abs(x) + abs(y)",
     "import random\n\ndef input_generator():\n    return {'walk': ''.join(random.choices('NESW', k=random.randint(3, 15)))}"),
    ("A savings book gains a share of its amount every year, rounded to cents. What stands in it after some years?",
     "`amount` (float): at the start; `percent` (int): of a year; `years` (int). Returns the amount (float).",
     "def main_solution(amount, percent, years):\n    for _ in range(years):\n        amount = round(amount * (1 + percent / 100), 2)\n"
     "    return amount",
     "import random\n\ndef input_generator():\n    return {'amount': float(random.randint(100, 999)), 'percent': random.randint(1, 5), "
     "'years': random.randint(1, 4)}"),
    ("In a row of lamps every lamp whose two neighbours differ is switched. Which lamps are on afterwards, when all switch at once?",
     "`lamps` (list of int): 1 for on, 0 for off. Returns the row afterwards (list of int); the ends stay.",
     "def main_solution(lamps):\n    inner = [1 - b if a != c else b for a, b, c in zip(lamps, lamps[1:], lamps[2:])]\n"
     "    return lamps[:1] + inner + lamps[-1:]",
     "import random\n\ndef input_generator():\n    return {'lamps': [random.randint(0, 1) for _ in range(random.randint(3, 9))]}"),
    ("Which word of a sentence has the most different letters? Of several the first one.",
     "`sentence` (str): words between spaces. Returns the word (str).",
     "def main_solution(sentence):\n    return max(sentence.split(), key=lambda word: len(set(word.lower())))",
     "import random\n\ndef input_generator():\n    words = 'river stone banana window letter moon garden apple pepper market'.split()\n"
     "    return {'sentence': ' '.join(random.sample(words, random.randint(2, 6)))}"),
    ("Guests arrive and leave; a list says +n for n who come and -n for n who go. How full was the room at its fullest?",
     "`changes` (list of int): never more go than are there. Returns the largest number of guests (int).",
     "def main_solution(changes):\n    here = most = 0\n    for change in changes:\n        here = max(0, here + change)\n"
     "        most = max(most, here)\n    return most",
     "import random\n\ndef input_generator():\n    return {'changes': random.choices([3, 2, 1, -1, -2], k=random.randint(3, 9))}"),
    ("A tape of digits is cut into the longest pieces that never fall from one digit to the next. How long is each piece?",
     "`tape` (str): digits. Returns the lengths in order (list of int).",
     "def main_solution(tape):\n    lengths = [1]\n    for before, after in zip(tape, tape[1:]):\n        if after < before:\n"
     "            lengths.append(1)\n        else:\n            lengths[-1] += 1\n    return lengths",
     "import random\n\ndef input_generator():\n    return {'tape': ''.join(random.choices('0123456789', k=random.randint(4, 12)))}"),
]

if __name__ == "__main__":
    names = ("problem_description", "io_requirements", "refcode", "input_generator")
    lines = [json.dumps({**dict(zip(names, one, strict=True)), "funcname": "main_solution"}) + "\n" for one in FUNCTIONS]
    (Path(__file__).parent / "functions.jsonl").write_text("".join(lines), encoding="utf-8")
