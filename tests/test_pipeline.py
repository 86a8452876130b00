"""The way of a recipe, with a pretended model: what is written, said, asked; how a run stops and goes on."""

import hashlib
import itertools
import json
import sys
from types import SimpleNamespace

import pytest
from fakes import PLAIN, Lab, Tokenizer

from hft import check, pipeline
from hft.errors import HftError
from hft.evaluate import scores
from hft.evaluate.table import FAIR
from hft.model import base as models
from hft.pipeline import Way
from hft.plan.wishes import Wishes
from hft.runs import folder as runs
from hft.train.session import Opened, Waiting, free_memory

LENA = hashlib.sha256(b"Lena").hexdigest()
OVERLAP = (
    "Overlap: of 2 held-out rows 0 are training rows, 0 have a trained context, "
    "0 have 80% or more of their 24-character pieces in training rows (mean 0%); 0 repeat a question's wording"
)
ROWS = f"Rows: train: read 4, kept 4; evaluate: read 2, kept 2\n{OVERLAP}"
WHOLE = """\
one: new run {run}
Loading plain's libraries and the rows (up to half a minute on a CPU) ...
Plan: plain on cpu, 2 rows x 1 = 2 a step, fp32, checkpointing none. Loading the model ...
{rows}
2 held-out questions, scores x 100 [95 % interval]
              base              adapter
exact match   0.0 [0.0, 81.3]   50.0 [1.8, 98.2]
character F1  0.0 [0.0, 100.0]  64.3 [0.0, 100.0]
contains      0.0 [0.0, 81.3]   50.0 [1.8, 98.2]
adapter: exact match +50.0 [-44.5, +98.2] against base, on the same questions
Finished in 6 s: {run}/passport.json
Of that libraries 1 s, rows 1 s, model 1 s, evaluate base 1 s, train 1 s, evaluate trained 1 s; the first step 0.5 s
adapter {hash}
"""
FILES = [
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
    "adapter/tokenizer.json",
    "answers/adapter.jsonl",
    "answers/base.jsonl",
    "data.json",
    "evaluation.json",
    "log.txt",
    "metrics.jsonl",
    "passport.json",
    "plan.json",
    "recipe.json",
    "recipe.yaml",
]


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    return Lab(tmp_path, monkeypatch)


def files_of(run):
    return sorted(str(path.relative_to(run)) for path in run.rglob("[!.]*") if path.is_file())


def plan_of(run):
    return json.loads((run / "plan.json").read_text())


def stopped(lab, name="one", wishes=PLAIN, after=2):
    """A run that a Ctrl-C ended after a step."""
    lab.stop_at = after
    with pytest.raises(KeyboardInterrupt):
        lab.train(name, wishes)
    lab.stop_at = None
    lab.calls.clear()
    return runs.every(name)[-1]


def test_a_whole_run_in_words_and_files(lab, capsys):
    loaded = lab.write()
    run = lab.train()
    assert str(run) == f"runs/one/20261122T000000-{loaded.digest[:12]}"
    assert capsys.readouterr().out == WHOLE.format(run=run, rows=ROWS, hash=LENA)
    assert files_of(run) == FILES
    assert max(path.stat().st_mtime_ns for path in run.rglob("*") if path.name != "log.txt") == (
        (run / "passport.json").stat().st_mtime_ns
    ), "the passport is written last"
    assert (run.parent / "latest").resolve() == run.resolve()
    assert lab.calls == ["load base", "asking base (questions)", "train from step 1", "asking adapter (questions)"]
    said = (run / "log.txt").read_text()
    assert [line[9:] for line in said.splitlines()[:2]] == WHOLE.format(run=run, rows="", hash="").splitlines()[:2]
    assert said.endswith(f"adapter {LENA}\n")
    facts = runs.passport(run)
    assert facts["seconds"] == dict.fromkeys(
        ("libraries", "rows", "model", "evaluate_base", "train", "evaluate_trained"), 1
    )
    assert facts["plan"] == plan_of(run)
    assert facts["evaluation"] == json.loads((run / "evaluation.json").read_text())


