"""The language of reasoning: whole texts, mixed ones, mathematics, repetition; which detector is right more often."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.errors import HftError
from hft.evaluate import grader, languages, reasoning
from hft.evaluate.reasoning import Tags
from hft.recipe.schema import Reward

SENTENCES = [  # (language, maths or everyday, sentence): written for this test
    line.split("\t") for line in (Path(__file__).parent / "sentences.tsv").read_text(encoding="utf-8").splitlines()
]
ALL = ("id", "ms", "tl", "en", "zh", "ko")


def some(language, count, start=0):
    """Sentences of mathematics in a language."""
    return [text for tongue, kind, text in SENTENCES if (tongue, kind) == (language, "maths")][start : start + count]


INDONESIAN, ENGLISH = some("id", 8), some("en", 8)
MIXED = [sentence for pair in zip(INDONESIAN, ENGLISH, strict=True) for sentence in pair]


def test_the_sentences_are_200():
    assert len(SENTENCES) == 200
    assert {language for language, _, _ in SENTENCES} == set(ALL)


def right(detector, among):
    """`{language: how many of its sentences are told}` where only these may be chosen."""
    asked = [(language, text) for language, _, text in SENTENCES if language in among]
    told = [language for language, text in asked if languages.classify(text, among, detector) == language]
    return {language: told.count(language) for language in among}


def test_detectors_and_how_often_they_are_right():
    assert right("langid", ALL) == {"id": 32, "ms": 17, "tl": 33, "en": 32, "zh": 32, "ko": 32}
    assert right("py3langid", ALL) == {"id": 34, "ms": 24, "tl": 34, "en": 32, "zh": 32, "ko": 32}
    assert sum(right("langid", ("id", "en", "zh")).values()) == 100  # all of them


def taken_for_indonesian(language, detector):
    """Of the texts of six sentences in a language, how many are taken for Indonesian."""
    lines = [text for tongue, _, text in SENTENCES if tongue == language]
    texts = [" ".join((lines + lines)[start : start + 6]) for start in range(len(lines))]
    return sum(languages.language_of(text, "id", ALL[1:], detector=detector) == "id" for text in texts)


@pytest.mark.parametrize(
    ("detector", "taken"),
    [
        ("langid", {"id": 30, "ms": 17, "tl": 0, "en": 0, "zh": 0, "ko": 0}),
        ("py3langid", {"id": 36, "ms": 0, "tl": 0, "en": 0, "zh": 0, "ko": 0}),
    ],
)
def test_what_is_taken_for_indonesian_when_six_languages_may_be_chosen(detector, taken):
    assert {language: taken_for_indonesian(language, detector) for language in ALL} == taken


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (" ".join(INDONESIAN), "id"),
        (" ".join([*INDONESIAN, "Therefore it is ten."]), "id"),
        (" ".join(ENGLISH), "en"),
        (" ".join(INDONESIAN[:4] + ENGLISH[:4]), "en"),
        (" ".join(MIXED), "en"),
        (" ".join(INDONESIAN[:4] + ENGLISH[:4]).replace(".", ""), "en"),
        ("".join(some("zh", 8)) + " ".join(INDONESIAN[:4]), "zh"),
        (f"Ya. $${' '.join(ENGLISH[:3])}$$", "en"),
        (f"{INDONESIAN[0]} \\[{' '.join(ENGLISH[:3])}\\]", "en"),
        (f"{INDONESIAN[0]} $${' '.join(INDONESIAN[1:3])}$$", "id"),
        (f"{INDONESIAN[0]} $$\\frac{{a}}{{b}} = \\sqrt{{x}}$$ \\[\\begin{{aligned}} x &= 2 \\end{{aligned}}\\]", "id"),
        (r"$$\frac{a}{b} + c = \sqrt{x}$$ 1 + 2 = 3", None),
        ("Ya.", None),
        (f"{INDONESIAN[0]} " * 3, None),
        (f"{INDONESIAN[0]} " * 40, None),
        (INDONESIAN[0].replace(".", " ").replace(",", "") * 40, None),
        ("ya " * 12, None),
        ("", None),
    ],
)
def test_the_language_of_a_text(text, language):
    assert languages.language_of(text, "id", ("en", "zh")) == language


@pytest.mark.parametrize("wanted", ["id", "ms", "tl"])
@pytest.mark.parametrize("start", [0, 6])
def test_malay_and_tagalog_are_told_from_indonesian(wanted, start):
    others = tuple(language for language in ("id", "ms", "tl", "en") if language != wanted)
    for said in ("id", "ms", "tl"):
        found = languages.language_of(" ".join(some(said, 6, start)), wanted, others, detector="py3langid")
        assert found == said


def test_malay_is_not_paid_for_indonesian(tmp_path):
    told = {"wanted": "id", "among": ["ms", "tl"], "detector": "py3langid"}
    judge = grader.judge(Reward(name="language", options=told), tmp_path, Tags())
    said = [f"<think>{' '.join(some(language, 6))}</think>34" for language in ("id", "ms", "tl")]
    assert judge(prompts=["?"] * 3, completions=said) == [5.0, -3.0, -3.0]


def test_what_stands_before_the_first_tag_counts(tmp_path):
    judge = grader.judge(Reward(name="language", options={"wanted": "id"}), tmp_path, Tags())
    before = f"{' '.join(ENGLISH)}<think>{' '.join(INDONESIAN[:2])}</think>34"
    assert judge(prompts=["?"], completions=[before]) == [-3.0]
    assert reasoning.measured(before, ["34"], Tags(), "id", ("en",))["language"] == 0.0


@pytest.mark.parametrize(
    ("thought", "answer", "score"),
    [
        (INDONESIAN[0], "34", 5.0),
        (INDONESIAN[0], "The answer is 34.", 5.0),
        (INDONESIAN[0], " ".join([*ENGLISH[:2], "It is 34."]), -3.0),
        (" ".join(INDONESIAN[:4]), " ".join([*ENGLISH[:2], "It is 34."]), -3.0),
        ("Mari kita hitung dulu.", "34", -5.0),
        ("Mari kita hitung dulu.", f"{INDONESIAN[0]} Jadi 34.", -5.0),
        ("$$17 + 17 = 34$$", f"{INDONESIAN[0]} Jadi 34.", -5.0),
    ],
)
def test_reasoning_is_not_moved_behind_its_tags(tmp_path, thought, answer, score):
    judge = grader.judge(Reward(name="language", options={"wanted": "id", "letters": 40}), tmp_path, Tags())
    assert judge(prompts=["?"], completions=[f"<think>{thought}</think>{answer}"]) == [score]


def test_the_evaluation_takes_the_detector():
    text = f"<think>{' '.join(some('ms', 3))}</think>34"
    for detector in languages.DETECTORS:
        assert reasoning.measured(text, ["34"], Tags(), "ms", ("id",), detector)["language"] == 1.0
    bahasa = f"<think>{INDONESIAN[4]}</think>34"
    assert [
        reasoning.measured(bahasa, ["34"], Tags(), "id", ("ms",), detector)["language"]
        for detector in languages.DETECTORS
    ] == [0.0, 1.0]


@settings(deadline=None, database=None, max_examples=100)
@given(
    text=st.lists(st.sampled_from(["$$", "\\[", "\\]", ". ", "kata ", "word", "。"]) | st.text(max_size=5)).map("".join)
)
def test_pieces_hold_all_letters(text):
    words = languages.prose(text)
    assert sum(map(languages.count, languages.pieces(words))) == languages.count(words)


def test_a_detector_that_is_not_installed_has_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(HftError) as error:
        languages.model("py3langid")
    assert error.value.message == (
        "py3langid, which tells languages apart, is not installed\n"
        "  Fix: pip install py3langid==0.4.0, or choose detector: langid"
    )


def test_a_language_that_no_detector_knows_is_named():
    with pytest.raises(HftError) as error:
        languages.language_of(INDONESIAN[0], "id", ("qq",))
    assert error.value.problem == "langid knows no language 'qq'"


def test_a_detector_that_there_is_not_is_named_by_check(invoke):
    told = "rewards=[{name: language, options: {wanted: id, detector: lingua}}]"
    done = invoke("check", "grpo_indonesian", "--set", told)
    assert done.exit_code == 1
    assert "rewards: options.detector is one of langid, py3langid, not 'lingua'\n" in done.output
