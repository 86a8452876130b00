"""Verifying what a model says about inputs and outputs: the paper's tolerance, the last JSON object, execution."""

import json
import shutil
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data.sandbox import verdict

QUICK = settings(deadline=None, database=None, max_examples=150)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)
ROW = {
    "kind": "output",
    "code": "def f(n):\n    return 12 // n",
    "name": "f",
    "input_json": '{"n": 5}',
    "output_json": "2",
}
NEEDS = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


@pytest.mark.parametrize(
    ("wanted", "given_", "close"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        (3.14159, 3.1416, True),
        (3.14159, 3.13, False),
        (2.9999, 3.0001, False),
        (1000.2, 1000.9, True),
        (1e-9, 2e-9, False),
        (0.0, 0, True),
        (10**400, 10**400, True),
        (10**400, 1.5, False),
        ("a", "a", True),
        ("1", 1, False),
        ([1, 2.0], [1, 2], True),
        ([1], [1, 1], False),
        ({"a": [1.0001]}, {"a": [1.0002]}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, [1], False),
        ([], {}, False),
    ],
)
def test_values_are_close_as_the_paper_says(wanted, given_, close):
    assert verdict.close(wanted, given_) is close
    assert verdict.close(given_, wanted) is close


@QUICK
@given(VALUES)
def test_every_value_is_close_to_itself_and_survives_json(value):
    assert verdict.close(value, value)
    assert verdict.close(json.loads(json.dumps(value)), value)


@QUICK
@given(VALUES, VALUES)
def test_closeness_goes_both_ways(one, other):
    assert verdict.close(one, other) == verdict.close(other, one)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('{"output": 3}', {"output": 3}),
        ('First {"output": 1}, then {"output": 2}. Done.', {"output": 2}),
        ('```json\n{"output": [1]}\n```', {"output": [1]}),
        ('{"output": {"output": 4}}', {"output": {"output": 4}}),
        ('{"result": {"output": 5}}', {"output": 5}),
        ('{"output": 1e999}', None),
        ('{"input": 1}', None),
        ("3", None),
        ("", None),
        ('{"output": NaN}', None),
        ('{"output": 3', None),
        ('{"output": 1} {', {"output": 1}),
        ("{" * 3000, None),
        ('{"output": "\\ud800"}', None),
        ('{"output": {"\\udfff": 1}}', None),
        ('{"output": "\\ud83d\\ude00"}', {"output": "😀"}),
        ('{"output": 1} {"output": "\\ud800"}', {"output": 1}),
        # what CodeI/O's own verification repairs
        ('{"output": True}', {"output": True}),
        ("{'output': [False, None]}", {"output": [False, None]}),
        ("{'output': 'it\\'s'}", {"output": "it's"}),
        ("{'output': \"it's {\"}", {"output": "it's {"}),
        ("{'output': (1, 2,)}", {"output": [1, 2]}),
        ("{'output': (1)}", {"output": 1}),
        ("{'output': ((1, 'a'), ())}", {"output": [[1, "a"], []]}),
        ('{"output": [1, 2,],}', {"output": [1, 2]}),
        ('{"output": [true, null,]}', {"output": [True, None]}),
        ('{"output": "\\u00e9\\/",}', {"output": "é/"}),
        ("{'input': {'a': None}}", None),
        ("{'output': {1: -2.5e1, None: +.5, False: 1.}}", {"output": {"1": -25.0, "null": 0.5, "false": 1.0}}),
        ("That's it: {'output': 1}, isn't it? {'no': 2}", {"output": 1}),
        ("{\"output\": 1} and then {'output': 2}", {"output": 2}),
        ("{'output': 1} and then {\"output\": 2}", {"output": 2}),
        ("{'result': {'output': 5}}", {"output": 5}),
        ("{'output':\n  [1,\n   2]\n}", {"output": [1, 2]}),
        # and what is no value
        ("{'output': 1e999}", None),
        ("{'output': nan}", None),
        ("{'output': {1, 2}}", None),
        ("{'output': b'a'}", None),
        ("{'output': 1+2j}", None),
        ("{'output': 2 ** 9}", None),
        ("{'output': open('x')}", None),
        ("{'output': [x for x in (1,)]}", None),
        ("{'output': {(1, 2): 3}}", None),
        ("{'output': {[1]: 3}}", None),
        ("{'output'}", None),
        ("{'output': 1", None),
        ("{'output': '\\ud800'}", None),
        ("{'output': 0777}", None),
    ],
)
def test_the_last_object_with_the_key_counts(said, found):
    assert verdict.last_object(said, "output") == found


@QUICK
@given(VALUES, st.text(max_size=20).filter(lambda text: "{" not in text))
def test_an_object_is_found_whatever_stands_around_it(value, around):
    assert verdict.close(
        verdict.last_object(f"{around}{json.dumps({'answer': value})}{around}", "answer")["answer"], value
    ) or "answer" in json.dumps(value)


