"""Answers by vLLM beside the model: how it is asked, and which adapter it is given; vLLM itself is only pretended."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

PROMPTS = [[5, 7], [5, 5, 8], [9]]
TOKENIZER = SimpleNamespace(eos_token_id=2)


class LoRARequest(NamedTuple):
    """vLLM's, with its fields in their order."""

    lora_name: str
    lora_int_id: int
    lora_path: str


@pytest.fixture
def generation(monkeypatch):
    """hft.model.generate as a new process has it, its adapters not yet numbered, beside a pretended vLLM."""
    request = SimpleNamespace(LoRARequest=LoRARequest)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=lambda **values: values))
    monkeypatch.setitem(sys.modules, "vllm.lora", SimpleNamespace(request=request))
    monkeypatch.setitem(sys.modules, "vllm.lora.request", request)
    spec = importlib.util.find_spec("hft.model.generate")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layer(trained, disabled=False):
    """A layer with an adapter, whose B is 0 until it is trained."""
    return SimpleNamespace(
        disable_adapters=disabled, lora_B={"default": SimpleNamespace(weight=SimpleNamespace(any=lambda: trained))}
    )


class Model:
    """A model beside vLLM; `asked` holds what vLLM was asked, `saved` the folders that the adapter was saved in."""

    def __init__(self, *layers):
        self.layers, self.asked, self.saved = [SimpleNamespace(), *layers], [], []
        self.generation_config = SimpleNamespace(eos_token_id=[9, 2])
        self.vllm_engine = SimpleNamespace(generate=self.answer)

    def modules(self):
        return iter(self.layers)

    def save_lora(self, folder):
        self.saved.append(folder)
        Path(folder, "adapter_model.safetensors").write_text("weights")

    def answer(self, prompts, how, lora_request, use_tqdm):
        self.asked.append((prompts, how, lora_request, use_tqdm))
        if lora_request:
            assert Path(lora_request.lora_path, "adapter_model.safetensors").read_text() == "weights"
        texts = [f" \n{'+'.join(map(str, prompt['prompt_token_ids']))} \n" for prompt in prompts]
        return [SimpleNamespace(outputs=[SimpleNamespace(text=text)]) for text in texts]


@pytest.mark.parametrize(
    ("drawn", "temperature", "top_p", "seeds"),
    [(None, 0.0, 1.0, [None, None, None]), ((0.7, 0.9, 40), 0.7, 0.9, [40, 41, 42])],
    ids=["greedy", "drawn"],
)
def test_every_prompt_is_asked_at_once_and_answered_in_order(generation, capsys, drawn, temperature, top_p, seeds):
    model = Model()
    drawn = drawn and generation.Sampling(*drawn)
    assert generation.by_vllm(model, TOKENIZER, PROMPTS, 30, "asking", drawn) == ["5+7", "5+5+8", "9"]
    assert capsys.readouterr().out == "asking: 3 by vLLM\n"
    same = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": 0,
        "min_p": 0.0,
        "max_tokens": 30,
        "stop_token_ids": [2, 9],
        "stop": None,
        "skip_special_tokens": True,
    }
    how = [{**same, "seed": seed} for seed in seeds]
    assert model.asked == [([{"prompt_token_ids": ids} for ids in PROMPTS], how, None, False)]


@pytest.mark.parametrize(("configured", "stops"), [(None, [2]), (2, [2]), (9, [2, 9]), ([9, 1], [1, 2, 9])])
def test_an_answer_ends_at_the_tokens_of_tokenizer_and_model(generation, configured, stops):
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=configured))
    assert generation.stop_ids(model, TOKENIZER) == stops


@pytest.mark.parametrize(
    "layers",
    [[], [layer(trained=False)], [layer(trained=True, disabled=True)]],
    ids=["without an adapter", "B is 0", "switched off"],
)
def test_an_adapter_that_says_nothing_is_not_given(generation, layers):
    model = Model(*layers)
    generation.by_vllm(model, TOKENIZER, PROMPTS, 30, "asking")
    assert model.asked[0][2] is None
    assert model.saved == []


def test_each_state_of_the_adapter_has_a_number_of_its_own(generation):
    model = Model(layer(trained=False), layer(trained=True))
    generation.by_vllm(model, TOKENIZER, PROMPTS, 30, "asking")
    generation.by_vllm(Model(), TOKENIZER, PROMPTS, 30, "asking")  # takes no number
    generation.by_vllm(model, TOKENIZER, PROMPTS, 30, "asking")
    first, second = model.saved
    assert [asked[2] for asked in model.asked] == [("adapter-1001", 1001, first), ("adapter-1002", 1002, second)]
    assert not Path(first).exists()
    assert not Path(second).exists()
