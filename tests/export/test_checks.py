"""What surrounds an export: the order of its work, what it may lose, and whether it is finished."""

from types import SimpleNamespace

import pytest

from hft import files
from hft.errors import HftError
from hft.evaluate import scores
from hft.export import export
from hft.recipe import file as recipe_file
from hft.runs import folder as runs


@pytest.fixture
def loaded():
    return recipe_file.load("quickstart", ("export.max_drop=5",))


def keep(run, column, right):
    """Answers to 20 questions, so many of them right."""
    hits = [float(number < right) for number in range(20)]
    scores.keep(run, column, [{"exact_match": hit, "f1": hit, "contains": hit} for hit in hits])


def test_an_export_may_lose_what_the_recipe_allows(tmp_path, loaded, capsys):
    for column, right in (("base", 2), ("adapter", 20), ("quickstart-q8_0.gguf", 19), ("quickstart-q2_k.gguf", 3)):
        keep(tmp_path, column, right)
    export.compare(tmp_path, loaded, [tmp_path / "quickstart-q8_0.gguf"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["base", "adapter", "quickstart-q8_0.gguf"]  # not one that was made before
    with pytest.raises(HftError) as error:
        export.compare(tmp_path, loaded, [tmp_path / "quickstart-q2_k.gguf"])
    assert error.value.problem.startswith(
        "quickstart-q2_k.gguf loses more than 5 points of 'exact match':\n20 held-out questions, "
    )
    assert "hft export RUN --format ... --max-drop 20" in error.value.message


def test_where_nothing_was_asked_nothing_is_compared(tmp_path, loaded, capsys):
    export.compare(tmp_path, loaded, [tmp_path / "quickstart-q8_0.gguf"])
    assert capsys.readouterr().out == ""


def test_each_format_is_made_asked_and_what_lay_between_removed(tmp_path, loaded, monkeypatch):
    done = []

    def make(run, loaded, plan, kind):
        export.wide(run, loaded).touch()
        done.append(f"make {kind}")
        return export.path_of(run, loaded, kind)

    def ask(target, kind, *more):
        done.append(f"ask {kind}")
        return ["answer"]

    monkeypatch.setattr(export, "get_ready", lambda run, loaded, formats: done.append("get ready"))
    monkeypatch.setattr(export, "make", make)
    monkeypatch.setattr(export, "ask", ask)
    monkeypatch.setattr(export.models, "resolve", lambda spec: spec)
    monkeypatch.setattr(export.models, "tokenizer", lambda source: None)
    monkeypatch.setattr(export.asking, "records", lambda *words: [{"exact_match": 1.0, "f1": 1.0, "contains": 1.0}])
    monkeypatch.setattr(export, "compare", lambda run, loaded, made: done.append(f"compare {len(made)}"))
    made = export.export(tmp_path, loaded, None, [SimpleNamespace()], ["adapter", "q8_0"])
    assert made == [tmp_path / "model", tmp_path / "quickstart-q8_0.gguf"]
    assert done == ["get ready", "make adapter", "make q8_0", "ask q8_0", "compare 2"]
    assert list(scores.kept(tmp_path)) == ["quickstart-q8_0.gguf"]
    assert not export.wide(tmp_path, loaded).exists()


@pytest.mark.parametrize(
    ("there", "asked", "entered", "finished"),
    [(True, True, True, True), (False, True, True, False), (True, False, True, False), (True, True, False, False)],
)
def test_a_kill_leaves_an_export_unfinished(tmp_path, loaded, there, asked, entered, finished):
    name = "quickstart-q8_0.gguf"
    facts = {
        "evaluation": {"adapter": {}, **({name: {}} if asked else {})},
        "artefacts": {name: "x"} if entered else {},
    }
    files.write_json(tmp_path / runs.PASSPORT, facts)
    if there:
        (tmp_path / name).touch()
    assert export.finished(tmp_path, loaded, "q8_0") is finished


def test_a_gguf_of_an_adapter_needs_an_adapter(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "need_disk", lambda *words: None)
    with pytest.raises(HftError, match="trains all weights: there is no adapter to export\n  Fix: take a GGUF type"):
        export.get_ready(tmp_path, recipe_file.load("quickstart", ("lora=null",)), ["adapter_gguf"])


def test_llama_cpp_is_there_before_any_work_that_needs_it(tmp_path, loaded, monkeypatch):
    built = []
    monkeypatch.setattr(export, "need_disk", lambda *words: None)
    monkeypatch.setattr(export.llamacpp, "home", lambda: built.append(True))
    for formats in ([], ["merged", "adapter"], ["merged", "q4_k_m"]):
        export.get_ready(tmp_path, loaded, formats)
    assert built == [True]
