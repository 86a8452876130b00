"""`evaluate.also` with a pretended model: whose questions are asked, when, in which form, and what is refused."""

import json

import pytest
from fakes import PLAIN, Lab, Tokenizer

from hft import check, files, finished, pipeline
from hft.errors import HftError
from hft.model import base as models
from hft.runs import also, stages
from hft.runs import folder as runs

TOO = {"evaluate": {"also": ["one"]}}
ASKED = [
    "asking base (questions)",
    "asking base@one (questions)",
    "asking adapter (questions)",
    "asking adapter@one (questions)",
]
TABLES = """
2 held-out questions, scores x 100 [95 % interval]
              base               adapter
exact match   0.0 [0.0, 81.3]    50.0 [1.8, 98.2]
character F1  14.3 [0.0, 100.0]  50.0 [0.0, 100.0]
contains      0.0 [0.0, 81.3]    50.0 [1.8, 98.2]
adapter: exact match +50.0 [-44.5, +98.2] against base, on the same questions

2 held-out questions of one, scores x 100 [95 % interval]
              base               adapter
exact match   50.0 [1.8, 98.2]   0.0 [0.0, 81.3]
character F1  64.3 [0.0, 100.0]  0.0 [0.0, 100.0]
contains      50.0 [1.8, 98.2]   0.0 [0.0, 81.3]
adapter: exact match -50.0 [-98.2, +44.5] against base, on the same questions: within chance
"""


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    """Recipe one, and its stage two, which asks one's questions too."""
    made = Lab(tmp_path, monkeypatch)
    made.write()
    made.write("two", "one", trained="Hugo", **TOO)
    return made


def asked(lab):
    return [call for call in lab.calls if call.startswith("asking")]


def ids(run, column):
    return [record["id"] for record in files.read_jsonl(run / "answers" / f"{column}.jsonl")]


def refused(lab, name="two", **options):
    with pytest.raises(HftError) as error:
        lab.train(name, **options)
    return error.value.message


def test_a_stage_is_asked_the_questions_of_the_one_before(lab, capsys):
    lab.train()
    lab.calls.clear()
    capsys.readouterr()
    run = lab.train("two")
    assert asked(lab) == ASKED
    said = capsys.readouterr().out
    assert "; also one: read 2, kept 2\nOverlap: of 2 held-out rows" in said
    assert TABLES in said
    facts = runs.passport(run)
    assert list(facts["evaluation"]) == ["adapter", "adapter@one", "base", "base@one"]
    assert facts["evaluation"]["adapter@one"]["gain"]["over"] == "base@one"
    assert facts["recipe"]["values"]["evaluate"]["also"] == ["one"]
    assert facts["data"]["also"]["one"]["digest"] == check.load("one").digest
    assert facts["data"]["also"]["one"]["source"]["file"] == "one.evaluate.jsonl"
    assert facts["data"]["also"] == json.loads((run / "data.json").read_text())["also"]
    assert "answers/base@one.jsonl" in facts["artefacts"]


def test_what_was_asked_is_not_asked_again_by_a_run_that_goes_on(lab):
    lab.train()
    run = lab.train("two")
    for column in ("adapter", "adapter@one", "base@one"):
        (run / "answers" / f"{column}.jsonl").unlink()
    (run / runs.PASSPORT).unlink()
    lab.calls.clear()
    assert lab.train("two", resume=True) == run
    assert asked(lab) == ASKED[1:]


def test_the_recipe_of_the_chain_asks_as_its_run_was_trained(lab):
    run = pipeline.train(check.load("one", ("evaluate.rows=1", "evaluate.max_new_tokens=2")), PLAIN)
    lab.write("three", "two", trained="Ada", evaluate={"also": ["two", "one"]})
    before, after = lab.train("two"), lab.train("three")
    assert ids(before, "adapter@one") == ids(after, "adapter@one") == ids(run, "adapter")
    assert [record["answer"] for record in files.read_jsonl(after / "answers" / "adapter@one.jsonl")] == ["Ad"]
    column = runs.passport(after)["evaluation"]["adapter@one"]
    assert (column["questions"], column["of"]) == (1, 2)
    assert ids(after, "adapter@two") == ids(before, "adapter")


def test_a_recipe_of_another_line_asks_the_rows_that_its_own_run_holds_out(lab):
    train = {"source": "jsonl", "file": "four.train.jsonl"}
    short = {"seed": 5, "batch_size": 2, "steps": 1, "learning_rate": 0.1}
    lab.write("four", data={"train": train, "held_out": 0.5}, train=short)
    lab.write("five", trained="Ada", evaluate={"also": ["four"]})
    given = [{"id": str(n), "context": "", "question": f"{n} of four?", "answer": "x"} for n in range(8)]
    files.write_jsonl(lab.recipes / "four.train.jsonl", given)
    run = lab.train("five")
    assert ids(run, "base@four") == ids(lab.train("four"), "base")
    assert len(ids(run, "base@four")) == 4


