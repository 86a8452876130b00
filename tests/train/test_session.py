"""A model at work, with a pretended backend: opened, trained within the card's memory, let go."""

import builtins
import gc
import os
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hft.data.prepare import Also, Prepared
from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan import plan as plans
from hft.recipe import file as recipe_file
from hft.train import session
from hft.train.session import Opened, Waiting
from hft.train.trainer import OutOfMemory

H100 = Gpu("NVIDIA H100", 79.6, "580.1", "9.0")
LOADED = recipe_file.load("quickstart")
PLAN = plans.make(LOADED.recipe, Machine([], 8, 64.0, "a CPU"))


class Model:
    """What can be referred to weakly."""


@pytest.fixture
def references_alone():
    """Memory comes back when the last reference goes, or not at all."""
    gc.disable()
    yield
    gc.enable()


def rows(evaluate):
    return SimpleNamespace(train=["a row"], evaluate=evaluate, baseline=[], also={})


@pytest.fixture
def pretended(monkeypatch):
    """No library is loaded and nothing is trained; returns the list of what was called."""
    calls = []
    backend = SimpleNamespace(
        load=lambda spec, plan, rank: calls.append(("load", spec.name, rank)) or (Model(), "tokenizer"),
        add_lora=lambda model, spec, plan, seed: calls.append(("add_lora", seed)) or model,
    )
    method = SimpleNamespace(train=lambda *given: calls.append(("train", *given[2:])) or {"steps": 3})
    monkeypatch.setattr(session, "get_ready", lambda plan: None)
    monkeypatch.setattr(session, "free_memory", lambda: calls.append("free"))
    monkeypatch.setattr(session.importlib, "import_module", lambda name: calls.append(name) or backend)
    monkeypatch.setattr(session.methods, "of", lambda recipe: method)
    monkeypatch.setattr(session.weights, "save", lambda run, name, *others: calls.append(("save", name)))
    monkeypatch.setattr(session.lora, "check_targets", lambda model, targets: None)
    monkeypatch.setattr(session.lora, "load", lambda model, adapter: calls.append(("adapter", adapter.name)))
    monkeypatch.delenv("RANK", raising=False)
    return calls


def opened(plan=PLAN, evaluate=()):
    return Opened(LOADED, plan, rows(evaluate), SimpleNamespace(), Model(), "tokenizer")


def test_memory_is_let_go_although_a_caller_still_holds_the_opened_model(pretended):
    held = opened()
    model = weakref.ref(held.model)
    waiting = session.release(held)
    assert model() is None
    assert pretended == ["free"]
    assert waiting == Waiting(LOADED, PLAN, held.prepared)
    assert session.release(waiting) == waiting


def test_a_model_is_opened_with_a_new_adapter_or_the_one_begun(pretended, tmp_path, monkeypatch):
    name = f"hft.model.backends.{PLAN.backend}"
    first = ["load", LOADED.recipe.model.name, LOADED.recipe.lora.rank]
    made = session.open_model(LOADED, PLAN, None)
    assert (made.plan, made.prepared, made.tokenizer) == (PLAN, None, "tokenizer")
    assert pretended == [name, tuple(first), ("add_lora", LOADED.recipe.train.seed)]
    monkeypatch.setattr(session.stages, "adapter", lambda run: run / "begun")
    session.open_model(LOADED, PLAN, None, tmp_path)
    assert pretended[-1] == ("adapter", "begun")


def test_a_recipe_without_lora_trains_the_model_itself(pretended, tmp_path):
    whole = LOADED._replace(recipe=LOADED.recipe.model_copy(update={"lora": None}))
    session.with_weights(tmp_path, session.own_model(tmp_path, whole), PLAN, None)
    assert pretended[1:] == [("load", str(tmp_path / "model"), 0)]
    assert session.own_model(tmp_path, LOADED) is LOADED
    session.with_weights(tmp_path, LOADED, PLAN, None)
    assert pretended[-1] == ("adapter", "adapter")


@pytest.mark.parametrize(("rank", "saved"), [("0", [("save", "adapter")]), ("1", [])])
def test_the_first_process_saves(pretended, tmp_path, monkeypatch, rank, saved):
    monkeypatch.setenv("RANK", rank)
    assert session.fit(tmp_path, opened(), 7) == {"steps": 3}
    assert pretended == [("train", ["a row"], LOADED.recipe, PLAN, tmp_path, 7), *saved]


def test_one_process_trains_here(pretended, tmp_path):
    here = opened()
    assert session.fit_the_card(tmp_path, here, None) == (here, {"steps": 3, "out_of_memory": []})
    assert "free" not in pretended


def test_a_card_that_is_too_small_goes_on_with_a_safer_plan(pretended, references_alone, tmp_path, monkeypatch, capsys):
    first = opened()
    model, fit, open_model, begun, gone = weakref.ref(first.model), session.fit, session.open_model, [], []

    def run_out(held):
        """As a trainer's frame does, this one holds the model, and the error's traceback holds the frame."""
        raise OutOfMemory

    def too_much_at_first(run, at_work, max_steps):
        begun.append(at_work.plan)
        return run_out(at_work.model) if len(begun) == 1 else fit(run, at_work, max_steps)

    def open_next(*given):
        gone.append(model() is None)
        return open_model(*given)

    monkeypatch.setattr(session, "fit", too_much_at_first)
    monkeypatch.setattr(session, "open_model", open_next)
    trained, training = session.fit_the_card(tmp_path, first, None)
    assert gone == [True], "the first model still takes its memory when the next one is opened"
    assert begun == [PLAN, plans.safer(PLAN)]
    assert trained.plan == plans.safer(PLAN)
    assert training == {
        "steps": 3,
        "out_of_memory": [{
            "plan": PLAN.describe(), "checkpointing": "none", "expected_gib": None, "correction": PLAN.correction,
        }],
    }  # fmt: skip
    assert '"checkpointing": "full"' in (tmp_path / "plan.json").read_text()
    assert f"Warning: out of GPU memory with {PLAN.describe()}. Nothing is lost; " in capsys.readouterr().out


