"""Every source, format, reward, backend and method keeps its contract; a planted one that does not is named."""

import importlib
import inspect
import types

import contracts
import pytest

from hft.data.formats import FORMATS
from hft.evaluate.rewards import BUILT_IN
from hft.recipe.section import members

FOLDERS = {
    folder: [importlib.import_module(f"hft.{folder.replace('/', '.')}.{name}") for name in members(folder)]
    for folder in ("data/sources", "model/backends", "train/methods")
}


def test_members_were_found():
    assert all(len(modules) >= least for modules, least in zip(FOLDERS.values(), (6, 2, 2), strict=True))
    assert len(FORMATS) >= 7
    assert len(BUILT_IN) >= 6


@pytest.mark.parametrize("module", FOLDERS["data/sources"], ids=lambda module: module.__name__)
def test_a_source_keeps_its_contract(tmp_path, monkeypatch, module):
    monkeypatch.setenv("HFT_DATA", str(tmp_path))
    monkeypatch.setenv("HFT_CACHE", str(tmp_path))
    assert contracts.source(module, tmp_path) == []


@pytest.mark.parametrize("function", FORMATS.values(), ids=FORMATS)
def test_a_format_keeps_its_contract(function):
    assert contracts.format(function) == []


@pytest.mark.parametrize("function", BUILT_IN.values(), ids=BUILT_IN)
def test_a_reward_keeps_its_contract(function):
    assert contracts.reward(function) == []


@pytest.mark.parametrize("module", FOLDERS["model/backends"], ids=lambda module: module.__name__)
def test_a_backend_keeps_its_contract(module):
    assert contracts.backend(module) == []


def test_the_backends_are_twins():
    surfaces = [
        {name: str(inspect.signature(getattr(module, name))) for name in contracts.BACKEND}
        for module in FOLDERS["model/backends"]
    ]
    assert surfaces[0] == surfaces[1]


@pytest.mark.parametrize("module", FOLDERS["train/methods"], ids=lambda module: module.__name__)
def test_a_method_keeps_its_contract(module):
    assert contracts.method(module) == []


def planted(text: str, name: str = "new") -> types.ModuleType:
    """A module with this text."""
    module = types.ModuleType(name)
    exec(text, module.__dict__)
    return module


SOURCE = '''
from typing import Literal
from pydantic import Field
from hft.data import files
from hft.recipe.section import Rows

LICENCE, CHEAP = None, True

class Spec(Rows):
    source: Literal["new"]
    file: str = Field(description="a file")

def rows(source, beside):
    """Yield the rows."""
    yield from files.find(source.file, beside).open()

def locate(source):
    """The file's name."""
    return source.file

def facts(source, beside):
    """The file's name and hash."""
    return files.facts(source.file, beside)
'''
FORMAT = '''
def new(row, told):
    """A text and its title."""
    return row["text"], row["title"]
'''
REWARD = '''
def new(completions, answer, *, tags, compat=None, right=1.0, **columns):
    """`right` for anything; in [0, 2 right]."""
    return [right] * len(completions)
'''
BACKEND = '''
def load(spec, plan, rank=16):
    """Return (model, tokenizer)."""
def add_lora(model, spec, plan, seed):
    """Return the model."""
def generate(model, tokenizer, prompts, max_new_tokens, plan, what, drawn=None, one_line=False):
    """Return the answers."""
'''
METHOD = '''
def train(model, tokenizer, samples, recipe, plan, run, stop_after=None):
    """Train."""
'''


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("", "", []),
        ("def locate(source)", "def locate(spec)", ["locate(spec): its arguments are source"]),
        ("def facts", "def fact", ["facts: missing"]),
        (
            '"""Yield the rows."""',
            "",
            ["rows: its docstring does not begin with a line that is a sentence"],
        ),
        (
            "LICENCE, CHEAP = None, True",
            "CHEAP = 1",
            [
                "LICENCE: what a model card says of its rows, or None where it has to be asked for",
                "CHEAP: True or False",
            ],
        ),
        ("class Spec(Rows)", "class Spec", ["Spec: a Section, with what a recipe says of it"]),
        ('Literal["new"]', 'Literal["old"]', ["Spec.source: only 'new'"]),
        (' = Field(description="a file")', "", ["Spec.file: no description"]),
        (
            "files.find(source.file, beside).open()",
            "open(source.file)",
            ["rows: FileNotFoundError instead of HftError where there is no data"],
        ),
        ("return files.facts(source.file, beside)", "return {}", ["facts: no error where there is no data"]),
    ],
)
def test_a_planted_source_is_named(tmp_path, monkeypatch, old, new, named):
    monkeypatch.setenv("HFT_DATA", str(tmp_path))
    monkeypatch.setenv("HFT_CACHE", str(tmp_path))
    assert contracts.source(planted(SOURCE.replace(old, new)), tmp_path) == named


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("", "", []),
        ("(row, told)", "(row, instruction)", ["new(row, instruction): its arguments are row, told"]),
        ('"""A text and its title."""', "", ["new: its docstring does not begin with a line that is a sentence"]),
        (', row["title"]', "", ["new: 'text' is no (prompt, answer)"] * 2),
        ('row["text"], row["title"]', '"", ""', ["new: no error for a row without columns"] * 2),
        ('row["text"]', "{}[0]", ["new: KeyError(0) names no column that the row {} lacks"]),
    ],
)
def test_a_planted_format_is_named(old, new, named):
    assert contracts.format(planted(FORMAT.replace(old, new)).new) == named


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("", "", []),
        ("completions, answer, *", "texts, answer, *", ["new: its first argument is not 'completions'"]),
        ("*, tags, compat=None", "tags, *, compat=None", ["new: 'tags' is not keyword-only"]),
        (", compat=None", "", ["new: 'compat' is not keyword-only"]),
        (", **columns", "", ["new: no **columns for the columns that it does not read"]),
        ("answer, *", "answer=None, *", ["new: 'answer' has a default, so it is an option: keyword-only"]),
        ("; in [0, 2 right].", ".", ["new: its docstring has no range, such as: in [0, 1]"]),
        ("in [0, 2 right]", "in [2 right, 4]", ["new: 1.0 is not in its range [2.0, 4]"] * 3),
        ("[right] *", "[right] * 2 *", ["new: [1.0, 1.0, 1.0, 1.0, 1.0, 1.0] is not 3 finite floats"]),
        ("[right]", "[None]", ["new: [None, None, None] is not 3 finite floats"]),
        ("[right]", "[float('nan')]", ["new: [nan, nan, nan] is not 3 finite floats"]),
    ],
)
def test_a_planted_reward_is_named(old, new, named):
    assert contracts.reward(planted(REWARD.replace(old, new)).new) == named


@pytest.mark.parametrize(
    ("check", "text", "old", "new", "named"),
    [
        (contracts.backend, BACKEND, "", "", ""),
        (contracts.backend, BACKEND, "load(spec, plan", "load(plan, spec", "load(plan, spec, rank): its arguments are"),
        (contracts.backend, BACKEND, "def add_lora", "def lora", "add_lora: missing"),
        (contracts.backend, BACKEND, "def load", "merge = 1\ndef load", "merge: no backend merges"),
        (contracts.method, METHOD, "", "", ""),
        (contracts.method, METHOD, "samples, recipe", "recipe, samples", "train(model, tokenizer, recipe, samples, "),
    ],
)
def test_a_planted_backend_and_method_are_named(check, text, old, new, named):
    wrong = check(planted(text.replace(old, new)))
    assert [violation[: len(named)] for violation in wrong] == ([named] if named else [])