def test_questions_are_encoded_as_their_own_recipe_asks_them(lab, monkeypatch):
    """Its own format and instruction, cut to its own model.max_tokens."""
    prompt = {"format": "question", "instruction": "Tell."}
    model = {"name": "base", "revision": "1", "quantization": "none", "max_tokens": 48}
    lab.write(prompt=prompt, model=model, evaluate={"max_new_tokens": 8})
    long = {"id": "long", "context": "글" * 90, "question": "evaluate 9?", "answer": "Ida"}
    files.write_jsonl(lab.recipes / "one.evaluate.jsonl", [long])
    loaded, tokenizer = check.load("five") if lab.write("five", **TOO) else None, Tokenizer()
    monkeypatch.setattr(models, "tokenizer", lambda source: tokenizer)
    given = pipeline.session.prepare(loaded, None, pipeline.rows.read(loaded))
    [sample] = also.prepared(given, loaded, also.read(loaded, None)).also["one"].samples
    assert (sample.cut, len(sample.tokens.prompt_ids)) == (True, 48 - 8)
    assert sample.tokens.prompt.startswith("Tell.\n\n글")


def test_rows_that_another_recipe_holds_out_are_not_trained_on(lab):
    lab.train()
    held = [{"id": "held", "context": "", "question": "Who closed it?", "answer": "Lena"}]
    files.write_jsonl(lab.recipes / "one.evaluate.jsonl", held)
    files.write_jsonl(lab.recipes / "two.train.jsonl", files.read_jsonl(lab.recipes / "two.train.jsonl") + held)
    message = refused(lab)
    assert message.startswith(
        "two: held-out rows of one (evaluate.also) are trained on: of 1 held-out rows 1 are training rows, "
    )
    assert message.endswith(
        "\n  Fix: choose other rows to train on, leave it out, or say you mean it: data.memorise: true"
    )
    pipeline.train(check.load("two", ("data.memorise=true",)), PLAIN)


def test_a_recipe_that_held_nothing_out_when_it_was_trained_cannot_ask(lab):
    train = {"source": "jsonl", "file": "one.train.jsonl"}
    pipeline.train(check.load("one", (f"data={json.dumps({'train': train})}",)), PLAIN)
    assert refused(lab) == (
        "two asks the questions of one too (evaluate.also), which has none\n"
        "  Fix: add data.evaluate or data.held_out to one, or leave it out"
    )


def test_its_mistakes_show_before_a_folder_is_made(lab):
    lab.train()
    (lab.recipes / "one.evaluate.jsonl").write_text("no json\n")
    assert "one.evaluate.jsonl line 1: not JSON" in refused(lab)
    assert runs.every("two") == []


@pytest.mark.parametrize("go_on", [False, True], ids=["hft evaluate", "--resume"])
def test_other_questions_are_refused(lab, go_on):
    lab.train()
    run = lab.train("two")
    given = files.read_jsonl(lab.recipes / "one.evaluate.jsonl")
    files.write_jsonl(lab.recipes / "one.evaluate.jsonl", [{**row, "answer": "Ada"} for row in given])
    if go_on:
        (run / runs.PASSPORT).unlink()
    with pytest.raises(HftError) as error:
        lab.train("two", resume=True) if go_on else finished.reevaluate(run, PLAIN)
    assert error.value.message == (
        f"the questions of one (evaluate.also) have changed since {run} began\n"
        "  Fix: put the old recipe and files back, or train anew without --resume"
    )


def test_a_finished_run_is_asked_them_again(lab):
    lab.train()
    run = lab.train("two")
    lab.calls.clear()
    assert "\n\n2 held-out questions of one, scores x 100" in finished.reevaluate(run, PLAIN)
    assert asked(lab) == ["asking adapter (questions)", "asking adapter@one (questions)"]


def test_exports_and_a_replay_are_not_asked_them(lab):
    lab.write("two", "one", trained="Hugo", export={"formats": ["merged"]}, **TOO)
    lab.train()
    run = lab.train("two")
    assert sorted(runs.passport(run)["evaluation"]) == ["adapter", "adapter@one", "base", "base@one", "merged"]
    lab.calls.clear()
    finished.prove(run, 2, PLAIN)
    assert asked(lab) == ["asking base (questions)", "asking adapter (questions)"]


@pytest.mark.parametrize("trained", [False, True], ids=["before the first stage", "after it"])
def test_a_dry_run_says_what_is_asked(lab, capsys, trained):
    if trained:
        pipeline.train(check.load("one", ("evaluate.rows=1",)), PLAIN)
    capsys.readouterr()
    pipeline.dry_run(check.load("two"), PLAIN)
    said, count = capsys.readouterr().out, 1 if trained else 2
    assert f"\nAsked too, before and after: {count} held-out questions of one\nPlan: plain" in said


def test_a_stage_before_that_is_gone_asks_as_it_is_written(lab):
    first = lab.train()
    lab.write("three", "two", trained="Ada", evaluate={"also": ["one"]})
    lab.train("two")
    for path in (first / "recipe.json", first / "recipe.yaml"):
        path.unlink()
    [(asker, _)] = also.read(check.load("three"), stages.newest("two"))
    assert (asker.name, asker.origins != {}) == ("one", True)
