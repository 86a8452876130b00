"""A workbook's cell as it is shown there: dates, numbers and percentages in the cell's own format."""

import datetime
import re
from typing import Any

WEEKDAYS = "월화수목금토일"
# What Excel shows for its own short dates depends on the machine; these are the workbooks of a Korean one.
LOCAL = {"mm-dd-yy": "yyyy-mm-dd", "m/d/yy h:mm": "yyyy-mm-dd h:mm"}
NUMBER = re.compile(r"(?P<thousands>#,##)?(?P<whole>[0#]+)(?P<decimals>\.0+)?(?P<percent>%)?")
PART = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|\[[^\]]*\]|(?P<half>am/pm|a/p|오전/오후)|'
    r"(?P<field>y+|m+|d+|a{3,4}|h+|s+)|.",
    re.IGNORECASE | re.DOTALL,
)


def shown(value: Any, number_format: str = "General") -> str:
    """The text that a workbook shows for a value in this number format; for forms of many colours the plain value."""
    form = number_format.partition(";")[0]  # of four forms the first is that of positive numbers
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.date | datetime.time):
        return dated(value, LOCAL.get(form, form))
    if isinstance(value, int | float):
        return numbered(value, form)
    return str(value)


def numbered(value: float, form: str) -> str:
    """A number with the thousands, decimals and per cent of its format; in another one without needless decimals."""
    known = NUMBER.fullmatch(form)
    if known is None:
        return str(int(value)) if value == int(value) else f"{value:.15g}"
    decimals = len(known["decimals"] or ".") - 1
    text = f"{value * 100 if known['percent'] else value:{',' if known['thousands'] else ''}.{decimals}f}"
    zeros = known["whole"].count("0") - len(text.lstrip("-").partition(".")[0])
    return f"{'-' * (value < 0)}{'0' * max(zeros, 0)}{text.lstrip('-')}{known['percent'] or ''}"


def dated(value: datetime.date | datetime.time, form: str) -> str:
    """A date or a time in a format such as `yyyy. m. d.`; m is the minute behind an hour and in front of a second."""
    parts = list(PART.finditer(form))
    fields = [(part["field"] or "").lower() for part in parts]
    written = [field[0] for field in fields if field]
    if not written or (isinstance(value, datetime.time) and set(written) & set("yda")):
        return str(value)
    half = any(part["half"] for part in parts)
    text, place = "", -1
    for part, field in zip(parts, fields, strict=True):
        if field:
            place += 1
            around = written[place - 1] if place else "", *written[place + 1 : place + 2]
            minute = field[0] == "m" and (around[0] == "h" or around[1:] == ("s",))
            text += one(value, f"n{field[1:]}" if minute else field, half)
        elif part["half"]:
            text += part["half"].split("/")[getattr(value, "hour", 0) >= 12]
        else:
            text += part["quoted"] or part["escaped"] or ("" if part[0][0] in '"_*[' else part[0])
    return text.strip()


def one(value: Any, field: str, half: bool) -> str:
    """One field of a date: y year, m month, d day, a weekday in Korean, h hour, n minute, s second."""
    letter, width = field[0], len(field)
    if letter == "a":
        return WEEKDAYS[value.weekday()] + "요일" * (width == 4)
    if letter == "y":
        return f"{value.year:04}"[-2 if width <= 2 else -4 :]
    if letter in "md" and width > 2:
        return value.strftime({"m": "%b", "d": "%a"}[letter] if width == 3 else {"m": "%B", "d": "%A"}[letter])
    name = {"m": "month", "d": "day", "h": "hour", "n": "minute", "s": "second"}[letter]
    number = getattr(value, name, 0)
    return f"{(number - 1) % 12 + 1 if letter == 'h' and half else number:0{min(width, 2)}}"
