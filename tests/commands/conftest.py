"""A lab with one recipe, and a finished run of it, for the commands' tests."""

import pytest
from fakes import Lab


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    made = Lab(tmp_path, monkeypatch)
    made.write()
    return made


@pytest.fixture
def run(lab, capsys):
    made = lab.train()
    lab.calls.clear()
    return made
