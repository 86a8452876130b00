"""`method: grpo`: real training on the CPU, the data's filters, and the guides' own length filter."""

import json
import shutil

import pytest
from conftest import ROOT, SHARED

from hft.data import prepare, rows
from hft.data.rows import Sample
from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.train.methods import grpo

SHORT = ("--max-steps", "3", "--save-every", "1", "--set", "evaluate.rows=8", "--set", "grpo.keep_completions=2")
MATHS = SHARED / "math"


def newest(folder):
    return max(folder.glob("runs/grpo_quickstart/2*"))


def adapter(run):
    return json.loads((run / "passport.json").read_text())["artefacts"]["adapter/adapter_model.safetensors"]


@pytest.mark.slow
def test_a_training_goes_on_after_a_kill_to_the_same_adapter(shell, tmp_path):
    done = shell("train", "grpo_quickstart", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    first = newest(tmp_path)
    passport = json.loads((first / "passport.json").read_text())
    arguments = passport["training"]["arguments"]
    assert arguments["num_generations"] == {"value": 4, "origin": "recipe"}
    assert arguments["epsilon_high"] == {"value": 0.2, "origin": "recipe"}
    assert arguments["use_vllm"] == {"value": False, "origin": "plan"}
    metrics = [json.loads(line) for line in (first / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert {
        "reward",
        "reward_std",
        "rewards/right/mean",
        "rewards/one_word/std",
        "completions/mean_length",
        "completions/clipped_ratio",
        "frac_reward_zero_std",
        "tokens",
        "seconds",
    } <= metrics[0].keys()
    kept = [json.loads(line) for line in (first / "completions.jsonl").read_text().splitlines()]
    assert [one["step"] for one in kept] == [0] * 4 + [2] * 4
    assert set(kept[0]["rewards"]) == {"one_word", "right"}
    assert set(passport["evaluation"]["adapter"]["rewards"]) == {"one_word", "right"}
    assert "mean reward, not x 100" in done.stdout

    # Killed after its first step: a new process makes steps 2 and 3 again, to the same bytes.
    weights = adapter(first)
    (first / "passport.json").unlink()
    shutil.rmtree(first / "adapter")
    for path in (first / "checkpoints" / "checkpoint-2", first / "checkpoints" / "checkpoint-3"):
        shutil.rmtree(path)
    done = shell("train", "grpo_quickstart", *SHORT, "--resume")
    assert "Going on after step 1" in done.stdout, done.stdout + done.stderr
    assert adapter(first) == weights


def sample(tokens):
    return Sample(str(tokens), {}, "?", ["1"], type("Tokens", (), {"prompt_ids": [0] * tokens}))


def test_long_prompts_are_dropped_at_the_quantile_and_counted():
    """int(quantile) as the guides take it: of 1 to 11 tokens 0.9 is exactly 10."""
    count = {}
    kept = prepare.short_prompts([sample(n) for n in range(1, 12)], 0.9, count)
    assert [len(one.tokens.prompt_ids) for one in kept] == list(range(1, 11))
    assert count == {"prompt over 10 tokens": -1}


@pytest.fixture
def dapo(monkeypatch, tmp_path):
    """grpo_indonesian on a local file of DAPO's rows."""
    if not MATHS.exists():
        pytest.skip("the mathematics rows are not there")
    text = (ROOT / "recipes" / "grpo_indonesian.yaml").read_text(encoding="utf-8")
    start, end = text.index("    source: hub"), text.index("  held_out:")

    def load(file):
        folder = tmp_path / "recipes"
        folder.mkdir(exist_ok=True)
        (folder / "grpo_indonesian.py").write_text(
            (ROOT / "recipes" / "grpo_indonesian.py").read_text(encoding="utf-8")
        )
        told = f"    source: jsonl\n    file: {file}\n  held_out: 0.2\n"
        (folder / "grpo_indonesian.yaml").write_text(
            text[:start] + told + text[end:].split("\n", 1)[1], encoding="utf-8"
        )
        monkeypatch.setenv("HFT_RECIPES", str(folder))
        monkeypatch.setenv("HFT_DATA", str(MATHS))
        return recipe_file.load("grpo_indonesian")

    return load


@pytest.mark.parametrize(
    ("file", "count", "first"),
    [
        ("dapo_processed_en.13.jsonl", 13, "34"),
        ("aime2024_dapo_raw.15.jsonl", 15, None),
        ("aime2024_dapo_raw.15.parquet", 15, None),
    ],
)
def test_both_forms_of_dapo_are_read(dapo, file, count, first):
    read = rows.read(dapo(file))
    assert read.counts["train"]["read"] == count
    assert all(one.prompt[0]["role"] == "system" and isinstance(one.prompt[1]["content"], str) for one in read.train)
    assert all(one.answers[0].strip() for one in read.train)
    assert first in (None, read.train[0].answers[0])


@pytest.mark.parametrize(
    ("file", "count", "kept"), [("dapo_processed_en.13.jsonl", 13, 11), ("aime2024_dapo_raw.15.parquet", 15, 13)]
)
def test_the_guides_length_filter_on_real_prompts(dapo, file, count, kept):
    """By words here, which every machine counts alike; the recipe counts the model's own tokens."""
    read = rows.read(dapo(file))
    lengths = [len(one.prompt[1]["content"].split()) for one in read.train]
    assert (len(lengths), len(prepare.short_prompts([sample(n) for n in lengths], 0.9, {}))) == (count, kept)


def test_stop_tokens_are_single_tokens_of_the_model():
    def tokenizer(text, add_special_tokens):
        return {"input_ids": [ord(c) for c in text]}

    assert grpo.stop_tokens(tokenizer, [".", "!"]) == [46, 33]
    with pytest.raises(HftError, match=r"grpo.stop: '\.\.' is 2 tokens of this model"):
        grpo.stop_tokens(tokenizer, ["..", "!"])


def test_gsm8k_answers_are_the_numbers_behind_the_hashes():
    from hft.recipe import beside

    form = beside.load("grpo_gsm8k.py:problem", ROOT / "recipes")
    assert form({"question": "q", "answer": "6 * 7 = <<6*7=42>>42\n#### 1,042"}, "told")[1] == "1,042"
