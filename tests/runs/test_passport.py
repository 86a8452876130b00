"""The passport: what it keeps, without secrets; brought up to date later; and the data that a run must not change."""

import hashlib
import importlib.metadata
import json
import sys
import time
from types import SimpleNamespace

import pytest
from fakes import VERSIONS, Lab

from hft import __version__, files
from hft.data import rows
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan.plan import Plan
from hft.runs import folder as runs
from hft.runs import image, passport, stages
from hft.runs.passport import libraries
from hft.train import session

KEYS = [
    "artefacts", "data", "evaluation", "finished", "hft", "libraries", "machine", "model", "parent", "plan", "recipe",
    "run", "seconds", "training",
]  # fmt: skip
TRAINING = {"steps": 4, "of_steps": 4, "losses": [1.0]}
SECRET = "s3cret-of-mine"


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    return Lab(tmp_path, monkeypatch)


def prepared(loaded, run):
    """A recipe's plan and rows, as they were in a run."""
    plan = Plan(**json.loads((run / "plan.json").read_text()))
    return plan, session.prepare(loaded, plan, rows.read(loaded))


def write(run, loaded, data=None, **training):
    plan, _ = prepared(loaded, run)
    return passport.write(run, loaded, plan, data or {}, {**TRAINING, **training}, {"train": 2.5})


@pytest.fixture
def begun(lab):
    """A run folder as it stands before its passport, and its recipe."""
    loaded = lab.write(description="of mine")
    run = lab.train()
    (run / runs.PASSPORT).unlink()
    return run, loaded


def test_it_keeps_everything_that_made_the_run(begun):
    run, loaded = begun
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    made = write(run, loaded, data={"rows": "few"})
    facts = json.loads((run / runs.PASSPORT).read_text(encoding="utf-8"))
    assert list(facts) == KEYS
    assert before <= facts.pop("finished") <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert facts.pop("artefacts") == made == passport.artefacts(run)
    assert facts.pop("machine").keys() == {"gpus", "cpu", "cores", "memory_gib", "system", "image"}
    kept = facts.pop("recipe")
    assert kept.pop("values")["description"] == "of mine"
    assert kept == {
        "name": "one",
        "digest": loaded.digest,
        "overrides": [],
        "text": (run / "recipe.yaml").read_text(),
        "python": {},
    }
    assert facts == {
        "hft": __version__,
        "run": run.name,
        "seconds": {"train": 2.5},
        "parent": None,
        "data": {"rows": "few"},
        "model": {"name": "base", "commit": None, "files": files.sha256_folder(loaded.path.parent.parent / "base")},
        "plan": json.loads((run / "plan.json").read_text()),
        "training": TRAINING,
        "evaluation": json.loads((run / "evaluation.json").read_text()),
        "libraries": VERSIONS,
    }


def test_a_parents_weights_are_named_by_recipe_and_run(lab):
    lab.write()
    loaded = lab.write("two", "one", trained="Hugo")
    before, run = lab.train(), lab.train("two")
    facts = runs.passport(run)
    assert facts["model"] == {
        "name": f"one/{before.name}",
        "commit": None,
        "files": files.sha256_folder(before / "merged"),
    }
    assert facts["parent"] == stages.find(loaded)._asdict()
    assert facts["recipe"]["values"]["model"]["name"] == "parent", "not where it lies on this machine"
    assert str(lab.folder) not in (run / runs.PASSPORT).read_text()


def test_a_stage_that_goes_on_with_an_adapter_names_the_model_itself(lab):
    lab.write()
    lab.write("two", {"recipe": "one", "weights": "adapter"}, trained="Hugo")
    lab.train()
    facts = runs.passport(lab.train("two"))
    assert (facts["model"]["name"], facts["parent"]["start"]) == ("base", "adapter")


def test_secrets_are_redacted(begun, monkeypatch):
    run, loaded = begun
    monkeypatch.setenv("HF_TOKEN", SECRET)
    write(run, loaded, arguments={"hub": SECRET, "other": "hf_" + "a" * 20})
    text = (run / runs.PASSPORT).read_text()
    assert SECRET not in text
    assert json.loads(text)["training"]["arguments"] == {"hub": "[secret]", "other": "[secret]"}


def test_a_later_export_and_evaluation_are_entered(begun):
    run, loaded = begun
    write(run, loaded)
    before = runs.passport(run)
    (run / "one-q8_0.gguf").write_text("weights")
    files.write_json(run / "evaluation.json", {"adapter": "better"})
    (run / "notes.txt").write_text("not a result")
    passport.update_artefacts(run)
    facts = runs.passport(run)
    changed = {"one-q8_0.gguf", "evaluation.json"}
    assert {name for name, hashed in facts["artefacts"].items() if before["artefacts"].get(name) != hashed} == changed
    assert facts["evaluation"] == {"adapter": "better"}
    aside = ("artefacts", "evaluation")
    assert {key: facts[key] for key in KEYS if key not in aside} == {
        key: before[key] for key in KEYS if key not in aside
    }


