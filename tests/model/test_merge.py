"""Merged weights answer as the adapter did, and stop where evaluation stopped; on a tiny Llama of our own."""

import json
from types import SimpleNamespace

import pytest

from hft.errors import HftError
from hft.machine import Machine
from hft.model import generate, merge
from hft.plan import plan as plans
from hft.recipe import file as recipe_file
from hft.recipe.schema import Model

END, TURN, PAD = 2, 5, 0  # the tokenizer's end token, another one that ends a turn, padding


class Saved:
    """What can be kept in a folder."""

    def __init__(self, file, **facts):
        self.file = file
        self.__dict__.update(facts)

    def save_pretrained(self, folder):
        kept = vars(self.generation_config) if self.file == "generation_config.json" else {}
        (folder / self.file).write_text(json.dumps(kept))


@pytest.mark.parametrize(("configured", "kept"), [([7, TURN], [END, TURN, 7]), (TURN, [END, TURN]), (None, END)])
def test_a_folder_says_all_tokens_that_ended_an_answer(tmp_path, configured, kept):
    settings = SimpleNamespace(eos_token_id=configured, pad_token_id=None)
    model = Saved("generation_config.json", generation_config=settings)
    merge.save(model, Saved("tokenizer.json", eos_token_id=END, pad_token_id=PAD), tmp_path / "merged")
    there = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert there == {"eos_token_id": kept, "pad_token_id": PAD}
    assert (tmp_path / "merged" / "tokenizer.json").exists()


def write(folder, tie):
    """A random model of two layers whose settings end answers with a token that is not the tokenizer's end."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    texts = ["<pad>", "<s>", "</s>", "<unk>", "a", "<turn>", *map(str, range(26))]
    words = Tokenizer(models.WordLevel({text: number for number, text in enumerate(texts)}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="<pad>").save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    made = LlamaForCausalLM(LlamaConfig(vocab_size=32, tie_word_embeddings=tie, **sizes))
    made.generation_config.eos_token_id = TURN
    made.save_pretrained(folder)
    return Model(name=str(folder), revision="none", quantization="none", max_tokens=16)


def adapter(spec, target, folder):
    """The logits of the model with an adapter of random weights on one layer, which is kept in `folder`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(2)
    made = get_peft_model(
        AutoModelForCausalLM.from_pretrained(spec.name), LoraConfig(target_modules=[target], task_type="CAUSAL_LM")
    )
    for name, parameter in made.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    return logits(made)


def logits(model):
    import torch

    with torch.no_grad():
        return model.eval()(torch.arange(16)[None]).logits.float()


def merged(spec, trained, target):
    from transformers import AutoModelForCausalLM

    plan = plans.make(recipe_file.load("quickstart").recipe, Machine([], 2, 8.0, "a CPU"))
    merge.merge(spec, trained, plan, target)
    return AutoModelForCausalLM.from_pretrained(target)


@pytest.mark.slow  # imports torch
def test_a_merged_model_answers_as_with_its_adapter_and_stops_where_that_stopped(tmp_path):
    from hft.model import base as models

    spec = write(tmp_path / "base", tie=True)
    trained = adapter(spec, "q_proj", tmp_path / "adapter")
    whole = merged(spec, tmp_path / "adapter", tmp_path / "merged")
    assert (logits(whole) - trained).abs().max() < 0.05  # bfloat16
    there = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert (there["eos_token_id"], there["pad_token_id"]) == ([END, TURN], PAD)
    assert generate.stop_ids(whole, models.tokenizer(models.resolve(spec))) == [END, TURN]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`", "ignore:Setting `save_embedding")
@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_a_tied_layer_is_not_merged_because_its_adapter_would_act_twice(tmp_path, monkeypatch, target):
    spec = write(tmp_path / "base", tie=True)
    trained = adapter(spec, target, tmp_path / "adapter")
    with pytest.raises(HftError, match=f"are one matrix, which an adapter on {target} changes at one end"):
        merged(spec, tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    monkeypatch.setattr(merge.lora, "check_tied", lambda model, targets: None)
    wrong = merged(spec, tmp_path / "adapter", tmp_path / "merged")
    assert (logits(wrong) - trained).abs().max() > 1, "merging it is right by now: check_tied is no longer needed"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Setting `save_embedding")
def test_an_output_layer_of_its_own_is_merged(tmp_path):
    spec = write(tmp_path / "base", tie=False)
    trained = adapter(spec, "lm_head", tmp_path / "adapter")
    assert (logits(merged(spec, tmp_path / "adapter", tmp_path / "merged")) - trained).abs().max() < 0.2  # bfloat16