def test_where_all_weights_are_trained_the_model_is_kept(lab, capsys):
    lab.write(lora=None)
    run = lab.train()
    assert capsys.readouterr().out.endswith(f"; the first step 0.5 s\nmodel {LENA}\n")
    assert (run / "model" / "model.safetensors").read_text() == "Lena"
    assert list(runs.passport(run)["evaluation"]) == ["base", "model"]


class Chats(Tokenizer):
    """A tokenizer with a chat template: a line a turn."""

    chat_template = "a line a turn"

    def apply_chat_template(self, turns, tokenize, add_generation_prompt=False, **_):
        return "".join(f"{turn['role']}: {turn['content']}\n" for turn in turns)


def test_the_base_is_asked_in_its_own_template_too_and_the_gain_is_over_its_better_answers(lab, capsys, monkeypatch):
    lab.write()
    monkeypatch.setattr(models, "tokenizer", lambda source: Chats())
    run = lab.train()
    assert lab.calls[:3] == ["load base", "asking base (questions)", "asking base-chat (questions)"]
    asked = runs.passport(run)["evaluation"]
    assert (list(asked), asked["adapter"]["gain"]["over"]) == (["adapter", "base", "base-chat"], "base")
    said = capsys.readouterr().out
    assert f"\n{FAIR}\nadapter: exact match +50.0 [" in said
    for name in ("adapter", "base-chat"):
        (run / "answers" / f"{name}.jsonl").unlink()
    (run / "passport.json").unlink()
    lab.calls.clear()
    assert lab.train(resume=True) == run
    assert [what for what in lab.calls if "asking" in what] == [
        "asking base-chat (questions)",
        "asking adapter (questions)",
    ]


def test_a_reasoning_recipe_is_asked_in_its_bare_form_too(lab, capsys):
    evaluate = {"reasoning": {"bare": True}}
    lab.write(prompt={"format": "question", "tags": ["<a>", "</a>"], "instruction": "Think."}, evaluate=evaluate)
    run = lab.train()
    assert list(runs.passport(run)["evaluation"]) == ["adapter", "adapter-bare", "base", "base-bare"]
    assert "\n                   base             base-bare        adapter" in capsys.readouterr().out


def test_a_dry_run_says_what_would_happen_and_writes_nothing(lab, capsys):
    lab.write("two", "one", checked=False)
    lab.write()
    before = files_of(lab.folder)
    pipeline.dry_run(check.load("two"), PLAIN, max_steps=3)
    assert capsys.readouterr().out == (
        f"{ROWS} (too long ones are found when the tokenizer is loaded)\n"
        "Steps: 3 of 2 rows\n"
        "Start: the merged weights of the newest whole run of one, when it is there\n"
        "Plan: plain on cpu, 2 rows x 1 = 2 a step, fp32, checkpointing none. Nothing was trained or written.\n"
    )
    assert (files_of(lab.folder), lab.calls) == (before, [])


def test_a_smoke_test_is_not_the_latest(lab):
    lab.write()
    whole, short = lab.train(), lab.train(max_steps=2)
    assert (runs.passport(short)["training"]["steps"], runs.passport(short)["training"]["of_steps"]) == (2, 4)
    assert (short.parent / "latest").resolve() == whole.resolve()


def test_mistakes_in_the_data_show_before_a_folder_is_made(lab):
    lab.write()
    (lab.recipes / "one.train.jsonl").write_text("no json\n")
    with pytest.raises(HftError, match=r"one.train.jsonl line 1: not JSON"):
        lab.train()
    assert runs.every() == []


def test_a_run_that_was_stopped_goes_on_in_its_folder(lab, capsys):
    lab.write()
    run = stopped(lab)
    assert [name for name in FILES if name not in files_of(run)] == [*FILES[:4], "passport.json"]
    assert not (run.parent / "latest").exists()
    assert (run / "log.txt").read_text().endswith(" ended by: KeyboardInterrupt()\n")
    capsys.readouterr()
    assert lab.train(resume=True) == run
    assert lab.calls == ["load base", "train from step 3", "asking adapter (questions)"], "base was asked before"
    assert capsys.readouterr().out.startswith(f"one: going on in {run}\n")
    assert (files_of(run), (run.parent / "latest").resolve()) == (FILES, run.resolve())
    assert runs.passport(run)["training"]["losses"] == [4 / step for step in (1, 2, 3, 4)]


