"""Scores: worked by hand in tables, against a second writing of KorQuAD's official scorer, and on any text."""

import re
import string
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hft.evaluate import metrics

QUICK = settings(deadline=None, database=None, max_examples=100)
TEXT = st.text(max_size=30) | st.text("가나다 abAB'\"《》<>〈〉()‘’“”「」『』·.,!?\t\n　İΣß", max_size=30)

NORMAL = [
    ("백두산", "백두산"),
    ("《삼국지》의 저자", "삼국지 의 저자"),
    ("'백두산'", "백두산"),
    ('"백두산"', "백두산"),
    ("‘독립’ 신문", "독립 신문"),
    ("〈해〉와 <달>", "해 와 달"),
    ("이순신(李舜臣)은", "이순신 李舜臣 은"),
    ("“인용”", "“인용”"),
    ("「시」와 『책』", "「시」와 『책』"),
    ("가·나", "가·나"),
    ("가\t나\n\n다  라", "가 나 다 라"),
    ("가　나", "가 나"),
    ("The  Cat!", "the cat"),
    ("1,234.5", "12345"),
    ("A-B_c", "abc"),
    ("O(n)", "o n"),
    ("ＡＢ！", "ａｂ！"),
    ("3·1 운동.", "3·1 운동"),
    ("don't", "don t"),
    ("50%", "50"),
    ("", ""),
    ("?!...", ""),
    ("' \" ( )", ""),
]
SCORES = [  # answer, truth, exact match, F1 over characters
    ("백두산", "백두산", 1, 1),
    ("《논어》", "논어", 1, 1),
    ("Paris", "paris.", 1, 1),
    ("3.1운동", "31운동", 1, 1),
    ("O(n)", "o n", 1, 1),
    ("백두산이다", "백두산", 0, 3 / 4),  # 3 of 5 and 3 of 3
    ("베토벤", "루트비히 판 베토벤", 0, 6 / 11),  # 3 of 3 and 3 of 8
    ("1919년 3월 1일", "1919년3월1일", 0, 1),
    ("New York", "york new", 0, 1),  # spaces and order are the match's business only
    ("가가나", "가나나", 0, 2 / 3),  # a bag, not a set: one 가 and one 나 are common
    ("the cat", "cat", 0, 2 / 3),
    ("“논어”", "논어", 0, 2 / 3),
    ("『논어』", "「논어」", 0, 1 / 2),
    ("가·나", "가나", 0, 4 / 5),
    ("서울", "부산", 0, 0),
    ("", "서울", 0, 0),
    ("서울", "", 0, 0),
    ("", "", 1, 0),
    ("?!", "...", 1, 0),
    ("《》", "", 1, 0),
]
CONTAINS = [
    ("답은 서울이다", "서울", 1),
    ("서울", " 서울 ", 1),
    ("서 울", "서울", 0),
    ("seoul", "Seoul", 0),
    ("서울", "서울이다", 0),
    ("", "서울", 0),
]


def official(answer, truth):
    """(exact match, F1) the way evaluate-v1.0.py goes about it: one substitution after another, words, lists."""

    def normalize(text):
        for quote in "'\"《》<>〈〉()‘’":
            text = re.sub(re.escape(quote), " ", text)
        return " ".join("".join(one for one in text.lower() if one not in set(string.punctuation)).split())

    said, true = ([character for word in normalize(text).split() for character in word] for text in (answer, truth))
    same = sum((Counter(said) & Counter(true)).values())
    if same == 0:
        return normalize(answer) == normalize(truth), 0
    precision, recall = 1.0 * same / len(said), 1.0 * same / len(true)
    return normalize(answer) == normalize(truth), (2 * precision * recall) / (precision + recall)


@pytest.mark.parametrize(("text", "normal"), NORMAL)
def test_the_normal_form_is_korquads(text, normal):
    assert metrics.normalize(text) == normal


@pytest.mark.parametrize(("answer", "truth", "exact", "f1"), SCORES)
def test_an_answer_scores_as_worked_out_by_hand(answer, truth, exact, f1):
    assert metrics.exact_match(answer, truth) == exact
    assert metrics.f1(answer, truth) == pytest.approx(f1, abs=1e-12)
    assert official(answer, truth) == (bool(exact), pytest.approx(f1, abs=1e-12)), "the table itself is wrong"


