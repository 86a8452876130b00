"""What the backend asks of Unsloth, and the attention that is put into it; Unsloth and torch are only pretended."""

import os
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from hft.machine import Machine
from hft.model import patches
from hft.model.backends import unsloth as backend
from hft.model.base import Source
from hft.model.generate import Sampling
from hft.plan import plan as plans
from hft.recipe import file as recipe_file
from hft.recipe.schema import Lora, Model

SPEC = Model(name="someone/a-model", revision="0123abc", quantization="none", max_tokens=64)
CPU = Machine([], 8, 64.0, "a CPU")
PLAN = replace(plans.make(recipe_file.load("quickstart").recipe, CPU), backend="unsloth", deterministic=False)
BESIDE = {"generator": "vllm", "vllm_memory": 0.4, "standby": True}
LOADED = {
    "model_name": "someone/a-model",
    "revision": "0123abc",
    "max_seq_length": 64,
    "dtype": "torch's float32",
    "load_in_4bit": False,
    "use_exact_model_name": True,
    "use_gradient_checkpointing": False,
}


class Unsloth:
    """`calls` holds what was called, `seen` what Unsloth finds around it when it loads a model."""

    def __init__(self):
        self.calls = []
        self.tokenizer = SimpleNamespace(padding_side="right", pad_token=None, eos_token="</s>")
        self.attention = SimpleNamespace(HAS_XFORMERS=True, HAS_FLASH_ATTENTION=True)

    def from_pretrained(self, **given):
        self.calls.append(("load", given))
        self.seen = {**vars(self.attention), "in parts": os.environ.get("UNSLOTH_FSDP2_SHARDED_LOAD")}
        return "model", self.tokenizer

    def get_peft_model(self, model, **given):
        self.calls.append(("adapter", model, given))
        return "model with an adapter"

    def for_inference(self, model):
        self.calls.append(("for inference", model))
        self.tokenizer.padding_side = "left"

    def for_training(self, model, use_gradient_checkpointing):
        self.calls.append(("for training", model, use_gradient_checkpointing))
        self.tokenizer.padding_side = "right"

    def enable_padding_free_metadata(self, model, trainer):
        self.calls.append(("unpadded", model, trainer))


@pytest.fixture
def unsloth(monkeypatch):
    """Unsloth and torch, pretended, and an environment to change."""
    made = Unsloth()
    packing = SimpleNamespace(enable_padding_free_metadata=made.enable_padding_free_metadata)
    utils = SimpleNamespace(attention_dispatch=made.attention, packing=packing)
    pretended = {
        "unsloth": SimpleNamespace(FastLanguageModel=made, utils=utils),
        "unsloth.utils": utils,
        "unsloth.utils.packing": packing,
        "torch": SimpleNamespace(bfloat16="torch's bfloat16", float32="torch's float32"),
    }
    for name, module in pretended.items():
        monkeypatch.setitem(sys.modules, name, module)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNSLOTH_", "LOCAL_RANK"))}
    monkeypatch.setattr(os, "environ", kept)
    monkeypatch.setattr(backend.models, "local", lambda source: Source(f"folder of {'@'.join(source[:2])}", None))
    return made


@pytest.mark.parametrize(
    ("spec", "plan", "differs"),
    [
        ({}, {"weights": "fp32", "checkpointing": "none"}, {}),
        (
            {"quantization": "nf4"},
            {"weights": "bf16", "checkpointing": "offloaded"},
            {"load_in_4bit": True, "dtype": "torch's bfloat16", "use_gradient_checkpointing": "unsloth"},
        ),
        ({}, {"weights": "fp32", "checkpointing": "full"}, {"use_gradient_checkpointing": True}),
        (
            {},
            {"weights": "fp32", "checkpointing": "none", **BESIDE},
            {
                "model_name": "folder of someone/a-model@0123abc",
                "revision": None,
                "fast_inference": True,
                "max_lora_rank": 32,
                "gpu_memory_utilization": 0.4,
                "unsloth_vllm_standby": True,
            },
        ),
    ],
    ids=["as it is", "4 bits", "checkpointing", "beside vLLM"],
)
def test_a_model_is_loaded_as_recipe_and_plan_say(unsloth, spec, plan, differs):
    model, tokenizer = backend.load(SPEC.model_copy(update=spec), replace(PLAN, **plan), 32)
    assert unsloth.calls == [("load", {**LOADED, **differs})]
    assert model == "model"
    assert vars(tokenizer) == {"padding_side": "left", "pad_token": "</s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("device", "deterministic", "fast"),
    [("cuda", True, False), ("cuda", False, True), ("cpu", True, True)],
)
def test_a_training_to_repeat_on_a_gpu_has_torchs_attention(unsloth, device, deterministic, fast):
    backend.load(SPEC, replace(PLAN, device=device, deterministic=deterministic))
    assert unsloth.seen == {"HAS_XFORMERS": fast, "HAS_FLASH_ATTENTION": fast, "in parts": None}


def test_a_worker_that_shares_the_weights_loads_its_part(unsloth):
    os.environ["LOCAL_RANK"] = "0"
    backend.load(SPEC, replace(PLAN, sharded=True))
    assert unsloth.seen["in parts"] == "1"