@QUICK
@given(VALUES, st.text(max_size=20).filter(lambda text: "{" not in text))
def test_a_python_literal_is_read_as_json_is(value, around):
    found = verdict.last_object(f"{around}{ ({'answer': value})!r}{around}", "answer")
    assert verdict.close(found["answer"], value) or "answer" in repr(value)


PIECES = st.sampled_from(
    [*"{}[]()\"'\\\n:, -+.1eaj", "'a'", '"a"', "'a':", "True", "null", "0" * 5000, "\\ud800", "\ud800"]
)


@settings(QUICK, max_examples=1000)
@given(st.text(alphabet='{}[]":,0a \n\\') | st.lists(PIECES, max_size=40).map("".join))
def test_no_text_is_too_odd(text):
    found = verdict.last_object(text, "a")
    assert found is None or "a" in found
    assert verdict.judge({"kind": "a", "output_json": "1"}, text).feedback.encode()


@pytest.mark.parametrize(
    "text",
    [
        "{" * 50_000,
        "{'" * 50_000,
        "{'a':" * 20_000,
        "{'a':" * 900 + "1" + "}" * 900,
        '{"a":' * 900 + "1" + "}" * 900,
        '{"a":' + "[" * 900 + "]" * 900 + "}",
        "{'a':" + "[" * 100_000 + "]" * 100_000 + "}",
        "{'a':" + "(" * 49 + ")" * 49 + "}",
        "{'a':" + "-" * 50_000 + "1}",
        "{'a':" + "9" * 100_000 + "}",
        "{'a': '" + "\\'" * 50_000 + "}",
        "{'a': '" + "x" * 200_000 + "'}",
        "{'a': 1, 'b': [" + "1, " * 50_000,
        "{'a': [" + "{'a': 1}, " * 5_000 + "]",
        "{'a': {'a': {" * 3_000 + "}}}" * 3_000,
        "{'a': " + "'x' " * 4_000 + "}",
    ],
    ids=lambda text: text[:15],
)
def test_a_hostile_answer_neither_stops_nor_hangs_the_verdict(text):
    begin = time.process_time()
    assert verdict.judge({**ROW, "kind": "a"}, f"{text}, 'a'").status != "correct"
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    ("said", "status", "feedback"),
    [
        ('{"output": 2}', "correct", "The output is right."),
        ('{"output": 3}', "wrong", "The output 3 is wrong."),
        ("{'output': 2.0,}", "correct", "The output is right."),
        ('{"output": True}', "wrong", "The output true is wrong."),
        (
            '{"output": "\\ud800"}',
            "unreadable",
            'There is no JSON object with the key "output" at the end of the answer.',
        ),
        ("2", "unreadable", 'There is no JSON object with the key "output" at the end of the answer.'),
    ],
)
def test_an_output_is_compared(said, status, feedback):
    assert verdict.judge(ROW, said) == (status, feedback)


@NEEDS
@pytest.mark.parametrize(
    ("said", "status", "feedback"),
    [
        (
            '{"input": {"n": 6}}',
            "correct",
            "The input gives the wanted output.",
        ),  # another one than the row's, and as good
        ("{'input': {'n': 6,}}", "correct", "The input gives the wanted output."),
        ('{"input": {"n": 4}}', "wrong", 'The input {"n": 4} gives 3, which is not the wanted output.'),
        (
            '{"input": {"n": 0}}',
            "error",
            'With the input {"n": 0} the function fails: ZeroDivisionError: integer division or modulo by zero',
        ),
        (
            '{"input": {"m": 1}}',
            "error",
            "With the input {\"m\": 1} the function fails: TypeError: f() got an unexpected keyword argument 'm'",
        ),
    ],
)
def test_an_input_is_run(said, status, feedback):
    assert verdict.judge({**ROW, "kind": "input"}, said) == (status, feedback)


@NEEDS
def test_an_input_that_never_ends_is_a_timeout(monkeypatch):
    monkeypatch.setattr(verdict, "LIMITS", verdict.LIMITS._replace(processor=1))
    row = {**ROW, "kind": "input", "code": "def f(n):\n    while n: pass\n    return 2"}
    assert verdict.judge(row, '{"input": {"n": 1}}').status == "timeout"
    assert verdict.judge(row, '{"input": {"n": 0}}').status == "correct"


@NEEDS
def test_a_function_cannot_make_feedback_that_no_file_takes():
    row = {**ROW, "kind": "input", "code": "def f(n):\n    raise ValueError('\\ud800')"}
    assert verdict.judge(row, '{"input": 1}').feedback == "With the input 1 the function fails: ValueError: ?"
    row = {**ROW, "kind": "input", "code": "def f(n):\n    return '\\ud800'"}
    assert verdict.judge(row, '{"input": 1}').feedback == "With the input 1 the function fails: Refused: not JSON"