@pytest.mark.parametrize(("answer", "truth", "found"), CONTAINS)
def test_contains_looks_for_the_truth_as_it_is_written(answer, truth, found):
    assert metrics.contains(answer, truth) == found


@QUICK
@given(TEXT, TEXT)
@example("", "").via("both empty")
def test_any_two_texts_score_as_the_official_scorer_says(answer, truth):
    exact, f1 = official(answer, truth)
    assert (metrics.exact_match(answer, truth), metrics.f1(answer, truth)) == (exact, f1)


@QUICK
@given(TEXT, TEXT)
def test_scores_lie_between_0_and_1_and_do_not_depend_on_the_side(one, other):
    assert 0 <= metrics.f1(one, other) <= 1
    assert metrics.f1(one, other) == metrics.f1(other, one)
    assert metrics.exact_match(one, other) == metrics.exact_match(other, one) in (0, 1)
    assert metrics.contains(one, other) in (0, 1)


@QUICK
@given(TEXT)
def test_a_text_matches_itself_and_its_normal_form_is_final(text):
    normal = metrics.normalize(text)
    assert metrics.normalize(normal) == normal
    assert metrics.exact_match(text, text) == 1
    assert metrics.f1(text, text) == (1 if normal else 0)


def test_half_a_surrogate_pair_from_a_json_file_is_no_crash():
    assert metrics.score("\ud83d", ["답"]) == {"exact_match": 0, "f1": 0, "contains": 0}


def test_a_missing_answer_scores_0_even_where_an_empty_one_would_match():
    assert metrics.score(None, [""]) == {"exact_match": 0, "f1": 0, "contains": 0}
    assert metrics.score("", [""]) == {"exact_match": 1, "f1": 0, "contains": 1}


def test_each_score_is_the_best_over_the_truths():
    assert metrics.score("1919년 3월 1일", ["서울", "1919년3월1일", "3월"]) == {
        "exact_match": 0,
        "f1": 1,
        "contains": 1,
    }


def row(value):
    return dict.fromkeys(metrics.SCORES, value)


@QUICK
@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 2, st.floats(0, 1)), min_size=1, max_size=30))
def test_the_interval_holds_the_mean_and_is_the_same_every_time(values):
    scored = [{"exact_match": exact, "contains": found, "f1": f1} for exact, found, f1 in values]
    summary = metrics.summarize(scored)
    assert summary == metrics.summarize(scored)
    for name in metrics.SCORES:
        assert 0 <= summary[name].low <= summary[name].mean <= summary[name].high <= 100


@pytest.mark.parametrize(
    ("values", "share", "f1"),
    [
        ([1], (100, 3.5, 100), (100, 0, 100)),
        ([0] * 72, (0, 0, 5.1), (0, 0, 4.2)),  # what was never seen in 72 may still be there
        ([1] * 72, (100, 94.9, 100), (100, 95.8, 100)),
        ([1] * 8 + [0] * 8, (50, 26.1, 73.9), (50, 25, 75)),
        ([1] * 60 + [0] * 40, (60, 50.2, 69.1), (60, 51, 69)),
        ([1] * 346 + [0] * 154, (69.2, 65, 73.1), (69.2, 64.8, 72.8)),
    ],
)
def test_the_summary_of_known_scores(values, share, f1):
    summary = metrics.summarize([row(value) for value in values])
    rounded = {name: (round(one.mean, 1), round(one.low, 1), round(one.high, 1)) for name, one in summary.items()}
    assert rounded == {"exact_match": share, "f1": f1, "contains": share}


def test_the_scores_do_not_share_a_summary_and_keep_their_digits():
    summary = metrics.summarize([{"exact_match": 0.0, "f1": 1 / 3, "contains": 1.0}] * 3)
    assert {name: one.mean for name, one in summary.items()} == {
        "exact_match": 0,
        "f1": pytest.approx(100 / 3, abs=1e-12),
        "contains": 100,
    }
