"""Whether an answer is right: one table, through the function, the evaluation, the reward and `hft rewards`."""

import json
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hft.evaluate import answers, grader, reasoning
from hft.evaluate.reasoning import Tags
from hft.recipe.schema import Reward

# (answer, truth, language of the recipe)
RIGHT = [
    ("Jadi 12 + 22 = 34.", "34", None),
    ("$x_1 = 34$", "34", None),
    ("34 cm^2", "34", None),
    ("34 cm²", "34", None),
    (r"34\text{ cm}^2", "34", None),
    ("Luasnya 34 m2", "34", None),
    (r"\boxed{34}", "34", None),
    (r"\boxed{x=34}", "34", None),
    (r"The answer is \boxed{34}. I had 50 first.", "34", None),
    (r"Jawabannya adalah $\boxed{34}$.", "34", None),
    (r"We do not need the rest so the answer is \boxed{34}", "34", None),
    ("1{,}234", "1234", None),
    ("1,234", "1234", None),
    ("1,234,567", "1234567", None),
    (r"1\,234", "1234", None),
    (r"$1\,234$", "1234", None),
    ("1.234", "1234", "id"),
    ("1.234", "1,234", "id"),
    ("1,234", "1234", "id"),  # models write English numbers in any language
    ("0,5", "0.5", "id"),
    ("0,5", "1/2", "pt-BR"),
    ("1.234,5", "1234.5", "de"),
    ("1 234,5", "1234.5", "fr"),
    ("1.234.567", "1234567", "es"),
    ("Harganya Rp50.000,00", "50000", "id"),
    ("Rp1.234", "1234", "id"),
    ("The price is $50,000.00.", "50000", None),
    ("$1,250", "1250", None),
    ("It is 1250 dollars.", "$1,250", None),
    ("–3", "-3", None),
    ("−3", "-3", None),
    ("- 3", "-3", None),
    ("minus 34", "-34", None),
    ("negative 34", "-34", None),
    ("$-34$", "-34", None),
    ("1/2", r"\frac12", None),
    ("0.5", r"\frac12", None),
    (r"\dfrac12", r"\frac12", None),
    (r"$\frac{1}{2}$", "0.5", None),
    (r"-\frac{1}{2}", "-1/2", None),
    (r"\frac{-1}{2}", "-0.5", None),
    (r"1\frac12", "1.5", None),
    ("1 1/2", r"\frac{3}{2}", None),
    ("0.333333", r"\frac13", None),
    (r"\boxed{A}", "A", None),
    ("(A)", "A", None),
    (r"\textbf{(C)}", "C", None),
    ("The answer is A.", "A", None),
    ("Jawabannya adalah (B).", "B", None),
    ("Jawabannya adalah Jakarta.", "Jakarta", None),
    ("tidak.", "tidak", None),
    ("(1,2)", "(1, 2)", None),
    ("(1,2)", "(1, 2)", "id"),
    ("(1, 2)", "(1,2)", "id"),
    ("$(1,2)$", "(1, 2)", None),
    (r"\{1,2\}", r"\{2,1\}", None),
    ("34.0", "34", None),
    ("34.", "34", None),
    ("+34", "34", None),
    ("３４", "34", None),
    ("34 apples", "34", None),
    ("The answer is 34.", "34", None),
    ("**34**", "34", None),
    ("#### 34", "34", None),
    (r"\(34\)", "34", None),
    (r"\[ x = 34 \]", "34", None),
    ("$$\n34\n$$", "34", None),
    ("34<|im_end|>", "34", None),
    ("34 orang.\nSemoga membantu!", "34", None),
    ("34 (tiga puluh empat)", "34", None),
    ("답은 34입니다", "34", "ko"),
    ("34개", "34", "ko"),
    ("12와 22를 더하면 12 + 22 = 34입니다.", "34", "ko"),
    ("答案是 34 个苹果。", "34", "zh"),
    ("首先" * 120 + "，答案是34。", "34", "zh"),
    ("a " * 150 + "34", "34", None),
    ("34 km", "34", None),
    ("34 km/h", "34", None),
    ("34%", "34", None),
    ("50%", "0.5", None),
    ("50 persen", "50", "id"),
    ("34°", "34", None),
    (r"$34^\circ$", "34", None),
    ("34 degrees", "34", None),
    ("5", "5 cm", None),
    ("Total = 12 apel + 22 apel = 34 apel", "34", None),
    ("Luas = 12 cm × 3 cm = 36 cm^2", "36", None),
    ("So, 48 + 24 = 72 clips in April and May.", "72", None),
    ("He has 5 + 3 = 8 apples, so 34 - 8 = 26.", "26", None),
    ("salah satu jawabannya 34", "34", "id"),
    (r"3 \times 10^4", "30000", None),
    (r"2^{10}", "1024", None),
    (r"\sqrt{16}", "4", None),
    ("9007199254740993", "9007199254740993", None),
    (r"The answer is $\sqrt3$.", r"\sqrt{3}", None),
    (r"Jadi jawabannya adalah \sqrt{3}.", r"\sqrt{3}", None),
    (r"\sqrt{12} = 2\sqrt{3}", r"2\sqrt3", None),
    (r"\pi \cdot 2", r"2\pi", None),
    ("x^2+1", "1+x^2", None),
    ("2x+1", "y = 2x+1", None),
]
WRONG = [
    (r"\sqrt{34}", "34", None),
    ("34!", "34", None),
    ("$34!$", "34", None),
    ("34i", "34", None),
    ("34x", "34", None),
    ("34 x", "34", None),
    ("$34x$", "34", None),
    ("abc34def", "34", None),
    ("x34", "34", None),
    ("x_{34}", "34", None),
    ("ke-34", "34", None),
    ("COVID-34", "34", None),
    ("34th", "34", None),
    ("http://x.y/34", "34", None),
    ("34^2", "34", None),
    (r"34\pi", "34", None),
    (r"34\sqrt{2}", "34", None),
    (r"\frac{34}{2}", "34", None),
    ("f(34)", "34", None),
    (r"\log 34", "34", None),
    ("34e2", "34", None),
    ("34:1", "34", None),
    ("12:34", "34", None),
    ("33-34", "34", None),
    ("33–34", "34", None),
    ("34...35", "34", None),
    ("-34", "34", None),
    ("minus 34", "34", None),
    ("134", "34", None),
    ("x" * 199 + "134", "34", None),
    ("9" * 250, "9" * 199, None),
    ("34 million", "34", None),
    ("34 ribu", "34", "id"),
    ("34만", "34", "ko"),
    ("34 dozen", "34", None),
    ("34 squared", "34", None),
    ("1.234", "1234", None),
    ("1.234", "1234", "ko"),
    ("0,5", "0.5", None),
    ("Jawabannya bukan 34", "34", None),
    (r"Jawabannya bukan \boxed{34}", "34", None),
    ("lebih dari 34", "34", None),
    ("kurang dari 34", "34", None),
    ("paling sedikit 34", "34", None),
    ("It is not 34.", "34", None),
    ("It doesn’t equal 34", "34", None),
    ("more than 34", "34", None),
    ("less than 34", "34", None),
    ("at least 34", "34", None),
    ("twice 34", "34", None),
    ("34가 아니라", "34", "ko"),
    ("34가 아닙니다", "34", "ko"),
    ("34보다 큰 수", "34", "ko"),
    ("34 이상", "34", "ko"),
    ("34 초과", "34", "ko"),
    ("x > 34", "34", None),
    (r"x \ne 34", "34", None),
    (r"\pm 34", "34", None),
    ("34 or 35", "34", None),
    ("35 atau 34", "34", None),
    ("x = 35 and x = 34", "34", None),
    ("35 = 34", "34", None),
    ("34. 35", "34", None),
    ("$34$ or $35$", "34", None),
    (r"\boxed{34} \boxed{35}", "34", None),
    ("17 + 17", "34", None),  # the question is no answer
    ("$12+22$", "34", None),
    ("9007199254740992", "9007199254740993", None),
    ("9007199254740993", "9007199254740992", None),
    ("3", r"\sqrt{3}", None),
    ("bukan \\sqrt{3}", r"\sqrt{3}", None),
    (r"$\sqrt{2}$ or $\sqrt{3}$", r"\sqrt{3}", None),
    ("2", r"2\pi", None),
    ("(2,1)", "(1, 2)", None),
    ("[1,2]", "(1,2)", None),
    ("B", "A", None),
    ("Not A", "A", None),
    ("5", "x=34, y=5", None),
    ("1", "x^2+y^2=1", None),
    ("5 m", "5 cm", None),
    ("Amoxicillin 500 mg", "Ciprofloxacin 500 mg", None),
    ("stage 2 hypertension", "Type 2 diabetes", None),
    (r"\frac{1}{0}", "0", None),
    (".", "34", None),
    ("nan", "34", None),
    ("tiga puluh empat", "34", "id"),
]
TABLE = [(*row, True) for row in RIGHT] + [(*row, False) for row in WRONG]


