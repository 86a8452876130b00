"""What `make test` says of coverage: a share for each room, and an end where the whole is under the limit."""

import subprocess
import sys

import pytest
from conftest import ROOT

FILES = {
    "pyproject.toml": '[tool.coverage.run]\nsource = ["hft"]\nbranch = true\n[tool.coverage.report]\nfail_under = {}\n',
    "hft/__init__.py": "version = 1\n",
    "hft/data/__init__.py": "",
    "hft/data/rows.py": "def read(rows):\n    if rows:\n        return 1\n    return 0\n",
    "run.py": "from hft.data import rows\nrows.read([1])\n",
}


@pytest.mark.parametrize(
    ("limit", "code", "more"),
    [
        (60, 0, ""),
        (
            85,
            2,
            "Error: 71.4 % is under 85 %\n  Fix: test what is new (.venv/bin/coverage report -m names the lines)\n",
        ),
    ],
)
def test_each_room_has_its_share(tmp_path, limit, code, more):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.replace("{}", str(limit)), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "coverage", "run", "run.py"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "coverage_by_room.py")], cwd=tmp_path, capture_output=True, text=True
    )
    told = "Coverage, lines and branches, in %: hft 100, data 67; all 71.4 (branches 50.0)\n"
    assert (done.returncode, done.stdout) == (code, told + more), done.stderr