TWO = replace(PLAN, processes=2)


@pytest.mark.parametrize(("evaluate", "kind"), [((), Waiting), (("a question",), Opened)])
def test_workers_train_and_the_model_comes_back_where_it_is_asked(pretended, tmp_path, monkeypatch, evaluate, kind):
    monkeypatch.setattr(session.launch, "fit", lambda *given: pretended.append(("workers", *given)) or {"steps": 3})
    first = opened(TWO, evaluate)
    model = weakref.ref(first.model)
    trained, training = session.fit_the_card(tmp_path, first, 5)
    assert model() is None
    assert pretended[:2] == ["free", ("workers", tmp_path, 2, "cpu", 5)]
    assert (type(trained), trained.plan, trained.loaded) == (kind, TWO, LOADED)
    assert (pretended[-1] == ("adapter", "adapter")) == (kind is Opened)
    assert training == {"steps": 3, "out_of_memory": []}


def test_workers_whose_cards_are_too_small_go_on_with_a_safer_plan(pretended, tmp_path, monkeypatch):
    tried = []

    def fit(run, count, device, max_steps):
        tried.append(count)
        if len(tried) == 1:
            raise OutOfMemory
        return {"steps": 3}

    monkeypatch.setattr(session.launch, "fit", fit)
    trained, training = session.fit_the_card(tmp_path, Waiting(LOADED, TWO, rows(())), None)
    assert tried == [2, 2]
    assert trained == Waiting(LOADED, plans.safer(TWO), rows(()))
    assert len(training["out_of_memory"]) == 1


def test_where_no_plan_is_safer_the_card_is_named(pretended, tmp_path, monkeypatch):
    def full(*given):
        raise OutOfMemory

    monkeypatch.setattr(session, "fit", full)
    smallest = replace(PLAN, checkpointing="full", rows_per_device=1)
    with pytest.raises(HftError, match="the GPU's memory is too small for one row at a time"):
        session.fit_the_card(tmp_path, opened(smallest), None)


@pytest.mark.parametrize(
    ("plan", "worker", "order"),
    [
        ({"device": "cuda", "backend": "unsloth"}, False, ["3", "unsloth", "hush"]),
        ({"device": "cpu", "backend": "unsloth"}, False, ["", "unsloth", "hush"]),
        ({"device": "cuda", "backend": "plain"}, False, ["3", "hush"]),
        (
            {"device": "cuda", "backend": "unsloth", "deterministic": True},
            True,
            ["5", "unsloth", "hush", "deterministic"],
        ),
    ],
)
def test_libraries_are_loaded_in_the_order_that_they_need(monkeypatch, capsys, plan, worker, order):
    calls, load = [], builtins.__import__

    def note_unsloth(name, *given):
        if name != "unsloth":
            return load(name, *given)
        calls.append("unsloth")
        return print("a banner")

    monkeypatch.setattr(os, "environ", {"CUDA_VISIBLE_DEVICES": "5", **({"LOCAL_RANK": "0"} if worker else {})})
    monkeypatch.setattr(session.machine, "visible", lambda: ["3", "4"])

    def before_unsloth(plan):
        calls.append(os.environ["CUDA_VISIBLE_DEVICES"])

    monkeypatch.setattr(session.patches, "prepare_unsloth", before_unsloth)
    monkeypatch.setattr(session.libraries, "hush", lambda: calls.append("hush"))
    monkeypatch.setattr(session.libraries, "make_deterministic", lambda: calls.append("deterministic"))
    with monkeypatch.context() as during:
        during.setattr(builtins, "__import__", note_unsloth)
        session.get_ready(replace(PLAN, **plan))
    assert calls == order
    assert capsys.readouterr().out == ""


def test_rows_are_tokenised_by_the_models_own_tokenizer(pretended, monkeypatch):
    monkeypatch.setattr(session.models, "tokenizer", lambda source: f"tokenizer of {source}")
    monkeypatch.setattr(session.models, "resolve", lambda spec: spec.name)
    monkeypatch.setattr(session.preparing, "prepare", lambda *given: Prepared(["a row"], ["asked"], given, None))
    monkeypatch.setattr(session.baseline, "questions", lambda *given: given)
    tokenizer = f"tokenizer of {LOADED.recipe.model.name}"
    assert session.prepare(LOADED, PLAN, "rows") == (
        ["a row"],
        ["asked"],
        (LOADED, "rows", tokenizer),
        None,
        (LOADED, ["a row"], ["asked"], tokenizer),
        {},
    )


@pytest.mark.parametrize(("longest", "tokens"), [(100, 256), (244, 256), (300, 312)])
def test_a_model_has_room_for_the_longest_question(longest, tokens):
    asked = [SimpleNamespace(tokens=SimpleNamespace(prompt_ids=[0] * size)) for size in (9, longest)]
    assert session.room(LOADED, Prepared([], [], {}, None, asked)).max_tokens == tokens
    other = Also(LOADED, asked, None)
    assert session.room(LOADED, Prepared([], [], {}, None, also={"other": other})).max_tokens == tokens
    assert session.room(LOADED, None) == LOADED.recipe.model
