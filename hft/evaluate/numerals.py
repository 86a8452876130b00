"""Numbers as texts write them: LaTeX and typography made plain, separators read as the recipe's language has them."""

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

# Languages that write 1.234,5; and those that put spaces between thousands.
COMMA = " bg ca cs da de el es et eu fi fr gl hr hu id it lt lv nb nl nn no pl pt ro ru sk sl sr sv tr uk vi "
SPACED = " bg cs et fi fr hu lt lv nb nn no pl ru sk sv uk "

PLAIN = str.maketrans(
    {**dict.fromkeys("−–‒﹣－", "-"), **dict.fromkeys("\u00a0\u2009\u202f\u2007", "~"), "—": ", ", "’": "'"}
    | {"²": "^2", "³": "^3", "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "％": "%", "＝": "=", "√": r"\sqrt "}
)
LATEX = (  # (pattern, what it means), in this order
    (r"\\(?:left|right|displaystyle|bigl?|bigr|Bigl?|Bigr)(?![A-Za-z])", ""),
    (r"\\[dtc]frac", r"\\frac"),
    (r"\{([,.])\}", r"\1"),
    (r"(?<=\d)(?:\\[,;:! ]|~)+(?=\d{3}(?!\d))", ""),
    (r"\\[,;:! ]|~|\\q?quad(?![A-Za-z])", " "),
    (r"\\([$%#&])", r"\1"),
    (r"\^?\s*\{?\\circ\}?|º", "°"),
    (r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|boxed|fbox)\s*\{([^{}]*)\}", r" \1 "),
    (r"\*\*|__|`|^\s*[#>]+\s|</?[a-z]{2,}>", ""),
    (r"[ \t]+(?=[ \t^])", ""),
)
SYMBOLS = (
    (r"\\(?:times|cdot)(?![A-Za-z])|·", "×"),
    (r"\\div(?![A-Za-z])", "÷"),
    (r"\\approx(?![A-Za-z])|≈|≒", "="),
    (
        r"(?i)\b(?:minus|negative|negatif|menos|meno|moins|минус|eksi)\s+(?=[\d.])|(?:마이너스|음수|负|マイナス)\s*(?=\d)",
        "-",
    ),
    (
        r"(?:\b(?:US|Rp|IDR|USD|RM|Rs|KRW|EUR|PHP)\.?\s?)?[$€£¥₩₫₱]|\b(?:Rp|IDR|USD|RM|Rs|KRW|EUR|PHP)\.?\s?(?=[-\d])",
        "",
    ),
    (r"\\[()\[\]]", " "),
    (r"\S*://\S*|(?<![\w\\])[A-Za-z]+_?\{?\d\w*\}?", " "),  # addresses, and names such as x_1 and CO2, say no number
)
NUMERAL = r"(?:\d(?:[\d.,]*\d)?|\.\d+)"
UNIT = (
    r"(?:(?:°\s?[CFK]?|(?:[mcdk]?m|km|[munk]?g|[mcd]?[lL]|ms|min|sec|hrs?|[kM]?[JWV]|[kM]?Hz|k?Pa|[shN]|mph|kph|ha)"
    r"(?:\^\{?[23]\}?|[23])?)(?:/(?:[mcdk]?m|[k]?g|[shlL]|min|hr?|jam)(?:\^\{?[23]\}?|[23])?)?)(?![A-Za-z])"
)
PERCENT = r"%|percent\b|per cent\b|persen\b|peratus\b|porsiyento\b|Prozent\b|por ciento\b|por cento\b|퍼센트|프로"
# Behind a number they make it another one.
SCALE = (
    r"(?:hundred|thousand|[mb]illion|trillion|dozen|lakh|crore|squared|cubed|factorial|choose|pi|"
    r"puluh|belas|ratus|ribu|juta|mil[iy]ar|triliun|lusin|kuadrat|pangkat|faktorial|libo|milyon|daan|"
    r"tausend|millionen|milliarden?|mille|mil|millones|milh(?:ão|ões)|milioni|bin|nghìn|ngàn|triệu|tỷ|"
    r"тысяч\w*|миллион\w*)\b|[만万](?!큼)|[억亿億兆]|조(?!각)|의?\s?제곱|[십백천十百千](?![가-힣一-鿿])"
)
VALUE = re.compile(
    rf"""(?<![^\W가-힣぀-ヿ一-鿿])(?<![.,^/×÷*:])(?<![^\W\d]-)(?P<sign>[-+]\s?)?(?<!\d)
    (?:\\frac\s*(?:\{{\s*(?P<over>[-+]?{NUMERAL})\s*\}}|(?P<o>\d))\s*(?:\{{\s*(?P<under>{NUMERAL})\s*\}}|(?P<u>\d))
    |(?P<whole>\d+)(?:\s+(?P<part>\d+/\d+)|\s*\\frac\{{(?P<po>\d+)\}}\{{(?P<pu>\d+)\}})
    |(?P<number>{NUMERAL})(?:\s*/\s*(?P<divisor>{NUMERAL}))?)
    (?:\s*×\s*10\s*\^\s*\{{?(?P<ten>[-+]?\d{{1,3}})\}}?|[eE](?P<e>[-+]?\d{{1,3}}))?
    (?:\s?(?P<percent>{PERCENT})|\s?(?P<unit>{UNIT}))?
    (?!\s*{SCALE})(?![^\W가-힣぀-ヿ一-鿿])(?!\s*[b-zB-Z]\b(?!'))(?![!(\\]|[.,:]\d|\s*\\)
    (?!\s*[*/×÷^=<>≠≤≥±]|\s*[-+]\s*(?:[\d($\\]|[A-Za-z]\b))""",
    re.VERBOSE,
)
# What is left beside the numbers of a sentence that does more than say one.
STRANGE = re.compile(r"[\d\\^_<>≠≤≥±×÷*+/=|]|[A-Za-z]\(")


class Number(NamedTuple):
    """A number in a text."""

    readings: tuple[Fraction, ...]  # the likeliest first: `1.234` may be two numbers, 50 % is 50 and 1/2
    unit: str  # behind it, such as cm^2; empty for none
    start: int  # where it begins in the text


def clean(text: str, language: str | None = None) -> str:
    """The text with plain digits, signs and LaTeX; its formulas are still formulas."""
    digits = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    plain = digits.translate(PLAIN)
    for pattern, meaning in LATEX:
        plain = re.sub(pattern, meaning, plain, flags=re.MULTILINE)
    if short(language) in SPACED:
        plain = re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "", plain)
    return plain


