"""Checkpoints: a damaged, emptied or half-written newest one is thrown away, and the one before it is taken."""

import json

import pytest

from hft.train import checkpoints


def write(folder, step, *, sealed=True):
    """A checkpoint with a file in a folder of its own, as trainers write them."""
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "adapter").mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(bytes(range(200)))
    (checkpoint / "adapter" / "config.json").write_text('{"rank": 16}')
    (checkpoint / "empty.txt").touch()
    if sealed:
        checkpoints.seal(checkpoint)
    return checkpoint


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


DAMAGE = [
    ("half of the weights", lambda c: (c / "model.safetensors").write_bytes(bytes(range(100)))),
    ("weights emptied", lambda c: (c / "model.safetensors").write_bytes(b"")),
    ("one bit", lambda c: flip_a_bit(c / "model.safetensors")),
    ("weights gone", lambda c: (c / "model.safetensors").unlink()),
    ("a file in a folder changed", lambda c: (c / "adapter" / "config.json").write_text('{"rank": 17}')),
    ("an empty file filled", lambda c: (c / "empty.txt").write_text("x")),
    ("a folder in a file's place", lambda c: ((c / "empty.txt").unlink(), (c / "empty.txt").mkdir())),
    ("killed before the seal", lambda c: (c / "sealed.json").unlink()),
    ("the seal emptied", lambda c: (c / "sealed.json").write_text("")),
    ("half of the seal", lambda c: (c / "sealed.json").write_text((c / "sealed.json").read_text()[:50])),
    ("the seal of nothing", lambda c: (c / "sealed.json").write_text("{}")),
    ("the seal is a list", lambda c: (c / "sealed.json").write_text('["model.safetensors"]')),
    ("the seal is not text", lambda c: (c / "sealed.json").write_bytes(b"\xff\xfe\x00")),
    ("the seal is of other weights", lambda c: (c / "sealed.json").write_text('{"model.safetensors": "0"}')),
    ("everything gone", lambda c: [path.unlink() for path in c.rglob("*") if path.is_file()]),
]


@pytest.mark.parametrize(("what", "damage"), DAMAGE, ids=[what for what, _ in DAMAGE])
def test_a_damaged_newest_one_is_removed_and_the_one_before_taken(tmp_path, capsys, what, damage):
    before, last = write(tmp_path, 10), write(tmp_path, 20)
    damage(last)
    assert not checkpoints.whole(last)
    assert checkpoints.newest(tmp_path) == before
    assert capsys.readouterr().out == "checkpoint-20 is damaged or half-written: taking the one before it\n"
    assert list(tmp_path.iterdir()) == [before]


def test_a_whole_newest_one_is_taken_and_nothing_said(tmp_path, capsys):
    last = [write(tmp_path, 10), write(tmp_path, 20)][-1]
    assert checkpoints.newest(tmp_path) == last
    assert capsys.readouterr().out == ""
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_older_one_is_left_alone(tmp_path):
    older, last = write(tmp_path, 10, sealed=False), write(tmp_path, 20)
    assert checkpoints.newest(tmp_path) == last
    assert older.exists()


def test_the_newest_is_the_largest_number_and_not_the_last_word(tmp_path):
    found = {step: write(tmp_path, step) for step in (1000, 9, 99)}
    assert checkpoints.newest(tmp_path) == found[1000]


def test_where_none_is_whole_training_starts_again(tmp_path, capsys):
    for step in (5, 10, 15):
        write(tmp_path, step, sealed=False)
    assert checkpoints.newest(tmp_path) is None
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "checkpoint-15",
        "checkpoint-10",
        "checkpoint-5",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [".", "absent"])
def test_no_checkpoint_is_no_error(tmp_path, folder):
    assert checkpoints.newest(tmp_path / folder) is None


def test_other_files_are_not_looked_at(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "checkpoints.txt").touch()
    assert checkpoints.newest(tmp_path) is None
    assert len(list(tmp_path.iterdir())) == 2


def test_the_seal_lists_every_file_but_itself(tmp_path):
    sealed = json.loads((write(tmp_path, 1) / "sealed.json").read_text())
    assert list(sealed) == ["adapter/config.json", "empty.txt", "model.safetensors"]
    assert sealed["empty.txt"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_file_added_after_the_seal_does_no_harm(tmp_path):
    checkpoint = write(tmp_path, 1)
    (checkpoint / "notes.txt").write_text("good one")
    assert checkpoints.whole(checkpoint)


def test_a_checkpoint_that_is_sealed_again_is_whole(tmp_path):
    checkpoint = write(tmp_path, 1)
    checkpoints.seal(checkpoint)
    assert checkpoints.whole(checkpoint)


@pytest.mark.parametrize("name", ["checkpoint-10.bak", "checkpoint-best", "checkpoint-"])
def test_a_copy_under_another_name_is_left_alone(tmp_path, name):
    last = write(tmp_path, 10)
    (tmp_path / name).mkdir()
    assert checkpoints.newest(tmp_path) == last
    assert (tmp_path / name).exists()


def test_a_file_in_a_checkpoints_place_does_not_stop_the_run(tmp_path):
    last = write(tmp_path, 10)
    (tmp_path / "checkpoint-20").touch()
    assert checkpoints.newest(tmp_path) == last
