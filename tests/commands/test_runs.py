"""Commands about finished runs: `runs`, `compare`, `verify`, `bless`, `lineage`, `image` and their exit codes."""

import json

import pytest
from fakes import TRAINED

from hft import files
from hft.runs import folder as runs
from hft.runs import image


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_runs_are_listed_with_their_state(lab, run, invoke):
    short = lab.train(max_steps=1)
    lab.stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        lab.train()
    digest = run.name.rpartition("-")[2]
    for words in (("runs",), ("runs", "one")):
        result = invoke(*words)
        assert result.exit_code == 0
        assert list(map(cells, result.output.splitlines())) == [
            ["run", "state", "steps", "exact match", "digest"],
            [str(run), "finished", "4/4", "0.0 -> 50.0", digest],
            [str(short), "stopped", "1/4", "0.0 -> 50.0", digest],
            [str(runs.every()[-1]), "unfinished", "-", "-", digest],
        ]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("two", 0, "No runs of two in runs yet. Start with: make train RECIPE=two\n"),
        (
            "ones",
            1,
            "Error: no runs and no recipe of the name 'ones'; did you mean 'one'?\n"
            "  Fix: list them: hft runs   and: hft list\n",
        ),
    ],
)
def test_a_name_without_runs(lab, run, invoke, name, code, said):
    lab.write("two")
    result = invoke("runs", name)
    assert (result.exit_code, result.output) == (code, said)


def test_the_stages_that_a_run_came_from(lab, run, invoke):
    lab.write("two", "one", trained="Hugo")
    stage = lab.train("two")
    result = invoke("lineage", "two")
    assert result.exit_code == 0
    assert list(map(cells, result.output.splitlines())) == [
        ["stage", "run", "recipe digest", "weights", "score"],
        *(
            [
                made.parent.name,
                made.name,
                made.name.rpartition("-")[2],
                files.sha256(made / "adapter" / TRAINED)[:12],
                "0.0 -> 50.0",
            ]
            for made in (run, stage)
        ),
    ]


def test_a_run_made_again_is_identical_and_another_differs(lab, run, invoke):
    lab.train()
    lab.write("two", trained="Hugo", train={"batch_size": 2, "steps": 4, "learning_rate": 2.0e-3})
    lab.train("two")
    same = invoke("compare", str(run), "one")
    assert same.exit_code == 0
    assert list(map(cells, same.output.splitlines()[3:])) == [
        ["curves", "4 steps, losses at most 0 and on average 0 apart"],
        ["answers", "all 2 are the same"],
        ["scores", "exact match 50.0 / 50.0, difference +0.0 [-68.2, +68.2] on the same 2 questions"],
        ["verdict", "identical"],
    ]
    other = invoke("compare", "one", str(runs.every("two")[0] / runs.PASSPORT))
    assert (other.exit_code, cells(other.output.splitlines()[-1])) == (1, ["verdict", "differ"])
    assert cells(other.output.splitlines()[2])[0] == "first difference"


@pytest.mark.parametrize(("options", "code"), [((), 1), (("--tolerance", "0.5"), 0)])
def test_losses_may_be_as_far_apart_as_is_said(lab, run, invoke, options, code):
    facts = runs.passport(run)
    facts["training"]["losses"][3] += 0.03
    facts["artefacts"][f"adapter/{TRAINED}"] = "others"
    files.write_json(lab.folder / "other.json", facts)
    result = invoke("compare", "one", "other.json", *options)
    assert (result.exit_code, result.output.splitlines()[-1].split()[-1]) == (code, "differ" if code else "match")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", "one", "rows.json"), "rows.json is not a passport: KeyError: 'recipe'\n  Fix: name a run folder"),
        (("compare", "one", "gone"), "'gone' is neither a run folder nor a recipe"),
        (("lineage", "gone"), "'gone' is neither a run folder nor a recipe"),
    ],
)
def test_what_is_no_run_is_explained(lab, run, invoke, words, said):
    (lab.folder / "rows.json").write_text("{}")
    result = invoke(*words)
    assert result.exit_code == 1
    assert said in result.output


def test_a_run_is_verified_and_its_first_steps_are_trained_again(lab, run, invoke):
    count = len(runs.passport(run)["artefacts"])
    whole = f"{run.resolve()}: recipe and {count} files are as its passport says\n"
    assert (invoke("verify", "one").exit_code, invoke("verify", "one").output) == (0, whole)
    again = invoke("verify", "one", "--replay", "2")
    assert (again.exit_code, again.output.splitlines()[-1]) == (
        0,
        "Replayed: 2 steps, losses at most 0 and on average 0 apart",
    )
    lab.first_loss = 5.0
    other = invoke("verify", "one", "--replay", "2")
    assert other.exit_code == 1
    assert "Error: " in other.output
    assert "they part at step 1: 4.0000 / 5.0000" in other.output
    (run / "metrics.jsonl").unlink()
    damaged = invoke("verify", "one")
    assert damaged.exit_code == 1
    assert "  metrics.jsonl is missing\n  Fix: take the run from a backup, or train again\n" in damaged.output


def test_a_blessed_curve_is_followed_by_later_runs(lab, run, invoke):
    result = invoke("bless", "one")
    assert (result.exit_code, result.output) == (0, "recipes/one.curve.json is the reference curve now\n")
    later = lab.train()
    assert json.loads((later / "curve.json").read_text())["losses"] == runs.passport(run)["training"]["losses"]
    assert not (run / "curve.json").exists()


def test_a_smoke_test_is_not_blessed(lab, invoke):
    run = lab.train(max_steps=2)
    result = invoke("bless", str(run))
    assert (result.exit_code, result.output) == (1, f"Error: {run} ended after step 2 of 4\n  Fix: bless a whole run\n")


def test_the_manifest_of_the_image_is_printed(invoke, monkeypatch, tmp_path):
    monkeypatch.setattr(image, "MANIFEST", tmp_path / "image.json")
    outside = invoke("image")
    assert (outside.exit_code, outside.output) == (
        1,
        "Error: hft does not run in an image here\n  Fix: make image-digest   (after: make build)\n",
    )
    (tmp_path / "image.json").write_text(json.dumps({"lock": "x", "packages": ["a==1"]}))
    assert json.loads(invoke("image", HFT_REVISION="1").output) == {"lock": "x", "packages": ["a==1"], "revision": "1"}
    assert json.loads(invoke("image", "--digest", HFT_REVISION="1").output) == {"lock": "x", "revision": "1"}
