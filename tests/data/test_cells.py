"""A workbook's cells: the text that stands there for the one who opens it."""

from datetime import date, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data.cells import shown

MORNING, EVENING = datetime(2021, 3, 1), datetime(2021, 11, 12, 21, 4, 5)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (MORNING, "yyyy-mm-dd", "2021-03-01"),
        (date(2021, 3, 1), "yyyy-mm-dd", "2021-03-01"),
        (MORNING, "yyyy. m. d.", "2021. 3. 1."),
        (MORNING, 'yyyy"년" m"월" d"일"', "2021년 3월 1일"),
        (MORNING, "yyyy\\-mm\\-dd;@", "2021-03-01"),
        (MORNING, "[$-412]yyyy. m. d. aaaa", "2021. 3. 1. 월요일"),
        (MORNING, "mm-dd-yy", "2021-03-01"),  # what openpyxl calls Excel's own short date, which is the machine's
        (EVENING, "m/d/yy h:mm", "2021-11-12 21:04"),
        (MORNING, "m/d/yy", "3/1/21"),
        (EVENING, "d-mmm-yy", "12-Nov-21"),
        (EVENING, "yyyy-mm-dd hh:mm:ss", "2021-11-12 21:04:05"),
        (EVENING, "h:mm AM/PM", "9:04 PM"),
        (EVENING, "오전/오후 h:mm", "오후 9:04"),
        (EVENING, "mm:ss", "04:05"),
        (time(9, 5), "h:mm", "9:05"),
        (time(9, 5), "yyyy-mm-dd", "09:05:00"),
        (EVENING, "General", "2021-11-12 21:04:05"),
        (3, "General", "3"),
        (3.0, "General", "3"),
        (4.5, "General", "4.5"),
        (0.1 + 0.2, "General", "0.3"),
        (-2, "0", "-2"),
        (1234567, "#,##0", "1,234,567"),
        (-1234.5, "#,##0.00", "-1,234.50"),
        (0.256, "0%", "26%"),
        (0.256, "0.0%", "25.6%"),
        (7, "000", "007"),
        (-7, "000", "-007"),
        (1500, '_-* #,##0_-;-* #,##0_-;_-* "-"_-;_-@_-', "1500"),
        (True, "General", "TRUE"),
        ("0012", "General", "0012"),
    ],
)
def test_a_cell_is_what_the_workbook_shows(value, form, text):
    assert shown(value, form) == text


@settings(deadline=None, database=None)
@given(value=st.datetimes(min_value=datetime(1900, 3, 1)).map(lambda moment: moment.replace(microsecond=0)))
def test_a_full_date_can_be_read_again(value):
    assert datetime.strptime(shown(value, "yyyy-mm-dd hh:mm:ss"), "%Y-%m-%d %H:%M:%S") == value


@settings(deadline=None, database=None)
@given(
    value=st.datetimes() | st.times() | st.integers() | st.floats(-1e15, 1e15) | st.booleans(),
    form=st.text('ymdhsa0#,.%;"[]_* /-:@AMP', max_size=12),
)
def test_any_format_gives_a_text(value, form):
    assert isinstance(shown(value, form), str)
