"""Tokenised rows from the cache are the very same; anything that changes them makes them anew."""

from types import SimpleNamespace

import pytest
from characters import Characters

from hft.data import tokens

PAIRS = [("Answer:", "서울"), ("Q:\n", "x"), ("Answer:", "부산")]


class Counted(Characters):
    """Counts how often it is asked; `vocabulary` is what the library would write of it."""

    def __init__(self, vocabulary="a"):
        super().__init__()
        self.calls, self.backend_tokenizer = 0, SimpleNamespace(to_str=lambda: vocabulary)

    def __call__(self, text, add_special_tokens=True):
        self.calls += 1
        return super().__call__(text, add_special_tokens)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("HFT_CACHE", str(tmp_path))
    monkeypatch.setattr(tokens, "FEW", 2)
    return tmp_path


def encode(pairs=PAIRS, vocabulary="a"):
    """(tokens, how often the tokenizer was asked)"""
    tokenizer = Counted(vocabulary)
    return tokens.encode_all(pairs, tokenizer, "train"), tokenizer.calls


def test_the_second_time_nothing_is_tokenised(small):
    first, asked = encode()
    assert first == [tokens.encode(*pair, Characters()) for pair in PAIRS]
    assert asked > 0
    assert encode() == (first, 0)
    assert tokens.folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change", [{"pairs": [*PAIRS[:2], ("Answer:", "대구")]}, {"pairs": PAIRS[::-1]}, {"vocabulary": "b"}]
)
def test_other_rows_or_another_tokenizer_are_tokenised(change):
    encode()
    assert encode(**change)[1] > 0


def test_a_damaged_file_is_made_anew():
    first, _ = encode()
    [place] = tokens.folder().glob("*.parquet")
    place.write_bytes(place.read_bytes()[:100])
    again, asked = encode()
    assert (again, asked > 0) == (first, True)
    assert encode() == (first, 0)


def test_few_rows_and_slow_tokenizers_leave_no_file():
    tokens.encode_all(PAIRS[:2], Counted(), "train")
    tokens.encode_all(PAIRS, Characters(), "train")
    assert not list(tokens.folder().iterdir())


def test_only_the_newest_files_stay(monkeypatch):
    monkeypatch.setattr(tokens, "MOST", 2)
    for name in "abc":
        encode(vocabulary=name)
    assert len(list(tokens.folder().iterdir())) == 2
    assert encode(vocabulary="c")[1] == 0
