"""Whether an answer is right: what it claims in the end, against the truth."""

import re
from fractions import Fraction
from typing import NamedTuple

from hft.evaluate import equal
from hft.evaluate.numerals import VALUE, Number, clean, numbers, symbols

EOS_TEXT = re.compile(r"<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</s>")  # end tokens that a tokenizer writes as text
MOST = 200  # characters at an answer's end that are looked at
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
BLOCK = re.compile(r"\$\$.*?\$\$|\\\[.*?\\\]|\\begin\{.*?\\end\{\w+\}", re.DOTALL)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)")
WORD = r"(?<![\\A-Za-z])(?!(?:sin|cos|tan|log|ln|exp|sqrt|pi|mod|gcd|lcm|max|min|lim)\b)[^\W\d_]{2,}"
# An answer that is denied or compared is not the number beside these words: denied in the whole clause,
DENIED = (
    r"\b(?:not|\w+n't|cannot|never|wrong|incorrect|false|bukan\w*|tidak|tak|salah(?! satu)|hindi|nicht|kein\w*"
    r"|no es|n'est pas|não|non è|niet|geen|değil|không|не|неверно)\b"
    r"|아니|아닌|아닙|아닐|않|틀렸|틀린|不是|并非|不等|ではな|じゃな"
)
COMPARED = (  # in front of it, and behind it.
    r"\b(?:(?:more|less|greater|fewer|larger|smaller|higher|lower|other) than|at (?:least|most)|over|under|above|below"
    r"|up to|almost|nearly|half(?: of)?|twice|double|(?:lebih|kurang|selain)(?: \w+)? (?:dari|daripada)|hampir|di atas"
    r"|di bawah|(?:min|max|maks)im(?:al|um)|setidaknya|paling \w+|setengah(?: dari)?|dua kali|(?:higit|kulang) sa|halos"
    r"|(?:mehr|weniger) als|mindestens|höchstens|(?:más|menos|plus|moins|mais|più|meno) (?:de|di|que)|(?:al|pelo) menos"
    r"|au moins|almeno|(?:meer|minder) dan|hơn|ít nhất|(?:более|менее|больше|меньше)(?: чем)?)\s+[^\w\s]*(?=[\d\\])"
    r"|(?:거의|不到|大于|小于|超过|多于|少于|至少|至多)\s*(?=[\d\\$])"
    r"|[\d}]\S{0,5}\s?(?:보다|이상|이하|초과|미만|넘|以上|以下|より|未満|を超)"
)
HEDGED = re.compile(f"{DENIED}|{COMPARED}", re.IGNORECASE)
LEAD = re.compile(
    r".*(?:[:=](?=\s)|\b(?:is|are|adalah|ialah|yaitu|option|choice|opsi|pilihan|ay)\b|[가-힣][은는]\s)", re.DOTALL
)
NAME = re.compile(r"^\s*[A-Za-z](?:_\{?\w+\}?)?(?:\([a-z]\))?\s*=(?!=)")
LIST = re.compile(r"\s*\$?\s*(?:[(\[]|\\\{|\\\().*,")
TERM = r"\(*[-+]?\d[\d.,]*\)*(?:\s*(?:[^\W\d]+|[%°]))?"
CALCULATION = re.compile(rf"{TERM}(?:\s*[-+×÷*/^]\s*{TERM})+")
RELATION = re.compile(r"[<>,;]|\\(?:ne|neq|leq?|geq?|lt|gt|in)(?![A-Za-z])")  # what has none may end in its value
UNDONE = re.compile(r"[+×÷*/·]|\\(?:times|cdot|div)(?![A-Za-z])|[\d})]\s*-")


class Claim(NamedTuple):
    """What an answer says in the end."""

    sentence: str  # the last one that claims anything, cleaned
    number: Number | None  # the one number that it says; None for none or several, and where it is denied
    denied: bool


def right(given: str, truth: str, language: str | None = None) -> bool:
    """Whether an answer is the truth: the same text, else the same number, else the same mathematics.

    given: what stands behind the reasoning; of a text with \\boxed{} its last one, else the last sentence
    language: the one whose numbers it is written in, such as id (1.234,5); None for 1,234.5
    An answer that calculates still, such as 17 + 17, is not the number 34. Raises HftError without math-verify.
    """
    given = EOS_TEXT.sub("", given).strip()
    if given == truth.strip():
        return True
    claim, wanted = claimed(given, language), true_number(truth, language)
    text = bare(clean(truth))
    if text and bare(claim.sentence) == text:
        return True
    if claim.denied:
        return False
    if claim.number and wanted:
        return equals(claim.number, wanted)
    led_to = bool(text) and not wanted and bare(LEAD.sub("", claim.sentence)) == text
    return led_to or same_mathematics(claim.sentence, truth, bool(wanted))


