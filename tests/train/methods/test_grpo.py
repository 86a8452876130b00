"""`method: grpo`: real training on the CPU, the data's filters, and the guides' own length filter."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, SHARED

from hft.data import prepare, rows
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import grader, reasoning
from hft.recipe import beside
from hft.recipe import file as recipe_file
from hft.recipe.schema import Reward
from hft.train import draw
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
    assert arguments["vllm_importance_sampling_correction"] == {"value": True, "origin": "hft"}
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
    form = beside.load("grpo_gsm8k.py:problem", ROOT / "recipes")
    assert form({"question": "q", "answer": "6 * 7 = <<6*7=42>>42\n#### 1,042"}, "told")[1] == "1,042"


TAGS, RIGHT, WRONG = "<think>48 / 2 is 24.</think>", "48 / 2 = 24, and 48 + 24 = 72.", "48 / 2 is 24."
WORTH = {"": -5.0, WRONG: -3.0, TAGS + "24": 1.5, RIGHT: 2.0, TAGS + "72": 9.0}


def gsm8k(texts, rewards=None, name="grpo_gsm8k"):
    """The weighted sums of completions of a question whose answer is 72, as one group of the draw has them."""
    recipe = recipe_file.load(name).recipe
    recipe = recipe.model_copy(update={"rewards": rewards}) if rewards else recipe
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    told = {"prompts": ["?"] * len(texts), "answer": ["72"] * len(texts)}
    judges = grader.of(recipe, ROOT / "recipes")
    columns = [judge(completions=completions, **told) for judge in judges]
    return [{"group": 0, "sum": grader.weighted(recipe.rewards, scores)} for scores in zip(*columns, strict=True)]


def test_gsm8k_pays_for_what_a_model_can_already_half_do():
    sums = [record["sum"] for record in gsm8k(WORTH)]
    assert sums == list(WORTH.values())
    assert sums == sorted(sums)


def test_a_model_that_knows_half_of_gsm8k_without_tags_has_something_to_learn():
    half = [RIGHT, WRONG] * 4
    before = [Reward(name=name) for name in ("format_exact", "answer", "number")]
    assert {record["sum"] for record in gsm8k(half, before)} == {-7.0}, "what a real run of 25 steps had throughout"
    assert (draw.flat_groups(gsm8k(half, before)), draw.flat_groups(gsm8k(half))) == (1, 0)


INDONESIAN = "Pada bulan Mei ia menjual setengahnya, yaitu 48 / 2 = 24 klip. Jumlah seluruhnya 48 + 24 = 72 klip."
ENGLISH = "In May she sold half as many, which is 48 / 2 = 24 clips. Altogether she sold 48 + 24 = 72 clips."
PAID = {  # the tag that opens is in the prompt: prompt.prefill
    f"{INDONESIAN}</think>72": 14.0,
    f"{INDONESIAN}</think>Jadi jawabannya adalah 72.": 14.0,
    f"{INDONESIAN}</think>24": 6.5,
    f"{ENGLISH}</think>72": 6.0,
    f"Mari kita hitung bersama.</think>{ENGLISH}": 4.0,  # too short to be reasoning, which is behind the tag
    f"{INDONESIAN}</think>{ENGLISH}": 6.0,
    "Ya.</think>72": 4.0,
    "Ya. " * 40 + "</think>72": 4.0,
    "48 / 2 = 24, 48 + 24 = 72</think>72": 4.0,
    f"{ENGLISH}</think>24": -1.5,
    f"{INDONESIAN} 72": -3.0,
    "": -10.0,
}


def test_indonesian_pays_as_much_as_to_be_right_and_nothing_passes_for_it():
    records = gsm8k(PAID, name="grpo_indonesian_small")
    assert [record["sum"] for record in records] == list(PAID.values())


@pytest.mark.parametrize("said", ["1042", "1,042", "1.042", "Jawabannya 1.042 dolar."])
def test_indonesian_answers_are_read_as_either_language_writes_numbers(said):
    tags = reasoning.tags(recipe_file.load("grpo_indonesian_small").recipe)
    assert reasoning.measured(said, ["1,042"], tags, None, ())["right"] == 1.0


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """What drawn_train.py found, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HFT_")}
    script = ROOT / "tests" / "train" / "drawn_train.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("drawn"))],
        capture_output=True,
        text=True,
        timeout=600,
        env={**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_draw_changes_no_loss(real):
    drawn, not_drawn = real["losses"]["True"], real["losses"]["False"]
    assert drawn == not_drawn
    assert len(set(drawn)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chat", "chat_prefilled", "text", "text_prefilled", "tools"])
def test_the_trainer_generates_from_the_prompts_of_evaluation(real, name):
    """With what the model's turn begins with, and a row's tools."""
    evaluation, trainer = real["prompts"][name]
    assert trainer == evaluation
    assert len(trainer) == 8
    lengths = {name: len(prompts[0][0]) for name, prompts in real["prompts"].items()}
    if name.endswith("_prefilled"):
        assert lengths[name] == lengths[name.partition("_")[0]] + len("<think>\n")
    if name == "tools":
        assert len({len(ids) for ids in trainer}) > 2, "with tools and without"


@pytest.mark.slow
def test_rewards_that_never_differ_stop_a_training_before_its_first_step(real):
    code, said = real["said"]["chat_prefilled --anew"]
    assert code == 1
    assert "training (steps)" not in said
    assert (
        "Error: in 4 of 4 groups that were drawn before training all completions score alike: such groups teach "
        "nothing (grpo.max_flat: 0.8)\n"
        "completions:  mean    least   most\n"
        "fixed         -7.000  -7.000  -7.000\n"
        "sum           -7.000  -7.000  -7.000\n"
        '-7.000  "'
    ) in said
    assert said.endswith("or go on all the same; nothing is lost: hft train chat_prefilled --resume --anyway\n")
    for way, first in (("--anew --anyway", "new run"), ("--resume --anyway", "going on in")):
        code, said = real["said"][f"chat_prefilled {way}"]
        assert code == 0, said
        assert said.startswith(f"chat_prefilled: {first} ")
        assert "drawing before training" not in said
    assert real["rewards"]["chat_prefilled"] == [-7.0, -7.0]


@pytest.mark.slow
def test_a_training_whose_rewards_stop_to_differ_ends_with_a_checkpoint(real):
    code, said = real["said"]["dies --anew"]
    _, found, why = said.partition("Error: step 16: in 100% of the groups of the last 16 steps all completions score ")
    assert (code, bool(found)) == (1, True), said
    code, said = real["said"]["dies --resume"]
    assert (code, said.partition(found)[2]) == (1, why), "at once, without a model"
    assert "Loading" not in said
    code, said = real["said"]["dies --resume --anyway"]
    assert code == 0, said
    assert "\nGoing on after step 17 of 20.\n" in said
    assert real["rewards"]["dies"] == [0.0] * 20


def test_prompts_are_told_apart_by_what_is_in_them():
    """A table of rows fills gaps with nulls, and changes the order of nothing that counts."""
    row, table = (
        [{"role": "user", "tools": [{"a": 1}]}],
        [{"tools": [{"a": 1, "b": None}], "name": None, "role": "user"}],
    )
    assert grpo.text_of(row) == grpo.text_of(table) == '[{"role": "user", "tools": [{"a": 1}]}]'
    assert grpo.text_of("null") == '"null"'
