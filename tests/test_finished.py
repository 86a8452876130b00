"""What is done with a finished run, with a pretended model: asked again, exported, asked beside its base, proved."""

import json
import re

import pytest
from fakes import PLAIN, TRAINED, Lab

from hft import check, files, finished
from hft.errors import HftError
from hft.evaluate import scores
from hft.plan.wishes import Wishes
from hft.runs import folder as runs


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    return Lab(tmp_path, monkeypatch)


@pytest.fixture
def run(lab):
    """A finished run."""
    lab.write()
    made = lab.train()
    lab.calls.clear()
    return made


def say_instead(run, text):
    """Let a run's adapter say something else than what it was trained to, and its passport know it."""
    (run / "adapter" / TRAINED).write_text(text)
    facts = runs.passport(run)
    facts["artefacts"][f"adapter/{TRAINED}"] = files.sha256(run / "adapter" / TRAINED)
    files.write_json(run / runs.PASSPORT, facts)


def test_a_run_is_asked_again_and_its_passport_follows(lab, run):
    say_instead(run, "Hugo")
    table = finished.reevaluate(run, PLAIN)
    assert lab.calls == ["load base", f"adapter {run}/adapter", "asking adapter (questions)"]
    assert table == (
        "2 held-out questions, scores x 100 [95 % interval]\n"
        "              base              adapter\n"
        "exact match   0.0 [0.0, 81.3]   0.0 [0.0, 81.3]\n"
        "character F1  0.0 [0.0, 100.0]  0.0 [0.0, 100.0]\n"
        "contains      0.0 [0.0, 81.3]   0.0 [0.0, 81.3]\n"
        "adapter: exact match +0.0 [-81.3, +81.3] against base, on the same questions"
    )
    assert runs.passport(run)["evaluation"]["adapter"]["exact_match"]["mean"] == 0
    assert runs.passport(run)["artefacts"]["answers/adapter.jsonl"] == files.sha256(run / "answers" / "adapter.jsonl")
    assert [record["answer"] for record in scores.kept(run)["adapter"]] == ["Hugo", "Hugo"]


def test_a_run_whose_model_was_trained_whole_is_asked_itself(lab):
    lab.write(lora=None)
    run = lab.train()
    lab.calls.clear()
    assert "              base              model\n" in finished.reevaluate(run, PLAIN)
    assert lab.calls == [f"load {run}/model", "asking model (questions)"]


def test_without_held_out_rows_there_is_nothing_to_ask(lab):
    lab.write(data={"train": {"source": "jsonl", "file": "one.train.jsonl"}})
    run = lab.train()
    with pytest.raises(HftError) as error:
        finished.reevaluate(run, PLAIN)
    assert error.value.message == (
        f"{run}: the recipe has no held-out rows\n  Fix: add data.evaluate or data.held_out to it"
    )


@pytest.mark.parametrize("what", [finished.reevaluate, lambda run, wishes: finished.export_run(run, [], wishes, None)])
def test_with_other_rows_nothing_is_asked_or_exported(lab, run, what):
    lab.write(trained="Hugo")
    with pytest.raises(HftError, match=r"the data of one has changed since runs/one/.* began"):
        what(run, PLAIN)
    assert not any(call.startswith("asking") for call in lab.calls)


def test_a_stage_is_asked_on_its_parents_weights(lab, run):
    lab.write("two", "one", trained="Hugo")
    stage = lab.train("two")
    lab.calls.clear()
    finished.reevaluate(stage, PLAIN)
    assert lab.calls[:2] == [f"load {run.resolve()}/merged", f"adapter {stage}/adapter"]


def test_an_export_is_made_asked_and_entered(lab, run, capsys):
    capsys.readouterr()
    finished.export_run(run, ["merged"], PLAIN, None)
    assert lab.calls == [f"merge {run}/adapter", f"load {run}/merged", "asking merged"]
    assert runs.passport(run)["evaluation"]["merged"]["exact_match"]["mean"] == 50
    assert "merged/model.safetensors" in runs.passport(run)["artefacts"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "Exporting merged ...",
        "Writing the 16-bit model: the adapter merged into the weights it was trained on ...",
    ]
    assert lines[-1] == f"{run}/merged  0 MB"