def claimed(given: str, language: str | None = None) -> Claim:
    """What an answer says in the end; see `right`."""
    box, around = boxed(given)
    if HEDGED.search(" ".join([*re.split(r"[.,;:]\s", around)[-1].split()[-4:], "0"])):
        return Claim("", None, True)
    text = EOS_TEXT.sub("", given if box is None else box)
    cut = text if len(text) <= MOST else re.sub(r"^[A-Za-z0-9.,]+", "", text[-MOST:])  # a part of a number is none
    text = clean(cut, language)
    text = BLOCK.sub(lambda block: block[0].replace("\n", " "), text)
    sentences = [one.strip() for one in SENTENCE.split(text) if one and one.strip(" $.")] or [""]
    last = next((one for one in reversed(sentences) if re.search(r"[\d\\$]", one)), sentences[-1])
    last = re.sub(r"[\s.?。]+$|(?<=[^\W\d])!+$", "", last)
    number = the_one(last, language)
    plain, at = (symbols(last), number.start) if number else (last, 0)
    words = re.split(r"[,;:]\s", plain[:at] if number else plain)[-1] + (plain[at:] if number else "")
    denied = HEDGED.search(words) is not None
    return Claim(last, None if denied else number, denied)


def the_one(sentence: str, language: str | None) -> Number | None:
    """The number that a sentence says alone, or behind the last equals sign of a calculation; None for several."""
    *before, last = symbols(sentence).split("=")
    said = numbers(last, language)
    if not said or len({one.readings for one in said}) > 1:
        return None
    before = before[1:] if before and NAME.match(f"{before[0]}=") else before
    operands = {said[0].readings} | {
        one.readings
        for part in before
        for calculation in CALCULATION.findall(part)
        for one in numbers(re.sub(r"[-+×÷*/^()]", " ", calculation), language) or []
    }
    for part in before:
        others = numbers(CALCULATION.sub(" ", part), language)
        if others is None or not {one.readings for one in others} <= operands:
            return None
    return said[-1]._replace(start=max(0, len(symbols(sentence)) - len(last) + said[-1].start))


def boxed(text: str) -> tuple[str | None, str]:
    """(what the last \\boxed{} holds, what stands before it); (None, "") without one whose braces close."""
    for begin in [match.end() for match in re.finditer(r"\\f?boxed\s*\{", text)][:-4:-1]:  # the last may be cut off
        depth = 1
        for place in range(begin, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if not depth:
                return text[begin:place], text[:begin].rpartition("\\")[0]
    return None, ""


def the_number(text: str, language: str | None = None) -> Fraction | None:
    """The number that an answer says in the end; None for none, for several, and for one that is denied."""
    number = claimed(text, language).number
    return number.readings[0] if number else None


def true_number(truth: str, language: str | None = None) -> Number | None:
    """The number that a truth is, with its unit; None for one with words in it, where a number decides nothing."""
    box, _ = boxed(truth)
    text = NAME.sub("", clean(truth if box is None else box, language))
    said = numbers(text, language) if len(text) <= MOST and not LIST.match(text) else None
    if not said or len(said) > 1 or re.search(r"[^\W\d_]", VALUE.sub("", symbols(text))):
        return None
    return said[0]


def equals(given: Number, wanted: Number) -> bool:
    """Equal numbers in the same unit, where both name one; an endless decimal may stop after six digits."""
    if given.unit and wanted.unit and given.unit != wanted.unit:
        return False
    if set(given.readings) & set(wanted.readings):
        return True
    one, true = given.readings[0], wanted.readings[0]
    return endless(true) and abs(one - true) <= abs(true) / 10**6


def endless(number: Fraction) -> bool:
    """True for a fraction that no decimal ends."""
    return 10**64 % number.denominator != 0


def bare(text: str) -> str:
    """A text without maths marks, brackets around a letter, and a full stop."""
    plain = " ".join(re.sub(r"\$|\\[()\[\]]", " ", text).split()).rstrip(".").strip(" \"'")
    return re.sub(r"^[(\[{]\s*(\w)\s*[)\]}]$", r"\1", plain)


def same_mathematics(sentence: str, truth: str, plain: bool) -> bool:
    """Whether math-verify finds the formula of a sentence equal to the truth's.

    plain: the truth is a number, which a sum or product left undone is not
    """
    box, _ = boxed(truth)
    wanted, said = formula(clean(truth if box is None else box)), formula(without_words(sentence))
    if "=" not in wanted and not RELATION.search(said):
        said = said.rpartition("=")[2]
    if not wanted or not said or len(wanted) > MOST or (plain and (UNDONE.search(said) or numbers(said) is not None)):
        return False
    return equal.mathematics(said, wanted)


def without_words(sentence: str) -> str:
    """The formula between maths marks, where there is one, else without the words that lead to it."""
    inside = {"".join(filter(None, match.groups())).strip() for match in FORMULA.finditer(sentence)}
    return inside.pop() if len(inside) == 1 else re.sub(rf"^(?:{WORD}[\s,:]+)+", "", sentence.strip(" .$"))


def formula(text: str) -> str:
    """A formula alone, behind `x =`; empty for a text with more in it."""
    alone = text.strip(" .$")
    if re.search(rf"{WORD}|[$:]|[^\x00-\x7f°∞π√×÷]|\.\.", re.sub(r"\\[A-Za-z]+", r"\\", alone)) or "dots" in alone:
        return ""
    return (NAME.sub("", alone) if alone.count("=") == 1 else alone).strip()
