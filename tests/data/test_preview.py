"""`hft prepare NAME --out FILE`: the source's rows as they are."""

import json

import pytest

RECIPE = """method: sft
model: {name: m, revision: r, max_tokens: 9}
prompt: {format: question}
data: {train: {source: mixture, parts: [{source: jsonl, file: a.jsonl, first: 2}, {source: jsonl, file: b.jsonl}]}}
train: {batch_size: 1, steps: 1, learning_rate: 1.0e-4}
"""


@pytest.fixture
def prepare(invoke, tmp_path):
    def call(a, b, out):
        (tmp_path / "mine.yaml").write_text(RECIPE, encoding="utf-8")
        for name, rows in (("a", a), ("b", b)):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return invoke("prepare", "mine", "--out", str(tmp_path / out), HFT_RECIPES=str(tmp_path))

    return call


def test_rows_are_written_as_they_are(prepare, tmp_path):
    result = prepare([{"ko": "가", "en": 'a, "b"'}] * 3, [{"ko": "", "en": "c"}], "out.csv")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == 'ko,en\n가,"a, ""b"""\n가,"a, ""b"""\n,c\n'


def test_rows_of_several_forms_go_into_jsonl_only(prepare, tmp_path):
    rows = [[{"a": 1}], [{"b": [2]}]]
    result = prepare(*rows, "out.csv")
    assert result.exit_code == 1
    assert "row 2 has the columns b, the first one a\n  Fix: write --out rows.jsonl instead" in result.output
    assert not list(tmp_path.glob("*out.csv*"))  # nothing is left of a failed one
    assert prepare(*rows, "out.jsonl").exit_code == 0
    assert (tmp_path / "out.jsonl").read_text() == '{"a": 1}\n{"b": [2]}\n'


def test_another_kind_of_file_is_refused(prepare):
    result = prepare([], [], "out.xlsx")
    assert (result.exit_code, "out.xlsx: write .csv or .jsonl" in result.output) == (1, True)
