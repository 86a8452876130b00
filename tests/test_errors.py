"""Errors that the disk is to blame for are said clearly; every other one keeps its traceback."""

import errno

import pytest

from hft import cli, errors


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x"),
            "No space left on device: runs/x; what was complete is kept",
        ),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "No space left on device: the disk; what was complete is kept",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/runs/x"), "Permission denied: /runs/x"),
        (OSError(errno.EROFS, "Read-only file system", "/cache/x"), "Read-only file system: /cache/x"),
    ],
)
def test_what_the_disk_is_to_blame_for(problem, said, monkeypatch, invoke):
    def fail(*_):
        raise problem

    monkeypatch.setattr("hft.runs.tables.runs_table", fail)
    result = invoke("runs")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}\n  Fix: ")


def test_another_error_is_left_as_it_is(monkeypatch):
    assert errors.of_disk(ValueError("rows")) is None
    assert errors.of_disk(OSError(errno.ENOENT, "No such file or directory", "x")) is None
    assert issubclass(cli.Ordered, cli.click.Group)


@pytest.mark.parametrize(
    ("problem", "full"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_full_gpu_is_a_clear_error(problem, full):
    clear = errors.of_memory(problem)
    assert (clear is not None) == full
    if full:
        assert clear.message.startswith(f"the GPU's memory is full: {problem}")
        assert "Fix: close what else uses the GPU" in clear.message
