"""The README: its commands exist, its tables are complete, its first code stands early."""

import re
import shlex
import subprocess

import pytest
from conftest import ROOT
from shipped import SHIPPED

from hft.cli import cli

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.S)
COMMANDS = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
# torchrun's variables come before the command
COMMANDS = [re.sub(r"^(PET_\w+=\S+ )+", "", command) for command in COMMANDS]
MAKE = sorted({command for command in COMMANDS if command.startswith("make")})


def test_commands_were_found():
    assert len(MAKE) >= 12


def test_code_comes_by_line_six():
    assert "```bash" in TEXT.splitlines()[:6]


@pytest.mark.parametrize("command", MAKE)
def test_a_make_command_is_one_known_hft_command(command):
    """`make -n` resolves the target; what it would run is then parsed by click."""
    words = [word.replace("RECIPE=mine", "RECIPE=quickstart") for word in shlex.split(command)]
    printed = subprocess.run([*words, "-n", "ENGINE=local"], cwd=ROOT, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    runs = [
        line
        for line in printed.stdout.splitlines()
        if re.search(r"\.venv/bin/|tools/docker\.py", line) and not re.search(r"tools/(install|coverage)", line)
    ]
    assert len(runs) == 1, printed.stdout
    if ".venv/bin/hft" in runs[0]:
        name, *options = shlex.split(runs[0].replace("$PROMPT", "x").replace("$CONTEXT", "x"))[1:]
        cli.commands[name].make_context(name, options)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"\.venv/bin/hft ([^`\n]+)`", TEXT))))
def test_an_hft_command_parses(command):
    words = shlex.split(command)
    name, *options = [word.replace("answers.json", "README.md") for word in words]
    assert name == "--help" or cli.commands[name].make_context(name, options).info_name == name


def test_the_recipe_table_lists_what_is_shipped():
    listed = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Recipes")[2].partition("\n## ")[0], re.M)
    assert sorted(listed) == sorted(SHIPPED)


def test_every_make_target_has_help():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.M)) - {"recipe-given", "engine"}
    helped = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert targets == helped
    assert {
        "train",
        "evaluate",
        "gguf",
        "export",
        "generate",
        "check",
        "show",
        "list",
        "test",
        "lint",
        "lock",
        "clean",
    } <= targets


def test_no_placeholder_is_left():
    assert not re.search(r"[A-Z]+_(SECONDS|TABLE|SECTION)|TODO", TEXT)
