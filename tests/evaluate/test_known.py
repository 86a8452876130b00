"""The base's answers between runs: known for the same questions to the same model on the same machine, else asked."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fakes import PLAIN, Lab, Model, Tokenizer
from several import H100, with_gpus

from hft import files
from hft.evaluate import known
from hft.evaluate.known import Asked
from hft.model import base as models
from hft.model import generate
from hft.model.generate import Sampling
from hft.runs import folder as runs

ASKED = Asked([[1, 2], [3]], 8, None, False)
BASE = {"files": {"config.json": "ab"}}


@pytest.fixture(autouse=True)
def nothing_known():
    """Here they are kept, in the test's own cache."""


@pytest.fixture
def lab(tmp_path, monkeypatch, invoke):
    made = Lab(tmp_path, monkeypatch)
    made.write()
    monkeypatch.setattr(models, "tokenizer", lambda source: Chats())
    return made


class Chats(Tokenizer):
    """A tokenizer with a chat template: a line a turn."""

    chat_template = "a line a turn"

    def apply_chat_template(self, turns, tokenize, add_generation_prompt=False, **_):
        return "".join(f"{turn['role']}: {turn['content']}\n" for turn in turns)


def asked(lab):
    """What the model was asked since the last look."""
    calls = [call for call in lab.calls if call.startswith(("asking", "drawing"))]
    lab.calls.clear()
    return calls


def kept():
    """The files of answers."""
    return sorted(known.folder().glob("*.json"))


def ask(*texts, base=BASE, asked=ASKED, again=False):
    """(answers, how often the model was asked), of one that says `texts`."""
    times = []
    said = known.answers("base", base, asked, lambda: times.append(1) or list(texts), again)
    return said, len(times)


# A whole run