def test_without_resume_a_new_run_is_made(lab):
    lab.write()
    run = stopped(lab)
    assert lab.train() != run
    assert lab.train(resume=True) == run, "the new one is finished"
    assert lab.train(resume=True) not in runs.every()[:2], "none is left to go on"


def test_a_run_that_goes_on_keeps_its_plan_but_for_options(lab):
    lab.write()
    run = stopped(lab, wishes=Wishes(backend="plain", rows_per_device=1, save_every=7))
    assert (plan_of(run)["rows_per_device"], plan_of(run)["accumulation"], plan_of(run)["save_every"]) == (1, 2, 7)
    lab.train(wishes=Wishes(backend="plain", save_every=9), resume=True)
    assert (plan_of(run)["rows_per_device"], plan_of(run)["accumulation"], plan_of(run)["save_every"]) == (1, 2, 9)


def test_a_kill_before_the_plan_leaves_a_run_that_goes_on(lab, capsys):
    lab.write()
    run = stopped(lab)
    (run / "plan.json").unlink()
    capsys.readouterr()
    assert lab.train(resume=True) == run
    assert capsys.readouterr().out.startswith(f"one: new run {run}\n")


def test_changed_rows_end_a_run_that_was_to_go_on(lab):
    lab.write()
    run = stopped(lab)
    lab.write(trained="Hugo")
    with pytest.raises(HftError, match="the data of one has changed since") as error:
        lab.train(resume=True)
    assert (run / "log.txt").read_text().endswith(f" ended by: {error.value.message}\n")
    assert not (run / "passport.json").exists()


def test_a_stage_starts_from_its_parents_merged_weights(lab, capsys):
    lab.write()
    lab.write("two", "one", trained="Hugo")
    before = lab.train()
    lab.calls.clear()
    capsys.readouterr()
    run = lab.train("two")
    assert lab.calls[:3] == [f"merge {before}/adapter", f"load {before}/merged", "asking base (questions)"]
    assert (
        f"Starts from one: {before.name} (merged weights, {LENA[:12]})\nMerging the adapter of one ...\n"
        in capsys.readouterr().out
    )
    assert "merged/model.safetensors" in runs.passport(before)["artefacts"]
    assert [record["answer"] for record in scores.kept(run)["base"]] == ["Lena", "Lena"]
    assert runs.passport(run)["parent"] == {
        "recipe": "one",
        "run": before.name,
        "digest": check.load("one").digest,
        "weights": LENA,
        "start": "merged",
        "changed": [],
    }
    assert json.loads((run / "parent.json").read_text()) == runs.passport(run)["parent"]
    lab.calls.clear()
    lab.train("two")
    assert lab.calls[0] == f"load {before}/merged", "merged once"


def test_a_stage_goes_on_with_its_parents_adapter(lab):
    lab.write()
    lab.write("two", {"recipe": "one", "weights": "adapter"}, trained="Hugo")
    before = lab.train()
    lab.calls.clear()
    run = lab.train("two")
    assert lab.calls[:2] == ["load base", f"adapter {before.resolve()}/adapter"]
    assert (run / "adapter" / "adapter_model.safetensors").read_text() == "Hugo"
    assert not (before / "merged").exists()