def test_only_a_finished_run_is_brought_up_to_date(begun):
    run, _ = begun
    with pytest.raises(HftError, match=r"passport.json is gone or damaged\n  Fix: take the run from a backup"):
        passport.update_artefacts(run)
    assert not (run / runs.PASSPORT).exists()


def test_artefacts_are_what_was_made_in_the_order_of_their_names(tmp_path):
    names = (
        "adapter/adapter_model.safetensors", "answers/base.jsonl", "answers/notes.txt", "checkpoints/checkpoint-1/a",
        "data.json", "log.txt", "merged/config.json", "one-q8_0.gguf", "recipe.json", "recipe.yaml",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "merged" / "inner").mkdir()
    made = passport.artefacts(tmp_path)
    assert made == {name: hashlib.sha256(name.encode()).hexdigest() for name in made}
    assert list(made) == [names[place] for place in (0, 1, 4, 6, 7, 9)]


def test_the_data_is_kept_once_and_found_again(begun):
    run, loaded = begun
    (run / "data.json").unlink()
    facts = passport.same_data(run, loaded, prepared(loaded, run)[1])
    assert json.loads((run / "data.json").read_text()) == json.loads(json.dumps(facts))
    assert facts["sources"]["train"] == {
        "file": "one.train.jsonl",
        "sha256": files.sha256(loaded.path.parent / "one.train.jsonl"),
    }
    assert list(facts) == ["sources", "rows", "overlap", "tokens_in_order"]
    assert facts["rows"] == {"train": {"read": 4, "kept": 4}, "evaluate": {"read": 2, "kept": 2}}
    assert passport.same_data(run, loaded, prepared(loaded, run)[1]) == facts


@pytest.mark.parametrize("side", ["train", "evaluate"])
def test_changed_rows_are_refused(begun, side):
    run, loaded = begun
    kept = (run / "data.json").read_text()
    with (loaded.path.parent / f"one.{side}.jsonl").open("a") as file:
        file.write('{"id": "more", "context": "", "question": "And?", "answer": "Yes"}\n')
    with pytest.raises(HftError) as error:
        passport.same_data(run, loaded, prepared(loaded, run)[1])
    assert error.value.message == (
        f"the data of one has changed since {run} began\n  Fix: put the old files back, or train anew without --resume"
    )
    assert (run / "data.json").read_text() == kept


def test_other_tokens_of_the_same_files_are_refused(begun):
    run, loaded = begun
    _, given = prepared(loaded, run)
    other = given.train[0]._replace(encoded=given.train[0].tokens._replace(completion_ids=[7]))
    with pytest.raises(HftError, match="the data of one has changed"):
        passport.same_data(run, loaded, given._replace(train=[other, *given.train[1:]]))


def test_the_fingerprint_follows_the_order_of_training(begun):
    run, loaded = begun
    _, given = prepared(loaded, run)
    train = loaded.recipe.train.model_copy(update={"seed": 1})
    other = loaded._replace(recipe=loaded.recipe.model_copy(update={"train": train}))
    first, second = (passport.data_facts(recipe, given)["tokens_in_order"] for recipe in (loaded, other))
    assert len(first) == 64
    assert first != second


def test_the_whole_machine_is_kept(monkeypatch):
    gpus = [Gpu("NVIDIA H100", 79.6, "580.1", "9.0"), Gpu("NVIDIA T4", 15.0, "580.1", "7.5")]
    monkeypatch.setattr(passport.machine, "look", lambda: Machine(gpus, 8, 64.0, "a CPU"))
    monkeypatch.setattr(passport.machine, "CALLERS_GPUS", "1")
    monkeypatch.setattr(image, "read", lambda: {"lock": "x"})
    monkeypatch.setattr(passport.platform, "platform", lambda: "Linux-6")
    assert passport.machine_facts() == {
        "gpus": [gpu._asdict() for gpu in gpus],
        "cpu": "a CPU",
        "cores": 8,
        "memory_gib": 64.0,
        "system": "Linux-6",
        "image": {"lock": "x"},
    }


def test_versions_are_those_of_what_is_installed(monkeypatch):
    torch = SimpleNamespace(__version__="2.0+cu128", version=SimpleNamespace(cuda="12.8"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    there = {"click": "8.2", "torch": "2.0"}

    def version(name):
        if name in there:
            return there[name]
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    versions = libraries()
    assert set(versions) == {"python", "cuda", *passport.LIBRARIES}
    assert {name: told for name, told in versions.items() if told} == {
        "python": sys.version.split()[0], "cuda": "12.8", "torch": "2.0+cu128", "click": "8.2",
    }  # fmt: skip