def test_the_same_recipe_trained_otherwise_does_not_ask_its_base_again(lab, capsys):
    first = lab.train()
    assert asked(lab) == ["asking base (questions)", "asking base-chat (questions)", "asking adapter (questions)"]
    assert "known from" not in capsys.readouterr().out
    lab.write(train={"batch_size": 4, "steps": 2, "learning_rate": 2.0e-3})
    second = lab.train()
    assert asked(lab) == ["asking adapter (questions)"]
    said = capsys.readouterr().out
    assert "\nbase: 2 answers known from an earlier run\nbase-chat: 2 answers known from an earlier run\n" in said
    assert " base: 2 answers known from an earlier run\n" in (second / "log.txt").read_text()
    for name in ("evaluation.json", "answers/base.jsonl", "answers/base-chat.jsonl"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert runs.passport(first)["evaluation"] == runs.passport(second)["evaluation"]


def test_what_was_kept_is_texts_alone_for_their_owners_eyes(lab):
    lab.train()
    assert [json.loads(path.read_text()) for path in kept()] == [["?", "?"]] * 2
    assert known.folder().stat().st_mode & 0o777 == 0o700


CHANGES = {
    "another model": lambda lab, monkeypatch: Model("!").save_pretrained(lab.folder / "base"),
    "longer answers": lambda lab, monkeypatch: lab.write(evaluate={"max_new_tokens": 3}),
    "another prompt": lambda lab, monkeypatch: lab.write(prompt={"format": "question", "instruction": "Tell."}),
    "the model in 4 bits": lambda lab, monkeypatch: lab.write(
        model={"name": "base", "revision": "1", "quantization": "nf4", "max_tokens": 64}
    ),
    "another version of torch": lambda lab, monkeypatch: monkeypatch.setattr(
        known.libraries, "version", lambda name: "9.0"
    ),
    "another stop token": lambda lab, monkeypatch: monkeypatch.setattr(generate, "stop_ids", lambda *of: [7]),
    "other code": lambda lab, monkeypatch: monkeypatch.setattr(known, "CODE", [generate]),
    "another machine": lambda lab, monkeypatch: monkeypatch.setattr(known, "chip", lambda plan: ["another CPU", 8]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_may_change_an_answer_has_it_asked(lab, monkeypatch, change):
    lab.train()
    asked(lab)
    change(lab, monkeypatch)
    lab.train()
    assert asked(lab)[:2] == ["asking base (questions)", "asking base-chat (questions)"]


@pytest.mark.parametrize("wishes", [{"generate_rows": 1}, {"precision": "bf16"}, {"deterministic": True}], ids=str)
def test_another_way_to_compute_has_it_asked(lab, wishes):
    lab.train()
    asked(lab)
    lab.train(wishes=replace(PLAIN, **wishes))
    assert asked(lab)[:2] == ["asking base (questions)", "asking base-chat (questions)"]


def test_a_stage_knows_its_parents_merged_weights_by_their_content_and_asks_where_the_adapter_goes_on(lab):
    lab.write("two", "one", trained="Hugo")
    lab.write("three", {"recipe": "one", "weights": "adapter"}, trained="Ida")
    lab.train()
    lab.train("two")
    before = kept()
    asked(lab)
    assert files.read_jsonl(lab.train("two") / "answers" / "base.jsonl")[0]["answer"] == "Lena"
    assert asked(lab) == ["asking adapter (questions)"]
    for _ in range(2):
        lab.train("three")
        assert asked(lab)[:2] == ["asking base (questions)", "asking base-chat (questions)"]
    assert kept() == before


def test_a_card_is_known_by_its_name_and_a_cpu_by_its_threads_too(monkeypatch):
    with_gpus(monkeypatch, 2)
    monkeypatch.setattr(known.machine, "cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    card, cpu = SimpleNamespace(device="cuda"), SimpleNamespace(device="cpu")
    assert (known.chip(card), known.chip(cpu)) == ([H100.name], ["a CPU", 6])
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert (known.chip(card), known.chip(cpu)) == ([H100.name], ["a CPU", "2"])


# What is kept


@pytest.mark.parametrize(
    "other",
    [
        {"base": {"files": {"config.json": "cd"}}},
        {"asked": ASKED._replace(prompts=[[3], [1, 2]])},
        {"asked": ASKED._replace(max_new_tokens=9)},
        {"asked": ASKED._replace(drawn=Sampling(0.7, 0.95, 3407))},
        {"asked": ASKED._replace(one_line=True)},
    ],
    ids=str,
)
def test_other_questions_are_asked(other):
    assert ask("a", "b") == (["a", "b"], 1)
    assert ask("c", "d") == (["a", "b"], 0)
    assert ask("c", "d", **other) == (["c", "d"], 1)
    assert ask("e", "f", **other) == (["c", "d"], 0)


def test_drawn_answers_of_another_seed_are_others():
    drawn = [ASKED._replace(drawn=Sampling(0.7, 0.95, seed)) for seed in (1, 2)]
    assert [ask(text, text, asked=one)[1] for one in drawn for text in "ab"] == [1, 0, 1, 0]


def test_asking_again_refreshes_what_is_kept():
    ask("a", "b")
    assert ask("c", "d", again=True) == (["c", "d"], 1)
    assert ask("e", "f") == (["c", "d"], 0)


def test_without_a_base_that_its_files_describe_nothing_is_kept():
    assert [ask("a", "b", base=None) for _ in range(2)] == [(["a", "b"], 1)] * 2
    assert not known.folder().exists()


@pytest.mark.parametrize("text", ["", "[", '["a"]', '["a", null]', '{"a": 1, "b": 2}', "2", b"\xff"], ids=str)
def test_a_damaged_file_is_as_none(text):
    ask("a", "b")
    [place] = kept()
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert ask("c", "서울\n") == (["c", "서울\n"], 1)
    assert ask("e", "f") == (["c", "서울\n"], 0)


def test_a_cache_that_cannot_be_written_to_ends_no_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))
    assert ask("a", "b") == (["a", "b"], 1)
    assert capsys.readouterr().out == (
        f"Warning: these answers are not kept for other runs: [Errno 20] Not a directory: '{known.folder()}'\n"
    )
