"""Stages: which run a child starts from, what has changed there since, and the chain that `hft lineage` prints."""

import json
import shutil

import pytest
import yaml
from conftest import ROOT

from hft import check, files
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.runs import folder as runs
from hft.runs import stages
from hft.runs.stages import Start

WEIGHTS = b"weights of "


def recipe(name, parent=None, **more):
    model = {"quantization": "none", "max_tokens": 64}
    start = {"parent": parent, "model": model} if parent else {"model": {"name": "base", "revision": "1", **model}}
    return {
        "method": "sft",
        **start,
        "data": {"train": {"source": "jsonl", "file": f"{name}.jsonl"}},
        "prompt": {"format": "question"},
        "train": {"batch_size": 1, "steps": 4, "learning_rate": 1.0e-3},
        **more,
    }


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Recipes one, two (child of one), three (child of two, its adapter goes on), and a way to finish runs of them."""
    monkeypatch.setenv("HFT_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.setenv("HFT_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "recipes"
    folder.mkdir()

    class Lab:
        def write(self, name, parent=None, **more):
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe(name, parent, **more)))
            if not (folder / f"{name}.jsonl").exists():
                (folder / f"{name}.jsonl").write_text('{"context": "", "question": "?", "answer": "!"}\n')
            return recipe_file.load(name)

        def finish(self, name, weights="first", steps=4, stamp="20261122T000000"):
            loaded = recipe_file.load(name)
            parent = stages.find(loaded)
            run = runs.root() / name / f"{stamp}-{loaded.digest[:12]}"
            run.mkdir(parents=True)
            recipe_file.save(loaded, run)
            stages.keep(run, parent)
            (run / "adapter").mkdir()
            (run / "merged").mkdir()
            (run / "adapter" / "adapter_model.safetensors").write_bytes(WEIGHTS + weights.encode())
            from hft.data import sources

            files.write_json(
                run / runs.PASSPORT,
                {
                    "recipe": {"digest": loaded.digest, "overrides": []},
                    "training": {"steps": steps, "of_steps": 4},
                    "evaluation": None,
                    "artefacts": {
                        "adapter/adapter_model.safetensors": files.sha256(run / "adapter" / "adapter_model.safetensors")
                    },
                    "data": {"sources": {"train": sources.facts(loaded.recipe.data.train, folder)}},
                    "parent": parent and parent._asdict(),
                },
            )
            return run

    made = Lab()
    made.folder = folder
    made.write("one")
    made.write("two", "one")
    made.write("three", {"recipe": "two", "weights": "adapter"})
    return made


def test_a_recipe_without_parent_starts_from_its_own_model(lab):
    loaded = recipe_file.load("one")
    assert stages.find(loaded) is None
    assert stages.ready(loaded, None) is loaded


def test_without_a_finished_parent_it_is_said_what_to_type(lab, invoke):
    result = invoke("train", "two", HFT_RECIPES=str(lab.folder), HFT_RUNS=str(runs.root()))
    assert result.exit_code == 1
    assert (
        f'two starts from one, which has no finished run in {runs.root()}\n  Fix: make train RECIPE="one two"'
        in result.output
    )


def test_a_stage_has_the_merged_weights_of_its_parents_newest_run(lab):
    old, new = lab.finish("one"), lab.finish("one", "second", stamp="20261122T000001")
    loaded = recipe_file.load("two")
    parent = stages.find(loaded)
    assert parent == Start(
        recipe="one",
        run=new.name,
        digest=recipe_file.load("one").digest,
        start="merged",
        changed=[],
        weights=files.sha256(new / "adapter" / "adapter_model.safetensors"),
    )
    ready = stages.ready(loaded, parent)
    assert (ready.recipe.model.name, ready.recipe.model.max_tokens) == (str(new / "merged"), 64)
    assert ready.digest == loaded.digest  # wherever the parent's run lies
    assert old != new


def test_a_stage_that_goes_on_with_an_adapter_has_its_parents_model(lab):
    lab.finish("one")
    before = lab.finish("two")
    run = lab.finish("three")
    assert stages.of_recipe(run).recipe.model.name == stages.of_recipe(before).recipe.model.name
    assert stages.adapter(run) == before / "adapter"
    assert stages.adapter(before) is None


def test_going_on_with_an_adapter_of_another_shape_is_refused(lab):
    lab.finish("one")
    lab.finish("two")
    loaded = lab.write("three", {"recipe": "two", "weights": "adapter"}, lora={"rank": 8})
    with pytest.raises(
        HftError, match=r"three goes on with the adapter of two; its lora section or model.quantization is another"
    ):
        stages.ready(loaded, stages.find(loaded))


def test_a_smoke_test_is_no_stage_when_there_is_a_whole_run(lab, capsys):
    short = lab.finish("one", "short", steps=2, stamp="20261122T000009")
    loaded = recipe_file.load("two")
    parent = stages.find(loaded)
    assert parent.run == short.name
    stages.report(parent)
    assert (
        "Note: that run was stopped before its last step. For the whole stage: make train RECIPE=one"
        in capsys.readouterr().out
    )
    whole = lab.finish("one")
    assert stages.find(loaded).run == whole.name


def test_without_an_adapter_there_is_none_to_go_on_with(lab):
    lab.write("one", lora=None)
    lab.finish("one")
    loaded = lab.write("two", {"recipe": "one", "weights": "adapter"})
    with pytest.raises(HftError, match="one trains all weights: it has no adapter to go on with"):
        stages.ready(loaded, stages.find(loaded))
    with pytest.raises(HftError, match=r"'lora: null' has none: start from the merged weights"):
        lab.write("two", {"recipe": "one", "weights": "adapter"}, lora=None)


def test_what_changed_since_the_parents_run_is_found(lab):
    lab.finish("one")
    loaded = recipe_file.load("two")
    (lab.folder / "one.jsonl").write_text('{"context": "", "question": "?", "answer": "other"}\n')
    assert stages.find(loaded).changed == ["data"]
    lab.write("one", train={"batch_size": 1, "steps": 5, "learning_rate": 1.0e-3})
    assert stages.find(loaded).changed == ["recipe", "data"]
    (lab.folder / "one.yaml").unlink()
    assert stages.find(loaded).changed == []  # nothing to compare with


def test_weights_that_are_not_the_passports_are_refused(lab):
    run = lab.finish("one")
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"others")
    with pytest.raises(HftError, match=r"adapter_model.safetensors is not the file that the run's passport names"):
        stages.find(recipe_file.load("two"))


def test_a_finished_stage_is_trained_again_only_when_its_parent_is_another(lab, capsys):
    lab.finish("one")
    run = lab.finish("two")
    loaded = recipe_file.load("two")
    assert stages.finished(loaded, None) == run
    lab.finish("one", "first", stamp="20261122T000001")  # the same weights again
    assert stages.finished(loaded, None) == run
    lab.finish("one", "second", stamp="20261122T000002")
    assert stages.finished(loaded, None) is None
    assert (
        f"{run} started from other weights of one than its newest run has: training again." in capsys.readouterr().out
    )


def test_an_unfinished_stage_goes_on_only_from_the_same_weights(lab, capsys):
    lab.finish("one")
    run = lab.finish("two")
    (run / runs.PASSPORT).unlink()
    loaded = recipe_file.load("two")
    assert stages.to_resume(loaded, stages.find(loaded)) == run
    lab.finish("one", "second", stamp="20261122T000002")
    assert stages.to_resume(loaded, stages.find(loaded)) is None
    assert f"{run} cannot go on: it started from other weights of one. Starting anew." in capsys.readouterr().out


def test_lineage_names_every_stage_also_one_whose_folder_is_gone(lab, invoke):
    first, second, third = (lab.finish(name) for name in ("one", "two", "three"))
    place = {"HFT_RECIPES": str(lab.folder), "HFT_RUNS": str(runs.root())}
    lines = invoke("lineage", "three", **place).output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["one", first.name],
        ["two", second.name],
        ["three", third.name],
    ]
    digest = json.loads((second / runs.PASSPORT).read_text())["recipe"]["digest"][:12]
    assert lines[2].split()[2:] == [digest, files.sha256(second / "adapter" / "adapter_model.safetensors")[:12], "-"]
    shutil.rmtree(second)
    lines = invoke("lineage", str(third), **place).output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["two", "three"]
    assert lines[1].split()[-1] == "gone"


@pytest.mark.parametrize(
    ("parent", "more", "said"),
    [
        ("on", {}, "line 6: parent: no recipe 'on'; did you mean 'one'?"),
        ("three", {}, "line 6: parent: a circle: two -> three -> two"),
        (
            "one",
            {"model": {"name": "m", "revision": "r", "max_tokens": 9}},
            "a recipe with a 'parent' trains the parent's weights: leave out model.name and model.revision",
        ),
    ],
)
def test_a_wrong_parent_is_explained(lab, parent, more, said):
    values = {**recipe("two", parent), **more}
    (lab.folder / "two.yaml").write_text(yaml.safe_dump(values, sort_keys=True))
    with pytest.raises(HftError) as error:
        check.load("two")
    assert said.partition(": ")[2] in error.value.message


def test_every_stage_has_the_tokenizer_of_the_first_model(lab):
    assert recipe_file.origin(recipe_file.load("three")).name == "base"


def test_an_export_that_a_kill_left_unasked_is_not_finished(lab):
    from hft.export import export

    run = lab.finish("one")
    loaded = recipe_file.load("one")
    facts = runs.passport(run)
    made, states = {"merged/model.safetensors": "x"}, []
    for artefacts, evaluation in (
        ({}, None),
        (made, None),
        (made, {"adapter": {}}),
        (made, {"adapter": {}, "merged": {}}),
    ):
        files.write_json(
            run / runs.PASSPORT, {**facts, "artefacts": {**facts["artefacts"], **artefacts}, "evaluation": evaluation}
        )
        states.append(export.finished(run, loaded, "merged"))
    assert states == [False, True, False, True]
    shutil.rmtree(run / "merged")
    assert not export.finished(run, loaded, "merged")


CHAIN = (
    "train",
    "medical_quickstart_1",
    "medical_quickstart_2",
    "--max-steps",
    "2",
    "--save-every",
    "1",
    "--set",
    "evaluate.rows=4",
    "--set",
    "evaluate.max_new_tokens=4",
    "--set",
    "export.formats=[merged]",
    "--set",
    "export.max_drop=100",
)


TOO = ("base@medical_quickstart_1", "adapter@medical_quickstart_1")


def asking_too(folder):
    """A copy of the two stages' recipes, the second asking the first one's questions too."""
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    path = folder / "recipes" / "medical_quickstart_2.yaml"
    path.write_text(path.read_text().replace("evaluate:\n  max", "evaluate:\n  also: [medical_quickstart_1]\n  max"))
    return folder / "recipes"


def answers(run, column):
    return files.read_jsonl(run / "answers" / f"{column}.jsonl")


@pytest.mark.slow
def test_a_chain_is_trained_merged_and_goes_on_after_a_kill(shell, tmp_path):
    """Real training: stage 2 starts from the merged weights of stage 1; what is finished is left alone.

    Stage 2 is asked stage 1's questions too.
    """
    place = {"HFT_BACKEND": "plain", "HFT_RECIPES": str(asking_too(tmp_path))}
    done = shell(*CHAIN, **place)
    assert done.returncode == 0, done.stdout + done.stderr
    [first], [second] = (list((tmp_path / "runs" / f"medical_quickstart_{n}").glob("2*")) for n in (1, 2))
    before, after = runs.passport(first), runs.passport(second)
    weights = before["artefacts"]["adapter/adapter_model.safetensors"]
    assert {**after["parent"], "digest": ""} == {
        "recipe": "medical_quickstart_1",
        "run": first.name,
        "digest": "",
        "weights": weights,
        "start": "merged",
        "changed": [],
    }
    assert after["model"]["name"] == f"medical_quickstart_1/{first.name}"
    assert after["model"]["files"]["model.safetensors"] == before["artefacts"]["merged/model.safetensors"]
    assert set(before["evaluation"]) == {"base", "base-chat", "adapter", "merged"}
    assert set(after["evaluation"]) == {*before["evaluation"], *TOO}
    assert "\n4 of 60 held-out questions of medical_quickstart_1 (a sample), scores x 100" in done.stdout
    asked = [answers(first, "merged"), *(answers(second, column) for column in TOO)]
    assert {tuple(record["id"] for record in records) for records in asked} == {tuple(one["id"] for one in asked[0])}
    assert [one["answer"] for one in asked[0]] == [one["answer"] for one in asked[1]], "the base is the merged stage 1"

    adapter = after["artefacts"]["adapter/adapter_model.safetensors"]
    (second / runs.PASSPORT).unlink()
    for name in ("adapter", "merged", "checkpoints/checkpoint-2"):
        shutil.rmtree(second / name)
    (second / "answers" / f"{TOO[1]}.jsonl").unlink()
    done = shell(*CHAIN, **place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Nothing to train: {first.resolve()}" in done.stdout.replace(
        str(tmp_path / "runs"), str((tmp_path / "runs").resolve())
    )
    assert "Going on after step 1" in done.stdout
    assert f"asking {TOO[0]}" not in done.stdout
    assert f"asking {TOO[1]} (questions)" in done.stdout
    assert runs.passport(second)["artefacts"]["adapter/adapter_model.safetensors"] == adapter
