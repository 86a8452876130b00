"""The before/after table: what is asked, of how many, each score with its interval, and what was gained."""

from dataclasses import replace

from hft.evaluate import scores
from hft.evaluate.intervals import Interval
from hft.evaluate.scores import Column, Gain, Part
from hft.evaluate.table import FAIR, cell, difference, table


def share(mean, low, high):
    return Interval(mean, low, high)


def column(exact, **more):
    scored = {"exact_match": share(*exact), "f1": share(75.31, 71, 79), "contains": share(80, 76.2, 83.3)}
    return Column(500, scored, **more)


BASE = column((0, 0, 0.77), by={"who": Part(300, 0.0), "when": Part(200, 0.0)})
CHAT = column((59, 54.6, 63.2), by={"who": Part(300, 60.0), "when": Part(200, 57.5)})
ADAPTER = column((68.2, 64, 72.1), by={"who": Part(300, 70.0)}, gain=Gain("base-chat", Interval(9.2, 5.1, 13.3)))


def test_the_table_of_a_plain_recipe():
    sampled = {name: replace(one, of=5774) for name, one in (("base", BASE), ("base-chat", CHAT), ("adapter", ADAPTER))}
    assert table(sampled) == (
        "500 of 5,774 held-out questions (a sample), scores x 100 [95 % interval]\n"
        "                     base               base-chat          adapter\n"
        "exact match          0.0 [0.0, 0.8]     59.0 [54.6, 63.2]  68.2 [64.0, 72.1]\n"
        "character F1         75.3 [71.0, 79.0]  75.3 [71.0, 79.0]  75.3 [71.0, 79.0]\n"
        "contains             80.0 [76.2, 83.3]  80.0 [76.2, 83.3]  80.0 [76.2, 83.3]\n"
        "exact match by part\n"
        "  who (300)          0.0                60.0               70.0\n"
        "  when (200)         0.0                57.5               -\n"
        f"{FAIR}\n"
        "adapter: exact match +9.2 [+5.1, +13.3] against base-chat, on the same questions"
    )


def test_all_questions_are_called_so_and_one_base_needs_no_explanation():
    lines = table({"base": BASE}).splitlines()
    assert lines[0] == "500 held-out questions, scores x 100 [95 % interval]"
    assert lines[-1].startswith("  when (200)")


def test_the_table_of_a_reasoning_recipe():
    sure, some = share(100, 43.8, 100), share(33.33, 1.2, 88.8)
    whole = Column(
        3,
        BASE.scores,
        reward=Interval(3, 0.5, 8),
        rewards={"format_exact": Interval(3, 3, 3), "answer": Interval(0, -2.5, 5)},
        reasoning={"right": some, "format": sure, "language": share(0, 0, 56.2), "tokens": Interval(13, 13, 13)},
        drawn={"right": some, "format": sure, "language": share(0, 0, 56.2), "any_right": sure},
        answers=2,
        by={"when": Part(1, 0.0), "who": Part(2, 50.0)},
    )
    assert table({"base": whole, "adapter": replace(whole, drawn={}, answers=0)}) == (
        "3 held-out questions, scores x 100 [95 % interval]\n"
        "                                 base                 adapter\n"
        "answer right                     33.3 [1.2, 88.8]     33.3 [1.2, 88.8]\n"
        "format kept                      100.0 [43.8, 100.0]  100.0 [43.8, 100.0]\n"
        "answer in its language           0.0 [0.0, 56.2]      0.0 [0.0, 56.2]\n"
        "answer right, 2 drawn            33.3 [1.2, 88.8]     -\n"
        "format kept, 2 drawn             100.0 [43.8, 100.0]  -\n"
        "answer in its language, 2 drawn  0.0 [0.0, 56.2]      -\n"
        "any right, 2 drawn               100.0 [43.8, 100.0]  -\n"
        "tokens, not x 100                13.0 [13.0, 13.0]    13.0 [13.0, 13.0]\n"
        "mean reward, not x 100           3.00 [0.50, 8.00]    3.00 [0.50, 8.00]\n"
        "  format_exact                   3.00 [3.00, 3.00]    3.00 [3.00, 3.00]\n"
        "  answer                         0.00 [-2.50, 5.00]   0.00 [-2.50, 5.00]\n"
        "answer right by part\n"
        "  when (1)                       0.0                  0.0\n"
        "  who (2)                        50.0                 50.0"
    )


def test_anothers_questions_have_a_table_of_their_own_which_says_what_was_forgotten():
    def thinks(right, kept, gain=None):
        reasoning = {"right": share(*right), "format": share(*kept), "tokens": Interval(9, 9, 9)}
        return Column(40, BASE.scores, reasoning=reasoning, of=99, gain=gain)

    form = {"format": Interval(-75, -85.8, -58.5)}
    gain = Gain("base@two", Interval(-12.5, -30, 5.1), form)
    both = {
        "base": replace(BASE, by={}),
        "adapter": replace(ADAPTER, by={}),
        "base@two": thinks((50, 35, 65), (100, 91, 100)),
        "adapter@two": thinks((37.5, 24, 53), (25, 14, 40), gain),
        "base@one": replace(BASE, by={}),
        "adapter@one": replace(BASE, by={}, gain=Gain("base@one", Interval(4, 1, 7))),
    }
    own, two, one = table(both).split("\n\n")
    assert own == table({name: column for name, column in both.items() if "@" not in name})
    assert two == (
        "40 of 99 held-out questions of two (a sample), scores x 100 [95 % interval]\n"
        "                   base                 adapter\n"
        "answer right       50.0 [35.0, 65.0]    37.5 [24.0, 53.0]\n"
        "format kept        100.0 [91.0, 100.0]  25.0 [14.0, 40.0]\n"
        "tokens, not x 100  9.0 [9.0, 9.0]       9.0 [9.0, 9.0]\n"
        "adapter: answer right -12.5 [-30.0, +5.1] against base, on the same questions: within chance\n"
        "adapter: format kept -75.0 [-85.8, -58.5] against base, on the same questions: forgotten"
    )
    assert one.splitlines()[0] == "500 held-out questions of one, scores x 100 [95 % interval]"
    assert one.splitlines()[-1] == "adapter: exact match +4.0 [+1.0, +7.0] against base, on the same questions: learned"


def test_a_column_without_rewards_keeps_them_out_of_the_table():
    rewarded = replace(BASE, reward=Interval(1, 1, 1), rewards={"answer": Interval(1, 1, 1)})
    assert "reward" not in table({"base": BASE, "adapter": rewarded})


def test_cells():
    assert (cell(None), cell(Interval(1.26, -1, 3.96), 1)) == ("-", "1.3 [-1.0, 4.0]")
    assert difference(Interval(-1.24, -3, 0.5)) == "-1.2 [-3.0, +0.5]"
    assert scores.FIRST.index(scores.CHAT) < scores.FIRST.index("adapter")
