"""CONTRIBUTING.md: its tree is the tree, its commands are real, and each of its diffs applies and does what it says."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from conftest import ROOT
from house import modules

from hft import __version__
from hft.cli import cli

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TREE = re.search(r"## The tree\n.*?```\n(.*?)```", TEXT, re.S)[1].splitlines()
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.strip()
]
COMMANDS += re.findall(r"`(make [^`]+)`", TEXT)
DIFFS = re.findall(r"```diff\n(.*?)```", TEXT, re.S)


def named():
    """`[(folder, name)]` of the tree; what follows two spaces after the names is a remark."""
    lines = [re.match(r"(\S+/) +(\S+(?: \S+)*)", line).groups() for line in TREE]
    return [(folder, name) for folder, names in lines for name in names.split()]


def test_every_path_of_the_tree_exists():
    assert len(named()) > 80
    absent = [
        folder + name
        for folder, name in named()
        if not any((ROOT / folder / f"{name}{ending}").is_file() for ending in ("", ".py"))
    ]
    assert absent == []


def test_every_module_stands_in_the_tree():
    shown = {f"{folder}{name}.py" for folder, name in named()}
    files = {str(path.relative_to(ROOT)) for path in modules(ROOT).values() if path.name != "__init__.py"}
    assert sorted(files - shown) == []


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_a_command_is_real(command):
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run([*words, "-n", "ENGINE=local"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w./]+", command))
    else:
        assert words[0] == ".venv/bin/hft"
        cli.commands[words[1]].make_context(words[1], words[2:])


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of hft with all diffs applied; returns what Python prints in it."""
    copy = tmp_path_factory.mktemp("changed")
    for folder in ("hft", "recipes"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for diff in filter(None, re.split(r"^(?=--- )", "".join(DIFFS), flags=re.M)):
        command = ["git", "apply", "--recount", "--unidiff-zero", "--whitespace=error", "-"]
        done = subprocess.run(command, input=diff, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + diff

    def run(*words):
        environment = {"PYTHONPATH": f"{copy}:{ROOT / 'tests'}", "HFT_CACHE": str(copy), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([sys.executable, *words], cwd=copy, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_what_the_diffs_add_keeps_its_contract(changed):
    assert len(DIFFS) == 5
    code = """
import pathlib
import contracts
from hft.data import formats
from hft.data.sources import lines
from hft.evaluate import rewards
from hft.recipe.schema import Recipe
from hft.recipe.sources import SOURCES
from hft.train.methods import dpo

print(contracts.source(lines, pathlib.Path("nowhere")), contracts.method(dpo))
print(contracts.format(formats.FORMATS["title"]), contracts.reward(rewards.BUILT_IN["short"]))
print(SOURCES["lines"].__name__, "dpo" in str(Recipe.model_fields["method"].annotation))
"""
    assert changed("-c", code) == "[] []\n[] []\nSpec True\n"


def test_the_new_choice_is_wished_and_planned(changed):
    usual = changed("-m", "hft", "plan", "quickstart")
    assert re.search(r"^loaders +1 +rows are tokenised before training begins$", usual, re.M)
    assert re.search(r"^loaders +2 +--loaders$", changed("-m", "hft", "plan", "quickstart", "--loaders", "2"), re.M)


def test_the_templates_are_yaml_that_asks_for_what_a_report_needs():
    folder = ROOT / ".github"
    bug = yaml.safe_load((folder / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8"))
    assert {"version", "command", "passport"} <= {field["id"] for field in bug["body"]}
    feature = yaml.safe_load((folder / "ISSUE_TEMPLATE" / "feature.yml").read_text(encoding="utf-8"))
    assert [field["id"] for field in feature["body"]] == ["goal", "now", "results"]
    updates = yaml.safe_load((folder / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "npm", "github-actions", "docker"}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert all(hook["entry"].startswith(".venv/bin/") and hook["language"] == "system" for hook in hooks)


def test_the_version_stands_in_one_place_and_in_the_changelog():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = [name for name in re.findall(r"^## (\S+)", changes, re.M) if name != "Unreleased"]
    assert released[0] == f"{__version__},"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "hft.__version__"}}