@pytest.mark.parametrize(("max_drop", "refused"), [(None, "5"), (49.0, "49"), (50.0, None)])
def test_an_export_may_lose_as_much_as_is_said(lab, run, max_drop, refused):
    lab.forgets = ("merged",)
    if refused is None:
        finished.export_run(run, ["merged"], PLAIN, max_drop)
    else:
        with pytest.raises(HftError, match=f"^merged loses more than {refused} points of 'exact match':"):
            finished.export_run(run, ["merged"], PLAIN, max_drop)
    assert runs.passport(run)["evaluation"]["merged"]["exact_match"]["mean"] == 0, "entered all the same"


def test_only_missing_exports_are_finished(lab, capsys):
    loaded = lab.write(export={"formats": ["merged", "q8_0"]})
    run = lab.train()
    (run / "one-q8_0.gguf").unlink()
    lab.calls.clear()
    capsys.readouterr()
    finished.finish_exports(run, loaded, PLAIN)
    assert lab.calls == ["llama.cpp", "ask one-q8_0.gguf"]
    assert (run / "one-q8_0.gguf").read_text() == "Lenaq8_0"
    lab.calls.clear()
    capsys.readouterr()
    finished.finish_exports(run, loaded, PLAIN)
    assert lab.calls == []
    assert capsys.readouterr().out.splitlines()[1].split() == ["base", "adapter", "merged", "one-q8_0.gguf"]


def test_an_export_that_lost_too_much_is_refused_again(lab):
    loaded = lab.write(export={"formats": ["merged"]})
    lab.forgets = ("merged",)
    with pytest.raises(HftError, match="merged loses more than 5 points"):
        lab.train()
    lab.calls.clear()
    with pytest.raises(HftError, match="merged loses more than 5 points"):
        finished.finish_exports(runs.every()[0], loaded, PLAIN)
    assert lab.calls == [], "it is there: not made again"


def test_base_and_trained_answer_side_by_side(lab, run):
    assert finished.side_by_side(run, "Who?", "", None, PLAIN) == "base:    ?\ntrained: Lena"
    assert lab.calls == ["load base", f"adapter {run}/adapter", "asking the trained model", "asking the base model"]
    assert finished.side_by_side(run, "Who?", "Lena did.", 2, PLAIN) == "base:    ?\ntrained: Le"


def test_a_model_that_was_trained_whole_answers_alone(lab):
    lab.write(lora=None)
    run = lab.train()
    assert finished.side_by_side(run, "Who?", "", None, PLAIN) == "trained: Lena"


def test_a_format_that_makes_no_prompt_of_one_text_is_explained(lab):
    code = """
def form(row, told):
    if "id" not in row:
        raise KeyError("the column 'id'")
    return row["id"], row["answer"]
"""
    (lab.recipes / "one.py").write_text(code)
    lab.write(prompt={"format": "one.py:form"})
    run = lab.train()
    lab.calls.clear()
    with pytest.raises(HftError) as error:
        finished.side_by_side(run, "Who?", "", None, PLAIN)
    assert error.value.message == (
        "the format 'one.py:form' makes no prompt of one text: it wants the column 'id'\n"
        f"  Fix: ask its held-out rows instead: hft evaluate {run}"
    )
    assert lab.calls == []


def test_a_whole_run_is_proved_by_its_hashes(lab, run, capsys):
    capsys.readouterr()
    finished.prove(run, None, PLAIN)
    count = len(runs.passport(run)["artefacts"])
    assert (lab.calls, capsys.readouterr().out) == ([], f"{run}: recipe and {count} files are as its passport says\n")


def test_all_damage_is_named_before_anything_is_trained(lab, run):
    (run / "metrics.jsonl").unlink()
    (run / "adapter" / TRAINED).write_text("Hugo")
    with pytest.raises(HftError) as error:
        finished.prove(run, 2, PLAIN)
    assert error.value.message == (
        f"{run}: 2 of its files are not what its passport says:\n"
        f"  adapter/{TRAINED} is another file\n"
        "  metrics.jsonl is missing\n"
        "  Fix: take the run from a backup, or train again"
    )
    assert lab.calls == []


