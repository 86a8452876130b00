"""Errors that the disk is to blame for are said clearly; every other one keeps its traceback."""

import errno

import pytest

from hft import cli, errors


@pytest.mark.parametrize(("problem", "said"), [
    (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "No space left on device: runs/x; what was complete is kept"),
    (RuntimeError("I/O error: No space left on device (os error 28)"), "No space left on device: the disk; what was complete is kept"),
    (PermissionError(errno.EACCES, "Permission denied", "/runs/x"), "Permission denied: /runs/x"),
    (OSError(errno.EROFS, "Read-only file system", "/cache/x"), "Read-only file system: /cache/x"),
])
def test_what_the_disk_is_to_blame_for(problem, said, monkeypatch, invoke):
    def fail(*_):
        raise problem

    monkeypatch.setattr("hft.report.runs_table", fail)
    result = invoke("runs")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}\n  Fix: ")


def test_another_error_is_left_as_it_is(monkeypatch):
    assert errors.of_disk(ValueError("rows")) is None
    assert errors.of_disk(OSError(errno.ENOENT, "No such file or directory", "x")) is None
    assert issubclass(cli.Ordered, cli.click.Group)
