"""What hft says while it works: lines in a log file, a bar on a terminal, libraries' own words in the log alone."""

import sys

import pytest

from hft import terminal


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; `clock.now` is its time."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(terminal.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_log_file_gets_a_line_every_ten_seconds_and_the_last(clock, capsys):
    with terminal.bar("rows", 4) as shown:
        for done, now in ((1, 0), (2, 9), (3, 10), (4, 11)):
            clock.now = now
            shown.advance(done, "all well" if done == 3 else "")
    assert (
        capsys.readouterr().out == "rows: 1/4 (25 %), 0 s\nrows: 3/4 (75 %), 10 s, all well\nrows: 4/4 (100 %), 11 s\n"
    )


def test_a_total_may_be_unknown_at_first(clock, capsys):
    with terminal.bar("rows", 0) as shown:
        shown.advance(1)
        shown.advance(3, total=3)
    assert capsys.readouterr().out == "rows: 1, 0 s\nrows: 3/3 (100 %), 0 s\n"


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with terminal.bar("rows", 4) as shown:
        shown.advance(3, "all well")
        shown.advance(4, total=4)
    written = capsys.readouterr().out
    assert "rows" in written
    assert "4/4" in written


def test_silence(capsys):
    with terminal.silent() as shown:
        shown.advance(1)
    assert capsys.readouterr().out == ""


def test_what_libraries_print_goes_to_the_log_alone(tmp_path, capsys):
    with terminal.to(tmp_path / "log.txt"), terminal.aside():
        print("a banner")
        assert sys.stdout.fileno() == sys.__stdout__.fileno()
    with terminal.aside():
        print("without a log it is gone")
    assert (tmp_path / "log.txt").read_text() == "a banner\n"
    assert capsys.readouterr().out == ""


def test_columns():
    assert terminal.columns([["recipe", "state"], ["a", "done"]]) == "recipe  state\na       done"