def test_the_first_steps_are_trained_again_in_a_scratch_folder(lab, run, capsys):
    before = files.sha256_folder(lab.folder)
    capsys.readouterr()
    finished.prove(run, 3, PLAIN)
    assert lab.calls[2:] == ["train from step 1", "asking adapter (questions)"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Replayed: 3 steps, losses at most 0 and on average 0 apart"
    assert re.fullmatch(r"one: new run /.*/hft-verify\.\w+/one/20261122T000001-\w{12}", lines[1])
    assert files.sha256_folder(lab.folder) == before
    assert runs.every() == [run]


@pytest.mark.parametrize(
    ("first_loss", "said"),
    [
        (4.01, None),
        (4.1, "2 steps, losses at most 0.1 and on average 0.075 apart; they part at step 1: 4.0000 / 4.1000"),
        (4.018, "2 steps, losses at most 0.018 and on average 0.013 apart, more than 0.008"),
    ],
)
def test_a_replay_holds_within_the_tolerance(lab, run, capsys, first_loss, said):
    lab.first_loss = first_loss
    if said is None:
        finished.prove(run, 2, PLAIN)
        assert capsys.readouterr().out.endswith("Replayed: 2 steps, losses at most 0.01 and on average 0.0075 apart\n")
        return
    with pytest.raises(HftError) as error:
        finished.prove(run, 2, PLAIN)
    assert error.value.message == (
        f"{run}: its first steps come out otherwise here: {said}\n"
        f"  Fix: look at libraries and plan of a whole new run: hft compare {run} OTHER_RUN"
    )


@pytest.mark.parametrize(("wishes", "rows", "every"), [(PLAIN, 1, 7), (Wishes(backend="plain", save_every=9), 1, 9)])
def test_a_replay_has_the_runs_own_plan_but_for_options(lab, monkeypatch, wishes, rows, every):
    lab.write(evaluate={"rows": 2}, export={"formats": ["merged"]})
    run = lab.train(wishes=Wishes(backend="plain", rows_per_device=1, save_every=7))
    plans, recipes, train = [], [], lab.train_model

    def watched(model, tokenizer, samples, recipe, plan, *others):
        plans.append(plan)
        recipes.append(recipe)
        return train(model, tokenizer, samples, recipe, plan, *others)

    monkeypatch.setattr("hft.train.methods.sft.train", watched)
    finished.prove(run, 1, wishes)
    assert [(plan.rows_per_device, plan.save_every) for plan in plans] == [(rows, every)]
    [recipe] = recipes
    assert (recipe.evaluate.rows, recipe.evaluate.max_new_tokens, recipe.export.formats) == (1, 1, []), "kept short"


def test_a_stage_is_replayed_from_its_parent(lab, run, capsys):
    lab.write("two", "one", trained="Hugo")
    stage = lab.train("two")
    lab.calls.clear()
    finished.prove(stage, 2, PLAIN)
    assert capsys.readouterr().out.endswith("Replayed: 2 steps, losses at most 0 and on average 0 apart\n")
    assert lab.calls[0].endswith(f"/one/{run.name}/merged")
    assert json.loads((stage / "parent.json").read_text())["run"] == run.name
    assert check.load("two").digest == runs.passport(stage)["recipe"]["digest"]


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        ([0.5, 0.6, 0.7], "Replayed: 3 steps, the same mean reward at each"),
        ([0.5, 0.6, 0.1], "difference -0.600 [-0.600, -0.600]; other rewards from step 3"),
    ],
)
def test_a_replay_of_a_training_by_reward_compares_rewards(lab, run, capsys, monkeypatch, rewards, said):
    facts = json.loads((run / "passport.json").read_text(encoding="utf-8"))
    facts["recipe"]["values"]["method"] = "grpo"
    facts["training"] |= {"losses": [0.0] * 4, "rewards": [0.5, 0.6, 0.7, 0.9]}
    files.write_json(run / "passport.json", facts)
    again = {**facts, "training": {"losses": [0.1] * 3, "rewards": rewards}}
    monkeypatch.setattr(finished.pipeline, "train", lambda *given, **named: "made")
    kept = finished.runs.finished_passport
    monkeypatch.setattr(finished.runs, "finished_passport", lambda made: again if made == "made" else kept(made))
    if rewards[-1] == 0.7:
        finished.prove(run, 3, PLAIN)
        assert capsys.readouterr().out.endswith(f"{said}\n")
        return
    with pytest.raises(HftError) as error:
        finished.prove(run, 3, PLAIN)
    assert said in error.value.problem