@pytest.mark.parametrize(("said", "truth", "language", "right"), TABLE)
def test_an_answer_is_right_or_wrong(said, truth, language, right):
    assert answers.right(said, truth, language) is right


@pytest.mark.parametrize(("said", "truth", "language", "right"), TABLE)
def test_the_evaluation_says_so(said, truth, language, right):
    text = f"<think>Kita bagi dengan 7, lalu </think> menutup pikiran. Bukan 50.</think>{said}"
    assert reasoning.measured(text, [truth], Tags(language=language), None, ())["right"] == float(right)


@pytest.mark.parametrize(("said", "truth", "language", "right"), TABLE)
def test_the_reward_says_so(tmp_path, said, truth, language, right):
    judge = grader.judge(Reward(name="answer"), tmp_path, Tags(language=language))
    [score] = judge(prompts=["?"], completions=[f"<think>Is it 50?</think>{said}"], answer=[truth])
    assert (score == 5.0) is right


def test_hft_rewards_says_so(invoke, tmp_path):
    rows = [row for row in TABLE if row[2] == "id"]
    path = tmp_path / "mine.jsonl"
    lines = [
        json.dumps({"completion": f"<think>a</think>{said}", "answer": truth, "what": f"row {number}"})
        for number, (said, truth, _, _) in enumerate(rows)
    ]
    path.write_text("\n".join(lines))
    done = invoke("rewards", "grpo_indonesian", "--completions", str(path))
    assert done.exit_code == 0, done.output
    scored = [float(line.split()[4]) for line in done.output.splitlines() if line.startswith("row ")]
    assert [score == 5 for score in scored] == [right for *_, right in rows]


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("34", None, 34),
        ("1,234.5", None, Fraction(2469, 2)),
        ("1.234", "id", 1234),
        ("1,234", "id", Fraction(617, 500)),
        ("−7", None, -7),
        ("$\\boxed{12}$ of 20", None, 12),
        ("5 apples, so 5", None, 5),
        ("3/4", None, Fraction(3, 4)),
        ("50%", None, 50),
        ("5 or 6", None, None),
        ("bukan 5", None, None),
        ("", None, None),
        ("-", None, None),
        ("nan", None, None),
    ],
)
def test_the_number_that_an_answer_says(text, language, number):
    assert answers.the_number(text, language) == number


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (r"\boxed{\frac{1}{2}}", (r"\frac{1}{2}", "")),
        (r"not \boxed{1} but \boxed {2}.", ("2", r"not \boxed{1} but ")),
        (r"\boxed{1} and \boxed{2", ("1", "")),
        ("1", (None, "")),
    ],
)
def test_the_last_box_whose_braces_close(text, held):
    assert answers.boxed(text) == held


WORDS = [
    "34",
    "-",
    "=",
    "$",
    "\\boxed{",
    "}",
    "{",
    "\\frac",
    "12",
    ".",
    ",",
    "!",
    " ",
    "\n",
    "kata",
    "(",
    ")",
    "%",
    "개",
]
LANGUAGES = st.sampled_from([None, "id", "fr", "ko", "", "-"])


@settings(deadline=None, database=None, max_examples=300)
@given(text=st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=20).map("".join), language=LANGUAGES)
@example(text="9" * 6000, language=None)
@example(text="\\boxed{" * 2000, language=None)
def test_any_text_is_right_only_by_saying_34(text, language):
    if answers.right(text, "34", language):
        assert "34" in text or "3" in text
    assert answers.the_number(text, language) is None or isinstance(answers.the_number(text, language), Fraction)


@settings(deadline=None, database=None, max_examples=200)
@given(number=st.integers(-(10**30), 10**30), off=st.integers(-3, 3))
def test_whole_numbers_are_compared_to_the_last_digit(number, off):
    assert answers.right(f"The answer is {number + off:,}.", str(number)) is (off == 0)
    assert answers.right(f"{number + off:,}".replace(",", "."), str(number), "id") is (off == 0)
