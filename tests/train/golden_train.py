"""Five CPU steps of a tiny random model, through hft's own functions.

`python golden_train.py FOLDER METHOD BACKEND ...` prints `{"METHOD BACKEND": losses}` as its last line. One process a
backend: Unsloth changes TRL for good. The model is a seed, not a file: a Llama of two layers, and a tokenizer of
single characters.
"""

import json
import os
import sys
from pathlib import Path

RECIPE = {
    "model": {"revision": "none", "quantization": "none", "max_tokens": 96},
    "data": {"train": {"source": "jsonl", "file": "rows.jsonl"}},
    "prompt": {"format": "question"},
    "lora": {"rank": 4, "alpha": 8},
    "train": {"batch_size": 4, "steps": 5, "learning_rate": 5e-3, "schedule": "linear", "warmup": 0.2, "seed": 3407},
}
STOPS = list("aeiou 0123456789")  # completions of many lengths: else the losses of GRPO are all 0
METHODS = {
    "sft": {},
    "grpo": {
        "grpo": {"generations": 2, "completion_tokens": 12, "stop": STOPS, "beta": 0.1},
        "rewards": ["golden_grpo.py:early_letters"],
    },
}
REWARD = '''
def early_letters(completions, **columns):
    """How early in ASCII a completion's characters are, from 0 to 1."""
    return [1 - sum(map(ord, text)) / 127 / max(1, len(text)) for text in completions]
'''
CITIES = ("Oslo", "Lima", "Rome", "Bern", "Riga", "Cairo", "Quito", "Seoul", "Paris", "Tunis", "Accra", "Hanoi")


def write_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    characters = ["<pad>", "<s>", "</s>", "<unk>", "\n", *map(chr, range(32, 127))]
    words = Tokenizer(models.WordLevel({text: number for number, text in enumerate(characters)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    words.decoder = decoders.Fuse()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=128, **names).save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def write_recipes(folder: Path) -> None:
    rows = [{"context": f"Ann is in {city}.", "question": "Where is Ann?", "answer": city} for city in CITIES]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "golden_grpo.py").write_text(REWARD)
    for method, more in METHODS.items():
        told = {**RECIPE, **more, "description": "golden losses", "method": method}
        told["model"] = {**told["model"], "name": str(folder / "model")}
        (folder / f"golden_{method}.yaml").write_text(json.dumps(told))  # JSON is YAML


def losses(folder: Path, method: str, backend: str) -> list[float]:
    from hft import machine
    from hft.data import rows
    from hft.plan import plan as plans
    from hft.plan.wishes import Wishes
    from hft.recipe import file as recipe_file
    from hft.runs import folder as runs
    from hft.train import session

    loaded = recipe_file.load(f"golden_{method}")
    run = runs.start(loaded)
    plan = plans.make(loaded.recipe, machine.usable(), Wishes(device="cpu", backend=backend, processes="1"))
    session.get_ready(plan)  # Unsloth before transformers
    if not (folder / "model").exists():
        write_model(folder / "model")
    prepared = session.prepare(loaded, plan, rows.read(loaded))
    session.fit(run, session.open_model(loaded, plan, prepared), None)
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def main(folder: Path, asked: list[str]) -> dict[str, list[float]]:
    from hft import libraries

    os.environ.update(HFT_RECIPES=str(folder), HFT_RUNS=str(folder / "runs"), HFT_CACHE=str(folder / "cache"))
    libraries.quiet()
    write_recipes(folder)
    pairs = zip(asked[::2], asked[1::2], strict=True)
    return {f"{method} {backend}": losses(folder, method, backend) for method, backend in pairs}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))
