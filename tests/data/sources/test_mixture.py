"""`source: mixture`: parts in their proportions, each with its own filters and format."""

import json

import pytest
from asked import MIXED, ROWS, ask, prepare

from hft.errors import HftError

PARTS = [
    {"source": "jsonl", "file": "train.jsonl"},
    {"source": "jsonl", "file": "evaluate.jsonl", "format": "instruction"},
]


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ({}, [{"read": 10, "kept": 10}, {"read": 4, "duplicate": -1, "kept": 3}]),
        ({"weights": [2, 1]}, [{"read": 10, "not sampled": -4, "kept": 6}, {"read": 4, "duplicate": -1, "kept": 3}]),
        (
            {"weights": [1, 1], "parts": [{**PARTS[0], "sample": 2}, PARTS[1]]},
            [{"read": 10, "not sampled": -8, "kept": 2}, {"read": 4, "duplicate": -1, "not sampled": -1, "kept": 2}],
        ),
    ],
)
def test_a_mixture_draws_from_its_parts_each_in_its_own_format(load, told, counts):
    load(ROWS, [*MIXED[:3], ROWS[1]])
    train = json.dumps({"source": "mixture", "parts": PARTS, **told})
    prepared = prepare(load(ROWS, [*MIXED[:3], ROWS[1]], f"data.train={train}", "data.evaluate=null"))
    assert [prepared.counts["train part 1"], prepared.counts["train part 2"]] == counts
    assert prepared.counts["train"] == {"read": len(prepared.train), "kept": len(prepared.train)}
    assert len(prepared.train) == sum(one["kept"] for one in counts)
    for one in prepared.train:
        part, _, name = one.id.partition(".")
        assert (one.row["part"], name) == (part, one.row["id"])
        assert ("### Instruction" in one.prompt) == (part == "2") == (one.format == "instruction")


def test_a_mixture_is_seeded(load):
    train = json.dumps({"source": "mixture", "parts": PARTS, "weights": [1, 1]})

    def drawn(seed):
        return [
            one.id
            for one in prepare(
                load(ROWS, ROWS[:4], f"data.train={train}", "data.evaluate=null", f"train.seed={seed}")
            ).train
        ]

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            '[{"source": "jsonl", "file": "a"}, {"source": "jsonl", "file": "b"}], "weights": [1]',
            "data.train: 1 weights for 2 parts: write one for each",
        ),
        (
            '[{"source": "jsonl", "file": "a"}, {"source": "jsonl", "fil": "b"}]',
            "data.train.parts.1.fil: unknown key; did you mean 'file'?",
        ),
        (
            '[{"source": "jsonl", "file": "a"}, {"source": "jsonl", "file": "b", "format": "quest"}]',
            "data.train.parts.1.format: unknown format 'quest'; did you mean 'question'?",
        ),
        (
            '[{"source": "jsonl", "file": "a", "group": "g"}, {"source": "jsonl", "file": "b"}]',
            "data.train: a mixture is split as a whole: write 'group' beside 'parts', "
            "with a column that all parts have",
        ),
        (
            '[{"source": "jsonl", "file": "/a"}, {"source": "aihub", "folder": "../b"}]',
            "data.train.parts.1.folder: a recipe holds no paths of one machine;",
        ),
    ],
)
def test_a_wrong_mixture_is_explained(load, parts, said):
    with pytest.raises(HftError) as error:
        load(ROWS, None, f'data.train={{"source": "mixture", "parts": {parts}}}')
    assert said in error.value.message


def test_one_part_of_a_mixture_can_be_set(load):
    train = json.dumps({"source": "mixture", "parts": PARTS})
    loaded = load(ROWS, ROWS[:4], f"data.train={train}", "data.evaluate=null", "data.train.parts.0.sample=3")
    assert prepare(loaded).counts["train part 1"] == {"read": 10, "not sampled": -7, "kept": 3}
    with pytest.raises(HftError, match=r"data.train.parts is a list of 2; name one of it, such as data.train.parts.0"):
        load(ROWS, ROWS[:4], f"data.train={train}", "data.train.parts.sample=3")


def test_a_part_without_rows_is_named_and_a_small_share_is_one_row(load):
    def told(*weights):
        return (
            f"data.train={json.dumps({'source': 'mixture', 'parts': PARTS, 'weights': weights})}",
            "data.evaluate=null",
        )

    prepared = prepare(load(ROWS[:4], ROWS, *told(100, 1)))
    assert [prepared.counts[f"train part {number}"]["kept"] for number in (1, 2)] == [4, 1]
    with pytest.raises(HftError, match=r"part 2 of the mixture \(evaluate.jsonl\) has no row: read 1, empty -1\n"):
        prepare(load(ROWS, [ask(1, answer="")], *told(1, 1)))
