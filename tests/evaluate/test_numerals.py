"""Numbers as languages write them."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.evaluate import numerals


@pytest.mark.parametrize(
    ("numeral", "language", "readings"),
    [
        ("1,234", None, [1234]),
        ("1.234", None, [Fraction("1.234")]),
        ("1.234", "id", [1234, Fraction("1.234")]),
        ("1,234", "id", [Fraction("1.234"), 1234]),
        ("1.234,5", "id", [Fraction("1234.5")]),
        ("1,234.5", "id", [Fraction("1234.5")]),
        ("0.500", "id", [Fraction(1, 2)]),
        ("0,5", None, []),
        ("12,34", "en", []),
        ("1.2.3", None, []),
        (".5", "ko", [Fraction(1, 2)]),
    ],
)
def test_a_numeral_says_what_its_language_means(numeral, language, readings):
    assert numerals.written(numeral, language) == readings


@settings(deadline=None, database=None, max_examples=200)
@given(cents=st.integers(-(10**12), 10**12), language=st.sampled_from(["id", "de", "es", "pt-BR", "ru", "vi", "tr"]))
def test_what_a_language_writes_is_read_back(cents, language):
    english = f"{cents / 100:,.2f}"
    local = english.translate(str.maketrans(",.", ".,"))
    [number] = numerals.numbers(numerals.clean(f"Hasilnya {local} kg", language), language)
    assert (number.readings[0], number.unit) == (Fraction(english.replace(",", "")), "kg")


@pytest.mark.parametrize(
    ("text", "readings", "unit"),
    [
        ("50 %", (50, Fraction(1, 2)), ""),
        ("-3 m/s", (-3,), "m/s"),
        ("3 cm³", (3,), "cm^3"),
        ("1½", (Fraction(3, 2),), ""),
        ("2e3", (2000,), ""),
        ("٣٤", (34,), ""),
    ],
)
def test_a_number_has_its_unit(text, readings, unit):
    [number] = numerals.numbers(numerals.clean(text))
    assert number[:2] == (readings, unit)


@pytest.mark.parametrize("text", ["3 + 4", "3x", "3!", "3^2", r"\sqrt{3}", "3 > 2", "1/0", "3 juta", "v1.2.3"])
def test_what_is_no_plain_number_is_none(text):
    assert not numerals.numbers(numerals.clean(text))
