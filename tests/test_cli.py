"""The command line as users meet it: help with examples, light imports, errors with a remedy, exit codes."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT, SHARED

from hft.cli import cli

COMMANDS = [
    "list",
    "check",
    "show",
    "pin",
    "plan",
    "prepare",
    "train",
    "evaluate",
    "export",
    "push",
    "generate",
    "rewards",
    "codeio",
    "runs",
    "compare",
    "verify",
    "bless",
    "bench",
    "lineage",
    "image",
    "cache",
]
HEAVY = {"torch", "transformers", "datasets", "numpy", "trl", "peft", "unsloth"}


def test_the_commands_are_these():
    assert list(cli.commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(invoke, command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"Example: hft {command}" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["list"],
        ["check", "korquad_qlora"],
        ["show", "quickstart"],
        ["plan", "quickstart"],
        ["runs"],
        ["cache"],
        ["train", "nothing"],
        ["export", "nothing", "--format", "f16"],
    ],
    ids=lambda w: " ".join(w),
)
def test_looking_imports_nothing_heavy(tmp_path, words):
    call = f"try: cli({words})\nexcept SystemExit: pass"
    code = f"import sys\nfrom hft.cli import cli\n{call}\nprint('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = done.stdout.rpartition("loaded ")[2].split()
    assert "hft.cli" in loaded
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "nothing"], 1, "no recipe 'nothing'"),
        (["train"], 2, "Which recipe? For example: hft train quickstart"),
        (["train", "quickstart", "--max-steps", "0"], 2, "0 is not in the range x>=1"),
        (
            ["train", "quickstart", "--backend", "megatron"],
            1,
            "--backend: 'megatron' is not known\n  Fix: choose one of: plain, unsloth",
        ),
        (
            ["train", "quickstart", "--rows-per-device", "3"],
            1,
            "3 rows per device do not divide the recipe's batch_size 8\n  Fix: choose one of: 1, 2, 4, 8",
        ),
        (["export", "quickstart", "--format", "q4_k"], 1, "unknown format 'q4_k'; did you mean 'q4_k_s'?"),
        (
            ["export", "quickstart", "--format", "f16"],
            1,
            "recipe quickstart has no finished run in runs\n  Fix: make train RECIPE=quickstart",
        ),
        (["evaluate", "quickstrat"], 1, "'quickstrat' is neither a run folder nor a recipe"),
        (["generate", "quickstart", "--prompt", "x"], 1, "recipe quickstart has no finished run"),
        (
            ["check", "quickstart", "--set", "steps"],
            1,
            "--set steps: write it as section.key=value, for example --set train.steps=10",
        ),
    ],
)
def test_an_error_names_the_remedy(invoke, words, code, said):
    result = invoke(*words)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "Traceback" not in result.output


def test_dry_run_writes_nothing(invoke, tmp_path):
    result = invoke("train", "quickstart", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "Rows: train: read 640, kept 640; evaluate: read 160, not sampled -80, kept 80" in result.output
    assert "Steps: 48 of 8 rows" in result.output
    assert list(tmp_path.iterdir()) == []


def test_show_names_the_origin_of_every_value(invoke):
    output = invoke("show", "quickstart", "--set", "train.steps=3").output
    rows = {line.split()[0]: line for line in output.splitlines()}
    assert "--set train.steps=3" in rows["train.steps"]
    assert "quickstart.yaml:" in rows["lora.rank"]
    assert "default" in rows["train.weight_decay"]
    assert "rows per optimizer step" in rows["train.batch_size"]


def test_runs_without_any_says_how_to_start(invoke):
    assert invoke("runs").output == "No runs in runs yet. Start with: make train RECIPE=quickstart\n"


def test_a_prediction_file_is_scored_without_a_model(invoke, tmp_path):
    rows = [
        json.loads(line)
        for line in (ROOT / "recipes" / "quickstart" / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    answers = {row["id"]: row["answer"] for row in rows}
    right = next(iter(answers))
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers, ensure_ascii=False), encoding="utf-8")
    assert (
        "\nexact match          100.0 [97.7, 100.0]"
        in invoke("evaluate", "quickstart", "--predictions", str(path)).output
    )
    path.write_text(json.dumps({right: "nonsense"}))
    output = invoke("evaluate", "quickstart", "--predictions", str(path)).output
    assert "\nexact match          0.0 [0.0, 2.3]" in output
    assert f"{len(rows) - 1} of {len(rows)} answers are missing and count 0" in output
    path.write_text("[]")
    assert "holds a list, not an object" in invoke("evaluate", "quickstart", "--predictions", str(path)).output
    path.write_text('{"unknown": "x"}')
    assert (
        "none of its 1 ids is a question of this recipe"
        in invoke("evaluate", "quickstart", "--predictions", str(path)).output
    )


def test_korquad_predictions_are_scored_by_its_rules(invoke, tmp_path):
    if not (SHARED / "korquad").exists():
        pytest.skip("KorQuAD is not in the shared data folder (its licence forbids shipping it)")
    path = tmp_path / "answers.json"
    from hft.data.sources import korquad

    file = "KorQuAD_v1.0_dev.visible.json"
    rows = list(korquad.rows(korquad.Spec(source="korquad", file=file), SHARED / "korquad"))
    path.write_text(
        json.dumps({row["id"]: f"'{row['answer']}'." for row in rows}, ensure_ascii=False), encoding="utf-8"
    )
    settings = [f"data.train.file={file}", "data.held_out=0.99", "evaluate.rows=null"]
    output = invoke(
        "evaluate",
        "korquad_qlora",
        "--predictions",
        str(path),
        *(word for one in settings for word in ("--set", one)),
        HFT_DATA=str(SHARED / "korquad"),
    ).output
    assert "exact match" in output, output
    assert '{"exact_match": 100.0, "f1": 100.0}\n' in output
    assert "100.0 [99.9, 100.0]" in output