def test_exports_come_after_the_passport(lab, monkeypatch, capsys):
    lab.write(export={"formats": ["merged", "adapter_gguf", "q8_0", "merged_4bit", "adapter"]})
    seen, export_and_record = [], pipeline.export.export_and_record
    monkeypatch.setattr(
        pipeline.export,
        "export_and_record",
        lambda run, *others: seen.append((run / "passport.json").exists()) or export_and_record(run, *others),
    )
    run = lab.train()
    assert seen == [True]
    assert list(runs.passport(run)["evaluation"]) == [
        "adapter", "base", "merged", "merged_4bit", "one-adapter.gguf", "one-q8_0.gguf",
    ]  # fmt: skip
    assert {"merged/model.safetensors", "merged_4bit/model.safetensors", "one-adapter.gguf", "one-q8_0.gguf"} <= set(
        runs.passport(run)["artefacts"]
    )
    assert [path.name for path in run.glob(".*")] == [".lock"], "what lies between is gone"
    assert lab.calls[:3] == ["load base", "llama.cpp", "asking base (questions)"]
    assert lab.calls[lab.calls.index("free") :] == [
        "free", "llama.cpp", f"merge {run}/adapter", f"load {run}/merged", "asking merged",
        "merge None", "ask one-adapter.gguf", "ask one-q8_0.gguf",
        f"load {run}/merged", f"load {run}/merged_4bit", "asking merged_4bit",
    ]  # fmt: skip
    assert capsys.readouterr().out.endswith(
        f"{run}/merged  0 MB\n{run}/one-adapter.gguf  0 MB\n{run}/one-q8_0.gguf  0 MB\n"
        f"{run}/merged_4bit  0 MB\n{run}/adapter  0 MB\n"
    )


def test_an_export_that_fails_leaves_a_finished_run(lab):
    lab.write(export={"formats": ["merged"]})
    lab.forgets = ("merged",)
    with pytest.raises(HftError, match=r"merged loses more than 5 points of 'exact match':\n2 held-out questions"):
        lab.train()
    [run] = runs.every()
    assert (run.parent / "latest").resolve() == run.resolve()
    assert runs.passport(run)["evaluation"]["merged"]["exact_match"]["mean"] == 0
    assert "merged/model.safetensors" in runs.passport(run)["artefacts"]


def test_an_export_that_cannot_be_ends_the_run_before_it_is_trained(lab):
    lab.write(lora=None, export={"formats": ["adapter_gguf"]})
    with pytest.raises(HftError, match="recipe one trains all weights: there is no adapter to export"):
        lab.train()
    assert lab.calls == ["load base"]


def test_a_full_card_goes_on_with_the_next_safer_plan(lab, capsys):
    lab.write()
    lab.too_large = ("none",)
    run = lab.train()
    first = "plain on cpu, 2 rows x 1 = 2 a step, fp32, checkpointing none"
    safer = first.replace("none", "full")
    assert f"Warning: out of GPU memory with {first}. Nothing is lost; going on with {safer} ...\n" in (
        capsys.readouterr().out
    )
    facts = runs.passport(run)
    assert facts["training"]["out_of_memory"] == [
        {"plan": first, "checkpointing": "none", "expected_gib": None, "correction": 1.0}
    ]
    assert (facts["plan"]["checkpointing"], plan_of(run)["checkpointing"]) == ("full", "full")
    assert facts["training"]["losses"] == [4 / step for step in (1, 2, 3, 4)]
    assert lab.calls == [
        "load base", "asking base (questions)", "train from step 1", "free",
        "load base", "train from step 3", "asking adapter (questions)",
    ]  # fmt: skip


def test_workers_train_and_the_model_is_asked_here(lab):
    lab.write()
    run = lab.train(wishes=Wishes(backend="plain", processes="2"))
    assert lab.calls == [
        "load base", "asking base (questions)", "free", "2 workers on cpu", "load base", "train from step 1",
        "load base", f"adapter {run}/adapter", "asking adapter (questions)",
    ]  # fmt: skip
    assert runs.passport(run)["plan"]["processes"] == 2
    assert files_of(run) == FILES


@pytest.mark.parametrize(("processes", "kind", "loads"), [("2", Waiting, 1), ("1", Opened, 1)])
def test_where_nothing_is_asked_only_who_trains_loads_the_model(lab, monkeypatch, capsys, processes, kind, loads):
    lab.write(data={"train": {"source": "jsonl", "file": "one.train.jsonl"}})
    kinds, open_or_wait = [], pipeline.open_or_wait
    monkeypatch.setattr(pipeline, "open_or_wait", lambda *given: kinds.append(made := open_or_wait(*given)) or made)
    run = lab.train(wishes=Wishes(backend="plain", processes=processes))
    assert [type(made) for made in kinds] == [kind]
    assert lab.calls.count("load base") == loads
    assert "held-out" not in capsys.readouterr().out
    assert runs.passport(run)["evaluation"] is None


