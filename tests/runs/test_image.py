"""The image manifest: a digest of contents that times and bytecode do not change, and that every other change does."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.runs import image

NAMES = st.text("abc", min_size=1, max_size=3)
TREES = st.dictionaries(NAMES, st.binary(max_size=4), min_size=1, max_size=4)


@settings(deadline=None, database=None, max_examples=50)
@given(TREES, TREES)
def test_equal_folders_and_only_those_have_one_digest(tmp_path_factory, one, other):
    digests = []
    for tree in (one, other):
        folder = tmp_path_factory.mktemp("tree")
        for name, content in tree.items():
            (folder / name).write_bytes(content)
        digests.append(image.content(folder))
    assert (digests[0] == digests[1]) == (one == other)


def test_times_and_bytecode_do_not_count(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.py").write_text("1")
    before = image.content(tmp_path)
    os.utime(tmp_path / "deep" / "a.py", (0, 0))
    for name in ("a.pyc", "uv_cache.json", "RECORD"):
        (tmp_path / "deep" / name).write_bytes(b"x")
    assert image.content(tmp_path) == before
    (tmp_path / "deep" / "a.py").rename(tmp_path / "deep" / "b.py")
    assert image.content(tmp_path) != before


def test_the_manifest_is_printed_with_the_revision(invoke, tmp_path, monkeypatch):
    path = tmp_path / "image.json"
    path.write_text(json.dumps({"lock": "cpu-0", "packages": ["a==1"], "debian": ["libc6=2"]}))
    monkeypatch.setattr(image, "MANIFEST", path)
    assert json.loads(invoke("image", HFT_REVISION="0123").output) == {
        "lock": "cpu-0",
        "packages": ["a==1"],
        "debian": ["libc6=2"],
        "revision": "0123",
    }
    assert json.loads(invoke("image", "--digest", HFT_REVISION="0123").output) == {"lock": "cpu-0", "revision": "0123"}


def test_outside_an_image_the_way_in_is_named(invoke):
    if image.MANIFEST.exists():
        pytest.skip("these tests run in an image")
    result = invoke("image")
    assert result.exit_code == 1
    assert result.output == "Error: hft does not run in an image here\n  Fix: make image-digest   (after: make build)\n"