def test_an_adapter_is_added_as_the_recipe_says_and_starts_as_ours_do(unsloth, monkeypatch):
    monkeypatch.setattr(backend.lora, "initialise", lambda *given: unsloth.calls.append(("initialise", *given)))
    spec = Lora(rank=8, alpha=24, dropout=0.1, targets=["q_proj", "v_proj"])
    model = backend.add_lora("model", spec, replace(PLAN, checkpointing="offloaded"), 7)
    given = {
        "r": 8,
        "lora_alpha": 24,
        "lora_dropout": 0.1,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
        "use_rslora": False,
        "init_lora_weights": True,
        "random_state": 7,
        "use_gradient_checkpointing": "unsloth",
    }
    assert unsloth.calls == [("adapter", "model", given), ("initialise", "model with an adapter", 7)]
    assert model == "model with an adapter"


ASKED = ([[5, 7], [9]], 30)
DRAWN = Sampling(0.7, 0.9, 40)


def test_beside_vllm_it_is_vllm_that_answers(unsloth, monkeypatch):
    monkeypatch.setattr(backend.generation, "by_vllm", lambda *given: given)
    given = backend.generate("model", unsloth.tokenizer, *ASKED, replace(PLAN, **BESIDE), "asking", DRAWN)
    assert given == ("model", unsloth.tokenizer, *ASKED, "asking", DRAWN, False)
    assert unsloth.calls == []


@pytest.mark.parametrize("fails", [False, True])
def test_without_vllm_the_model_answers_and_is_ready_to_train_again(unsloth, monkeypatch, fails):
    def answers(*given):
        unsloth.calls.append(("asked", *given))
        if fails:
            raise RuntimeError("out of memory")
        return ["a", "b"]

    monkeypatch.setattr(backend.generation, "answers", answers)
    plan = replace(PLAN, generator="transformers", checkpointing="full", generate_rows=4)
    if fails:
        with pytest.raises(RuntimeError, match="out of memory"):
            backend.generate("model", unsloth.tokenizer, *ASKED, plan, "asking", DRAWN)
    else:
        assert backend.generate("model", unsloth.tokenizer, *ASKED, plan, "asking", DRAWN) == ["a", "b"]
    assert unsloth.calls == [
        ("for inference", "model"),
        ("asked", "model", unsloth.tokenizer, *ASKED, 4, "asking", DRAWN, False),
        ("for training", "model", True),
    ]
    assert unsloth.tokenizer.padding_side == "left"


# patches.keep_apart


class Attention:
    """A layer's attention, of a module that `llama` pretends."""

    def forward(self):
        """Calls run_attention in its module."""


def stock(**given):
    """Unsloth's own attention."""
    return given


@pytest.fixture
def llama(unsloth, monkeypatch):
    """A pretended module of Unsloth's, which calls its `run_attention`."""
    module = ModuleType("unsloth.models.pretended")
    module.run_attention = stock
    monkeypatch.setattr(Attention.forward, "__module__", module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def trainer(monkeypatch, capability):
    """A trainer of a model on a GPU of this compute capability."""
    monkeypatch.setattr(
        sys.modules["torch"], "cuda", SimpleNamespace(get_device_capability=lambda: capability), raising=False
    )
    decoder = SimpleNamespace(embed_tokens="weights", layers=[SimpleNamespace(self_attn=Attention())])
    return SimpleNamespace(model=SimpleNamespace(modules=lambda: iter([SimpleNamespace(), decoder])))


@pytest.mark.parametrize("capability", [(8, 0), (12, 0)])
def test_attention_is_put_in_once(unsloth, llama, monkeypatch, capability):
    made = trainer(monkeypatch, capability)
    patches.keep_apart(made, PLAN)
    ours = llama.run_attention
    assert (ours is stock, ours.__module__) == (False, "hft.model.patches")
    patches.keep_apart(made, PLAN)
    assert llama.run_attention is ours
    assert unsloth.calls == [("unpadded", made.model, made)] * 2
    context, query = SimpleNamespace(seq_info=None, sliding_window=None), SimpleNamespace(shape=(1, 4, 12, 16), dtype=0)
    given = {"config": "config", "context": context, "Q": query, "K": "key", "V": "value"}
    assert ours(**given) == given  # rows that do not stand end to end stay Unsloth's


@pytest.mark.parametrize(("capability", "deterministic"), [((8, 0), True), ((7, 5), False)])
def test_attention_stays_unsloths(unsloth, llama, monkeypatch, capability, deterministic):
    made = trainer(monkeypatch, capability)
    patches.keep_apart(made, replace(PLAN, deterministic=deterministic))
    assert llama.run_attention is stock
    assert unsloth.calls == [("unpadded", made.model, made)]


def test_a_model_whose_attention_is_not_unsloths_is_left_alone(unsloth, llama, monkeypatch):
    del llama.run_attention
    made = trainer(monkeypatch, (9, 0))
    patches.keep_apart(made, PLAN)
    assert not hasattr(llama, "run_attention")
    assert unsloth.calls == [("unpadded", made.model, made)]