def test_workers_alone_load_the_model_when_the_base_was_asked_before(lab):
    lab.write()
    two = Wishes(backend="plain", processes="2")
    run = stopped(lab, wishes=two)
    lab.train(wishes=two, resume=True)
    assert lab.calls[:4] == ["free", "2 workers on cpu", "load base", "train from step 3"]
    assert lab.calls[-1] == "asking adapter (questions)"
    assert runs.passport(run)["training"]["steps"] == 4


@pytest.mark.parametrize(
    ("resume", "leads", "unfinished", "finished"), list(itertools.product((False, True), repeat=4))
)
def test_the_way_is_decided_by_four_facts(resume, leads, unfinished, finished):
    table = {  # of a server that leads and is to resume: (unfinished, finished)
        (False, False): Way.ANEW,
        (False, True): Way.NOTHING,
        (True, False): Way.GO_ON,
        (True, True): Way.GO_ON,
    }
    wanted = table[unfinished, finished] if resume else Way.ANEW
    assert pipeline.decide(resume, leads, unfinished, finished) is (wanted if leads else Way.FOLLOW)


def test_looking_back_at_real_folders(lab):
    loaded = lab.write()
    assert pipeline.look_back(loaded, True, None) == (Way.ANEW, None)
    short = lab.train(max_steps=2)
    assert pipeline.look_back(loaded, True, None) == (Way.ANEW, None)
    assert pipeline.look_back(loaded, True, 2) == (Way.NOTHING, short)
    assert pipeline.look_back(loaded, True, 3) == (Way.ANEW, None)
    whole = lab.train()
    assert pipeline.look_back(loaded, True, None) == (Way.NOTHING, whole)
    assert pipeline.look_back(loaded, False, None) == (Way.ANEW, None)
    assert pipeline.look_back(loaded, True, None, leads=False) == (Way.FOLLOW, whole)
    assert pipeline.look_back(loaded, False, None, leads=False) == (Way.FOLLOW, None)
    stopped(lab)
    assert pipeline.look_back(loaded, True, None) == (Way.GO_ON, None), "an unfinished run comes first"


def test_a_stage_is_made_anew_when_its_parent_is_another(lab, capsys):
    lab.write()
    loaded = lab.write("two", "one", trained="Hugo")
    lab.train()
    finished = lab.train("two")
    open_run = stopped(lab, "two")
    assert pipeline.look_back(loaded, True, None) == (Way.GO_ON, None)
    lab.write(trained="Ada")
    lab.train()
    assert pipeline.look_back(loaded, True, None) == (Way.ANEW, None)
    assert f"{finished} started from other weights of one than its newest run has: training again." in (
        capsys.readouterr().out
    )
    assert lab.train("two", resume=True) not in (finished, open_run)
    assert f"{open_run} cannot go on: it started from other weights of one. Starting anew." in capsys.readouterr().out


@pytest.mark.parametrize("gpu", [True, False])
def test_memory_is_given_back_to_the_gpu(monkeypatch, gpu):
    emptied = []
    cuda = SimpleNamespace(is_available=lambda: gpu, empty_cache=lambda: emptied.append(True))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    free_memory()
    assert emptied == [True] * gpu


def test_a_clock_names_the_parts_that_took_time(monkeypatch):
    times = iter([10.0, 10.04, 12.0, 12.6, 75.2])
    monkeypatch.setattr(pipeline.time, "monotonic", lambda: next(times))
    clock = pipeline.Clock()
    for part in ("libraries", "evaluate_base", "model", "train"):
        clock.lap(part)
    assert clock.seconds == {"libraries": 0.0, "evaluate_base": 2.0, "model": 0.6, "train": 62.6}
    assert clock.describe() == "evaluate base 2 s, model 1 s, train 63 s"
