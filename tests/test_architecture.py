"""The house has rooms: imports point one way, plural folders hold what a recipe may write, nothing grows too large.

Each check of tests/house.py runs over the real tree, and over a copy with a violation planted, which it must name.
"""

import shutil
import textwrap

import pytest
from conftest import ROOT
from house import (
    MOST_FLAT,
    VALUES,
    circles,
    crowded,
    imports,
    modules,
    strangers,
    too_long,
    too_many_flat,
    wrong_way,
)

CHECKS = (wrong_way, circles, strangers, too_many_flat, too_long, crowded)
LONG = "def long():\n" + "    pass\n" * 50


def test_modules_and_their_imports_were_found():
    known = modules(ROOT)
    assert len(known) > 60
    assert sum(len(imports(name, path, known)) for name, path in known.items()) > 150
    assert all(VALUES.values())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_is_in_order(check):
    assert check(ROOT) == []


@pytest.mark.parametrize(
    ("check", "file", "text", "named"),
    [
        (wrong_way, "recipe/new.py", "from hft.data import rows", "hft/recipe/new.py:1: recipe may not import data"),
        (wrong_way, "files2.py", "", "hft/files2.py: no room of ORDER"),
        (wrong_way, "attic/new.py", "import os", "hft/attic/new.py: no room of ORDER"),
        (wrong_way, "train/new.py", "import hft.export.card", "hft/train/new.py:1: train may not import export"),
        (wrong_way, "export/new.py", "from hft import train", "hft/export/new.py:1: export may not import train"),
        (wrong_way, "data/new.py", "from .. import plan", "hft/data/new.py:1: data may not import plan"),
        (wrong_way, "data/new.py", "from ..plan import plan", "hft/data/new.py:1: data may not import plan"),
        (
            wrong_way,
            "plan/new.py",
            "def inside(name):\n    import json\n\n    from hft.runs.folder import lock\n",
            "hft/plan/new.py:4: plan may not import runs",
        ),
        (
            wrong_way,
            "data/new.py",
            "def inside(name):\n    return importlib.import_module(f'hft.train.methods.{name}')\n",
            "hft/data/new.py:2: data may not import train",
        ),
        (wrong_way, "data/new.py", "import hft", "hft/data/new.py:1: an import that hides what it takes"),
        (wrong_way, "data/new.py", "from hft import *", "hft/data/new.py:1: an import that hides what it takes"),
        (wrong_way, "data/new.py", "__import__('hft.plan.plan')", "hft/data/new.py:1: data may not import plan"),
        *(
            (wrong_way, "data/new.py", text, "hft/data/new.py:1: an import that hides what it takes")
            for text in (
                "import_module(f'hft.{room}.session')",
                "import_module('hft.' + 'train')",
                "import_module(NAME)",
                "import_module(name='hft')",
                "import_module('.session', 'hft.train')",
                "from importlib import import_module as load",
            )
        ),
        (
            wrong_way,
            "recipe/section.py",
            "from hft.data import overlap\n",
            "hft/recipe/section.py:1: recipe may not import data",
        ),
        (
            circles,
            "data/new.py",
            "def inside():\n    from hft.data import newer\n",
            "hft.data.new -> hft.data.newer -> hft.data.new",
        ),
        (strangers, "data/sources/new.py", "", "hft/data/sources/new.py: nothing that a recipe may write"),
        (strangers, "train/methods/dpo.py", "", "hft/train/methods/dpo.py: nothing that a recipe may write"),
        (strangers, "model/backends/new/a.py", "", "hft/model/backends/new: a folder among values"),
        (strangers, "plan/wishes/a.py", "", "hft/plan/wishes: a plural folder without names that a recipe may write"),
        (too_long, "data/new.py", "#\n" * 251, "hft/data/new.py: 251 lines, at most 250"),
        (too_long, "data/new.py", f'"""{"가" * 115}"""', "hft/data/new.py:1: 121 columns, at most 120"),
        (too_long, "data/new.py", LONG, "hft/data/new.py:1: long has 51 lines, at most 50"),
        (
            too_long,
            "data/new.py",
            "class A:\n" + textwrap.indent(LONG, "    "),
            "hft/data/new.py:2: long has 51 lines, at most 50",
        ),
        (
            too_long,
            "data/new.py",
            "def outer():\n" + textwrap.indent(LONG.replace("    pass\n", "", 1), "    "),
            "hft/data/new.py:1: outer has 51 lines, at most 50",
        ),
        (crowded, "data/new.py", "a = 1; b = 2", "hft/data/new.py:1: two statements on a line"),
        (crowded, "data/new.py", "if True: a = 1", "hft/data/new.py:1: two statements on a line"),
        (crowded, "data/new.py", "for a in (\n    1,\n): b = a", "hft/data/new.py:3: two statements on a line"),
        (crowded, "data/new.py", "def 가(): return 1", "hft/data/new.py:1: two statements on a line"),
        (crowded, "data/new.py", "try:\n    a = 1\nfinally: b = 2", "hft/data/new.py:3: two statements on a line"),
    ],
)
def test_a_planted_violation_is_named(tmp_path, check, file, text, named):
    shutil.copytree(ROOT / "hft", tmp_path / "hft", ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / "hft" / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(text, encoding="utf-8")
    if check is circles:
        (planted.parent / "newer.py").write_text("import hft.data.new", encoding="utf-8")
    assert sorted(set(check(tmp_path)) - set(check(ROOT))) == [named]


def test_a_missing_value_and_a_flat_file_too_many_are_named(tmp_path):
    shutil.copytree(ROOT / "hft", tmp_path / "hft", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "hft" / "data" / "sources" / "hub.py").unlink()
    for number in range(MOST_FLAT):
        (tmp_path / "hft" / f"new{number}.py").touch()
    assert "hft/data/sources: no file for 'hub'" in strangers(tmp_path)
    assert too_many_flat(tmp_path) == [f"hft/: {len(list((tmp_path / 'hft').glob('*.py')))} flat files, at most 14"]


@pytest.mark.parametrize(
    "text", ["class A:\n    @property\n    def b(self):\n        return 1\n", "x = [\n    1,\n]\n"]
)
def test_what_is_in_order_is_not_named(tmp_path, text):
    (tmp_path / "hft").mkdir()
    (tmp_path / "hft" / "files.py").write_text(f"from hft import __version__, errors\n{text}", encoding="utf-8")
    (tmp_path / "hft" / "errors.py").write_text("if 1:\n    pass\nelif 2:\n    pass\nelse:\n    pass\n")
    assert [wrong for check in (wrong_way, circles, too_long, crowded) for wrong in check(tmp_path)] == []