def numbers(text: str, language: str | None = None) -> list[Number] | None:
    """The numbers of a cleaned text; None where anything is calculated, compared, or beyond reading."""
    plain = symbols(text)
    seen = [read(match, language) for match in VALUE.finditer(plain)]
    if STRANGE.search(VALUE.sub(" ", plain)) or not all(one.readings for one in seen):
        return None
    return seen


def symbols(text: str) -> str:
    """A cleaned text without maths marks, currencies and names with digits in them."""
    for pattern, meaning in SYMBOLS:
        text = re.sub(pattern, meaning, text)
    return text


def read(match: re.Match, language: str | None) -> Number:
    """The number that VALUE has found; without readings where it is none, such as 0,5 in English."""
    part = match.groupdict()
    if part["whole"]:
        top = [Fraction(part["whole"]) + fraction(part["part"], part["po"], part["pu"])]
    else:
        top = written(part["over"] or part["o"] or part["number"], language)
        below = written(part["under"] or part["u"] or part["divisor"] or "1", language)
        top = [one / below[0] for one in top] if below and below[0] else []
    scale = Fraction(10) ** int(part["ten"] or part["e"] or 0) * (-1 if (part["sign"] or "").startswith("-") else 1)
    readings = [scale * one for one in top]
    if part["percent"]:
        readings += [one / 100 for one in readings]
    return Number(tuple(dict.fromkeys(readings)), re.sub(r"[\s{}]", "", part["unit"] or ""), match.start())


def fraction(part: str | None, over: str | None, under: str | None) -> Fraction:
    """The part of a mixed number such as 1 1/2; 0 for one over 0."""
    above, below = part.split("/") if part else (over, under)
    return Fraction(int(above), int(below)) if int(below) else Fraction(0)


def written(numeral: str, language: str | None) -> list[Fraction]:
    """What a numeral says, the reading of the language first; empty for nothing.

    Where the language writes 1.234,5 the other reading comes second, for models and data mix the two.
    """
    marks = [(".", ","), (",", ".")] if short(language) in COMMA else [(",", ".")]
    return list(dict.fromkeys(one for pair in marks if (one := parsed(numeral, *pair)) is not None))


def parsed(numeral: str, thousands: str, decimal: str) -> Fraction | None:
    """A numeral with these marks; None where they stand in the wrong places."""
    sign, digits = re.fullmatch(r"([-+]?)(.*)", numeral).groups()
    if not re.fullmatch(
        rf"(?:[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|\d*)(?:{re.escape(decimal)}\d+)?", digits
    ):
        return None
    return Fraction(sign + digits.replace(thousands, "").replace(decimal, "."))


def short(language: str | None) -> str:
    """The language of a tag such as pt-BR, between spaces."""
    return f" {re.split('[-_]', language or '?')[0].lower()} "
