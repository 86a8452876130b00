"""Prediction files are scored as KorQuAD's official evaluator does it: every question, all digits."""

import collections
import json
import re
import string
import unicodedata

import pytest
from conftest import SHARED

from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import predictions

SAMPLES = [Sample(name, {"question": f"{name}?"}, f"{name}?", ["yes"], None) for name in "ab"]
DEV = SHARED / "korquad" / "KorQuAD_v1.0_dev.visible.json"


def test_predictions_come_in_the_samples_order(tmp_path):
    (tmp_path / "said.json").write_text('\ufeff{"b": 7, "a": null, "c": "x"}', encoding="utf-8")
    assert predictions.predictions(tmp_path / "said.json", SAMPLES) == [None, "7"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", " holds a list, not an object\n  Fix: a prediction file is {"),
        ('{"x": "1"}', ": none of its 1 ids is a question of this recipe (such as a)\n  Fix: is it the right recipe?"),
    ],
)
def test_another_file_is_refused(tmp_path, text, problem):
    (tmp_path / "said.json").write_text(text)
    with pytest.raises(HftError) as error:
        predictions.predictions(tmp_path / "said.json", SAMPLES)
    assert problem in error.value.message


ARTICLES = [
    {
        "title": "t",
        "paragraphs": [
            {
                "context": "레나 호르스트는 1987년에 문을 열었다.",
                "qas": [
                    {"id": str(n), "question": "누가?", "answers": [{"text": "레나 호르스트", "answer_start": 0}]}
                    for n in range(6)
                ],
            }
        ],
    }
]
SAID = {"0": "레나 호르스트", "1": "호르스트", "2": "1987년", "4": "레나", "other": "레나 호르스트"}


@pytest.fixture
def korquad(invoke, tmp_path, monkeypatch):
    """A data folder with questions to ask and none to train on, and no way to fetch any."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dev.json").write_text(json.dumps({"data": ARTICLES}))
    monkeypatch.setenv("HFT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HFT_KORQUAD_ADDRESS", "http://127.0.0.1:9")
    return ("evaluate", "korquad_qlora", "--set", "data.evaluate.file=dev.json", "--predictions")


def test_every_question_counts_without_training_file_and_network(korquad, invoke, tmp_path):
    (tmp_path / "said.json").write_text(json.dumps(SAID))
    done = invoke(*korquad, str(tmp_path / "said.json"))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    f1 = 2 * 1.0 * (4 / 6) / (1.0 + 4 / 6), 2 * 1.0 * (2 / 6) / (1.0 + 2 / 6)
    assert json.loads(lines[0]) == {"exact_match": 100.0 / 6, "f1": 100.0 * (1.0 + f1[0] + f1[1]) / 6}
    assert lines[1] == "6 held-out questions, scores x 100 [95 % interval]"
    assert lines[-1] == "2 of 6 answers are missing and count 0"


def test_a_prediction_file_is_scored_on_a_recipe_of_ones_own(invoke, tmp_path):
    (tmp_path / "said.json").write_text(json.dumps({"heldout-0001": "71 euros", "heldout-0002": "Marrowby"}))
    done = invoke("evaluate", "quickstart", "--set", "evaluate.rows=4", "--predictions", "said.json")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:2] == [
        json.dumps({"exact_match": 1.25, "f1": 1.25}),
        "160 held-out questions, scores x 100 [95 % interval]",
    ]
    done = invoke("evaluate", "quickstart", "--set", "data.evaluate=null", "--predictions", "said.json")
    assert (done.exit_code, "has no held-out rows\n  Fix: add data.evaluate" in done.output) == (1, True)


def test_rows_held_out_of_the_training_file_are_all_counted_too(invoke, tmp_path):
    held_out = ("--set", "data.evaluate=null", "--set", "data.held_out=0.25", "--set", "evaluate.rows=4")
    (tmp_path / "said.json").write_text(json.dumps({f"train-{n:04}": "x" for n in range(1, 641)}))
    done = invoke("evaluate", "quickstart", *held_out, "--predictions", "said.json")
    assert done.output.splitlines()[1] == "160 held-out questions, scores x 100 [95 % interval]", done.output


def official(articles, given):
    """KorQuAD's rules once more, written from their description alone: (exact match, F1)."""

    def normal(text):
        text = re.sub("['\"《》<>〈〉()‘’]", " ", text).lower()
        return " ".join("".join(letter for letter in text if letter not in string.punctuation).split())

    def f1(answer, truth):
        letters = [collections.Counter("".join(normal(text).split())) for text in (answer, truth)]
        same = sum((letters[0] & letters[1]).values())
        if same == 0:
            return 0
        precision, recall = (1.0 * same / sum(one.values()) for one in letters)
        return (2 * precision * recall) / (precision + recall)

    exact = total_f1 = total = 0
    for article in articles:
        for paragraph in article["paragraphs"]:
            for item in paragraph["qas"]:
                total += 1
                if item["id"] in given:
                    answer, truths = given[item["id"]], [one["text"] for one in item["answers"]]
                    exact += max(normal(answer) == normal(truth) for truth in truths)
                    total_f1 += max(f1(answer, truth) for truth in truths)
    return {"exact_match": 100.0 * exact / total, "f1": 100.0 * total_f1 / total}


PERTURBED = {
    "missing ids": lambda n, name, truth: {name: truth if n % 3 else f"{truth[: n % 7]}은"} if n % 5 else {},
    "foreign ids": lambda n, name, truth: {name: truth[: 1 + n % 9], f"{name}-x": truth},
    "NFD": lambda n, name, truth: {name: unicodedata.normalize("NFD", truth) if n % 2 else f"《{truth}》."},
}


@pytest.mark.skipif(not DEV.exists(), reason="the official questions may not be kept in this project")
@pytest.mark.parametrize("kind", PERTURBED)
def test_the_two_numbers_are_the_official_evaluators_to_all_digits(invoke, tmp_path, monkeypatch, kind):
    articles = json.loads(DEV.read_text(encoding="utf-8"))["data"]
    asked = [item for article in articles for paragraph in article["paragraphs"] for item in paragraph["qas"]]
    given = {}
    for number, item in enumerate(asked):
        given |= PERTURBED[kind](number, item["id"], item["answers"][0]["text"])
    (tmp_path / "said.json").write_text(json.dumps(given, ensure_ascii=False), encoding="utf-8")
    monkeypatch.setenv("HFT_DATA", str(DEV.parent))
    monkeypatch.setenv("HFT_KORQUAD_ADDRESS", "http://127.0.0.1:9")
    file = ("--set", f"data.evaluate.file={DEV.name}")
    done = invoke("evaluate", "korquad_qlora", *file, "--predictions", str(tmp_path / "said.json"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[0]) == official(articles, given)
    assert done.output.splitlines()[1].startswith(f"{len(asked):,} held-out questions, ")
