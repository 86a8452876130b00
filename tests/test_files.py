"""Files: written in one step or not at all, hashed, and never onto a disk that is too small."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft import files
from hft.errors import HftError
from hft.evaluate import scores

QUICK = settings(deadline=None, database=None, max_examples=40)
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.lists(st.text(max_size=5), max_size=3)
ROWS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=5)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "passport.json"
    path.write_text("old")
    return path


@QUICK
@given(st.text())
def test_any_text_comes_back_byte_for_byte(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text.txt"
    files.write(path, text)
    assert path.read_bytes() == text.encode()


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(old):
    files.write(old, "새 글\r\n")
    assert old.read_bytes() == "새 글\r\n".encode()
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("fsync", OSError(28, "No space left on device")),
        ("replace", PermissionError(1, "no")),
        ("fsync", KeyboardInterrupt()),
    ],
    ids=["disk full", "not allowed", "Ctrl-C"],
)
def test_a_write_that_fails_leaves_the_old_file(old, monkeypatch, what, error):
    def fail(*words):
        raise error

    monkeypatch.setattr(os if what == "fsync" else Path, what, fail)
    with pytest.raises(type(error)):
        files.write(old, "new")
    assert old.read_text() == "old"


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (files.write, "half \ud83d a pair"),
        (files.write_json, {"a": object()}),
        (files.write_json, {"a": 1, 2: 3}),
        (files.write_jsonl, [{"a": 1}, {"a": {1, 2}}]),
        (files.write_jsonl, (1 / zero for zero in [1, 0])),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(old, write, content):
    with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
        write(old, content)
    assert old.read_text() == "old"


def test_a_killed_writer_leaves_the_old_file(old):
    killed = (
        "import os, sys, pathlib; from hft import files; os.fsync = lambda file: os.kill(os.getpid(), 9); "
        "files.write(pathlib.Path(sys.argv[1]), 'new' * 100_000)"
    )
    assert (
        subprocess.run([sys.executable, "-c", killed, old], cwd=Path(__file__).parents[1]).returncode == -signal.SIGKILL
    )
    assert old.read_text() == "old"
    files.write(old, "new")
    assert old.read_text() == "new"


def test_json_is_sorted_indented_and_in_its_own_letters(tmp_path):
    files.write_json(tmp_path / "a.json", {"나": [1, None], "가": {"b": 2.5, "a": "한"}})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == (
        '{\n  "가": {\n    "a": "한",\n    "b": 2.5\n  },\n  "나": [\n    1,\n    null\n  ]\n}\n'
    )


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([{"b": 1, "a": "한\n국"}, {}], '{"b": 1, "a": "한\\n국"}\n{}\n'),
        (({"n": n} for n in range(2)), '{"n": 0}\n{"n": 1}\n'),
    ],
    ids=["none", "two", "a generator"],
)
def test_jsonl_is_one_object_a_line(tmp_path, rows, text):
    files.write_jsonl(tmp_path / "a.jsonl", rows)
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == text


@QUICK
@given(ROWS)
def test_any_rows_come_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    files.write_jsonl(path, rows)
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]] == rows


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_hashes_are_those_of_sha256sum(tmp_path):
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".hidden").touch()
    assert files.sha256(tmp_path / "b") == ABC
    assert list(files.sha256_folder(tmp_path).items()) == [("a/.hidden", EMPTY), ("b", ABC)]


@pytest.mark.parametrize(
    ("free", "wanted", "enough"), [(10, 10, True), (11, 10, True), (9.99, 10, False), (0, 0, True)]
)
def test_too_small_a_disk_is_named_before_the_work(tmp_path, monkeypatch, free, wanted, enough):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: namedtuple("Usage", "free")(free * 2**30))
    if enough:
        assert files.need_space(tmp_path, wanted, "exporting f16") is None
        return
    with pytest.raises(HftError) as error:
        files.need_space(tmp_path, wanted, "exporting f16")
    assert error.value.message == (
        f"exporting f16 needs 10.0 GiB of disk under {tmp_path}, and 10.0 GiB are free\n"
        "  Fix: free some space, or put the runs on another disk: RUNS=/path make ...  (hft: HFT_RUNS=/path)"
    )


@pytest.mark.parametrize(
    ("value", "folder"), [("/big/cache", Path("/big/cache")), ("", Path.home() / ".cache" / "hft")]
)
def test_the_cache_is_where_the_environment_says(monkeypatch, value, folder):
    monkeypatch.setenv("HFT_CACHE", value)
    assert files.cache() == folder


def test_a_write_that_fails_leaves_no_draft(old):
    with pytest.raises(UnicodeEncodeError):
        files.write(old, "half \ud83d a pair")
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_an_answer_with_a_unicode_line_end_is_read_again(tmp_path, end):
    (tmp_path / "answers").mkdir()
    files.write_jsonl(tmp_path / "answers" / "base.jsonl", [{"answer": f"서울{end}부산"}])
    assert scores.kept(tmp_path) == {"base": [{"answer": f"서울{end}부산"}]}


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "adapter"
    for text in ("old", "new"):
        with files.new_folder(target) as draft:
            (draft / "weights").write_text(text)
    assert (target / "weights").read_text() == "new"
    with pytest.raises(RuntimeError), files.new_folder(target) as draft:
        (draft / "half").touch()
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["adapter", "weights"]


def test_a_new_folder_is_readable_as_the_umask_says(tmp_path):
    """safetensors makes files of mode 0600: nobody else could load what was trained."""
    before = os.umask(0o002)
    try:
        with files.new_folder(tmp_path / "adapter") as draft:
            (draft / "weights").touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "adapter" / "weights").stat().st_mode & 0o777 == 0o664


KILLED = """
import os, pathlib, sys
from hft import files

target, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
renamed = []

def rename(self, other):
    os.rename(self, other)
    renamed.append(other)
    if moment == f"after rename {len(renamed)}":
        os.kill(os.getpid(), 9)

pathlib.Path.rename = rename
if moment != "after the exchange":
    files.exchange = lambda one, other: False
else:
    files.shutil.rmtree = lambda path, **options: path.name.endswith(".tmp") and os.kill(os.getpid(), 9)
with files.new_folder(target) as draft:
    (draft / "file").write_text("new")
"""


@pytest.mark.parametrize(
    ("moment", "there"), [("after the exchange", "new"), ("after rename 1", "old"), ("after rename 2", "new")]
)
def test_a_kill_while_a_folder_is_replaced_loses_neither(tmp_path, moment, there):
    """On a file system that exchanges folders, and on one that does not: between the two renames the old one waits."""
    target = tmp_path / "folder"
    target.mkdir()
    (target / "file").write_text("old")
    words = [sys.executable, "-c", KILLED, str(target), moment]
    assert subprocess.run(words, cwd=Path(__file__).parents[1]).returncode == -signal.SIGKILL
    files.whole_again(target)
    assert (target / "file").read_text() == there
    with files.new_folder(target) as draft:
        (draft / "file").write_text("newer")
    assert (target / "file").read_text() == "newer"
    assert not (tmp_path / ".folder.before").exists()


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers())))
def test_jsonl_comes_back_whatever_line_ends_its_texts_hold(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    files.write_jsonl(path, rows := [*rows, {"a": "one\u2028two\x85three\x0c"}])
    assert files.read_jsonl(path) == rows
