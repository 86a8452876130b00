"""Each reach into a library's insides is still needed, and still fits: read in the installed source, not imported."""

import ast
import importlib.util
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from hft.model import patches

FIT = "a library changed what hft/model/ reaches into: read its docstring there (patches.py), and mend or remove it"


def source(package, path):
    """The text of an installed library's file; skips the test where the library is not installed."""
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    return (Path(found.origin).parent / path).read_text(encoding="utf-8")


def part(text, *names):
    """The source of a function or class by its name, of a method by that of its class too; fails where it is gone."""
    node = ast.parse(text)
    for name in names:
        inside = [child for child in ast.walk(node) if getattr(child, "name", None) == name]
        assert inside, f"no {name}: {FIT}"
        node = inside[0]
    return ast.unparse(node)


def functions():
    tree = ast.parse((ROOT / "hft" / "model" / "patches.py").read_text(encoding="utf-8"))
    return {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_patch_says_what_it_was_needed_with_and_until_when():
    told = {name: text for name, text in functions().items() if name != "within_rows"}  # a part of keep_apart
    assert len(told) == 13
    locked = "".join((ROOT / "requirements" / f"{name}.lock").read_text() for name in ("cpu", "cuda"))
    for name, text in told.items():
        assert re.search(r"^Needed with: ", text, re.MULTILINE), name
        assert re.search(r"^Upstream: https://", text, re.MULTILINE), name
        assert re.search(r"^Until: ", text, re.MULTILINE), name
        libraries = re.findall(r"(\w+) (\d[\d.]+)", text.partition("Needed with: ")[2].partition("Upstream:")[0])
        assert libraries, name
        for library, _ in libraries:
            assert re.search(rf"^{library.replace('_', '[-_]')}==", locked, re.MULTILINE), (name, library)


def test_bitsandbytes_still_packs_4_bits_and_does_not_unpack_them_to_train():
    forward = part(source("bitsandbytes", "nn/modules.py"), "Linear4bit", "forward")
    assert "self.support_avx512bf16_for_cpu" in forward, FIT
    assert "_convert_weight_packed_for_cpu(" in forward, FIT
    assert "_convert_weight_packed_for_cpu_inverse(" not in forward, "keep_trainable_layout is no longer needed"


def test_trl_still_has_no_loss_head_without_triton():
    text = source("trl", "trainer/utils.py")
    missing = "_ChunkedLogProbFunction = None"
    assert missing in text, "cpu_loss_head is no longer needed, or TRL renamed what it replaces"
    [call] = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_ChunkedLogProbFunction.apply"
    ]
    assert len(call.args) == 9, FIT  # hidden, weight, bias, labels, temperature, chunk, softcap, scale, outputs


def test_grpo_still_ends_completions_at_the_models_own_tokens_alone():
    assert "self.eos_token_ids = eos_token_ids" in source("trl", "trainer/grpo_trainer.py"), FIT
    assert "eos_token_id" not in source("trl", "trainer/grpo_config.py"), "end_at is no longer needed"


def test_grpo_still_renders_prompts_by_the_template_alone():
    written = source("trl", "trainer/grpo_trainer.py")
    assert "def _tokenize_prompts(self, prompts: list)" in written, FIT
    assert "prompt_ids, images, multimodal_fields = self._tokenize_prompts(prompts)" in written, FIT


def test_unsloth_still_switches_padding_free_off():
    assert re.search(
        r'if blocked:.{0,200}setattr\(config_arg, "padding_free", False\)',
        source("unsloth", "trainer.py"),
        re.DOTALL,
    ), "join_rows is no longer needed: SFTConfig(padding_free=True) would do"


def test_unsloth_still_replaces_the_config_classes():
    assert "class Unsloth{RLConfig_name}({RLConfig_name}):" in source("unsloth", "models/rl.py"), (
        "trl_class is no longer needed"
    )


def test_unsloth_still_takes_standby_and_sharding_from_the_environment():
    assert 'os.getenv("UNSLOTH_VLLM_STANDBY"' in source("unsloth_zoo", "vllm_utils.py"), FIT
    assert 'os.getenv("UNSLOTH_VLLM_STANDBY_UTIL_OVERRIDE"' in source("unsloth_zoo", "vllm_utils.py"), FIT
    assert '_env_flag("UNSLOTH_FSDP2")' in source("unsloth", "fsdp2_launch.py"), FIT
    assert 'os.environ.get("UNSLOTH_FSDP2_LAYOUT"' in source("unsloth", "models/fsdp2_perf.py"), FIT
    assert 'os.environ.get("UNSLOTH_FSDP2_SHARDED_LOAD"' in source("unsloth", "models/fsdp2_load.py"), FIT


def test_unsloths_choice_of_attention_still_overlooks_determinism():
    chooses = part(source("unsloth", "utils/attention_dispatch.py"), "select_attention_backend")
    assert {"HAS_XFORMERS", "HAS_FLASH_ATTENTION"} <= set(re.findall(r"\w+", chooses)), FIT
    assert "deterministic" not in chooses, "deterministic_attention is no longer needed"


def test_unsloth_still_leaves_rows_end_to_end_to_xformers_with_our_torch():
    text = source("unsloth", "utils/attention_dispatch.py")
    assert ast.unparse(ast.parse(part(text, "run_attention")).body[0].args).startswith("*, config: "), FIT
    context = part(text, "AttentionContext")
    for field in ("seq_info", "sliding_window", "attention_mask"):
        assert f"{field}:" in context, FIT
    assert "def enable_padding_free_metadata(model, trainer):" in source("unsloth", "utils/packing.py"), FIT
    assert "A = run_attention(" in source("unsloth", "models/llama.py"), FIT
    [torch] = re.findall(r"^torch==(\d+)\.(\d+)", (ROOT / "requirements" / "cuda.lock").read_text(), re.MULTILINE)
    assert tuple(map(int, torch)) < (2, 12), "keep_apart: Unsloth may take torch's own kernel now: measure, then remove"


def test_unsloth_still_has_vllm_beside_the_model_and_saves_its_adapter():
    loads, llama = source("unsloth", "models/loader.py"), source("unsloth", "models/llama.py")
    loads = part(loads, "FastLanguageModel", "from_pretrained")
    taken = {argument.arg for argument in ast.parse(loads).body[0].args.args}
    assert {"fast_inference", "gpu_memory_utilization", "max_lora_rank"} <= taken, FIT
    assert "since vLLM loads weights from the default branch" in loads, "unsloth.load needs models.local no longer"
    assert "unsloth_vllm_standby=False" in part(llama, "FastLlamaModel", "from_pretrained"), FIT
    assert "model.vllm_engine = llm" in llama, FIT
    assert "model.save_lora = functools.partial(save_lora, model)" in source("unsloth", "models/_utils.py"), FIT
    assert "def save_lora(model, save_directory, " in source("unsloth_zoo", "vllm_utils.py"), FIT
    assert "def disable_adapters(self) -> bool:" in source("peft", "tuners/tuners_utils.py"), FIT
    assert "self.lora_B = nn.ModuleDict(" in source("peft", "tuners/lora/layer.py"), FIT


def test_accelerate_still_numbers_the_cpus_and_transformers_still_loads_to_them():
    assert "self.device = torch.device(device, device_index)" in part(source("accelerate", "state.py"), "set_device"), (
        "name_the_cpu is no longer needed"
    )
    trainer = source("transformers", "trainer.py")
    assert 'map_location = self.args.device if self.args.world_size > 1 else "cpu"' in trainer, (
        "name_the_cpu is no longer needed"
    )
    assert "@cached_property\n    def _setup_devices" in source("transformers", "training_args.py"), FIT


@pytest.mark.parametrize(
    ("inside", "public", "arguments"),
    [
        ("_load_from_checkpoint", "load_from_checkpoint", ["self", "resume_from_checkpoint", "model"]),
        ("_save_checkpoint", "save_checkpoint", ["self", "model", "trial"]),
    ],
)
def test_the_trainer_still_loads_and_saves_checkpoints_by_itself_alone(inside, public, arguments):
    text = source("transformers", "trainer.py")
    signature = ast.parse(part(text, "Trainer", inside)).body[0].args
    assert [argument.arg for argument in signature.args] == arguments, FIT
    assert f"def {public}(" not in text, f"the Trainer has {public} now: use it instead of {inside}"


class Layer:
    support_avx512bf16_for_cpu = True


def test_4_bit_layers_keep_their_layout():
    layer, other = Layer(), SimpleNamespace()
    patches.keep_trainable_layout(SimpleNamespace(modules=lambda: [layer, other]))
    assert layer.support_avx512bf16_for_cpu is False
    assert vars(other) == {}


@pytest.fixture
def environment(monkeypatch):
    """An environment to change, without Unsloth's variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNSLOTH_", "LOCAL_RANK"))}
    monkeypatch.setattr(os, "environ", kept)
    return kept


@pytest.mark.parametrize(
    ("plan", "worker", "variables"),
    [
        ({}, True, {}),
        ({"standby": True}, False, {"UNSLOTH_VLLM_STANDBY": "1", "UNSLOTH_VLLM_STANDBY_UTIL_OVERRIDE": "1"}),
        ({"sharded": True}, False, {}),
        (
            {"sharded": True},
            True,
            {"UNSLOTH_FSDP2": "1", "UNSLOTH_FSDP2_LAYOUT": "sharded", "UNSLOTH_FSDP2_SHARDED_LOAD": "1"},
        ),
    ],
)
def test_what_unsloth_reads_when_it_is_imported(environment, plan, worker, variables):
    plan = SimpleNamespace(**{"standby": False, "sharded": False, **plan})
    if worker:
        environment["LOCAL_RANK"] = "0"
    patches.prepare_unsloth(plan)
    patches.load_a_part(SimpleNamespace(quantization="none"), plan)
    assert {name: value for name, value in environment.items() if name.startswith("UNSLOTH_")} == variables


def test_a_worker_reads_4_bit_weights_whole(environment):
    environment["LOCAL_RANK"] = "0"
    patches.load_a_part(SimpleNamespace(quantization="nf4"), SimpleNamespace(sharded=True))
    assert "UNSLOTH_FSDP2_SHARDED_LOAD" not in environment


@pytest.mark.parametrize(("device", "deterministic"), [("cpu", True), ("cuda", False)])
def test_attention_is_left_alone_where_nothing_is_to_repeat_on_a_gpu(device, deterministic):
    plan = SimpleNamespace(device=device, deterministic=deterministic)
    assert patches.deterministic_attention(plan) is None  # and imports nothing: Unsloth would take ten seconds


def test_trainers_load_and_save_by_their_own_methods():
    calls = []
    trainer = SimpleNamespace(
        model="model",
        state=SimpleNamespace(global_step=0),
        _load_from_checkpoint=lambda path: calls.append(("load", path)),
        _save_checkpoint=lambda model, trial: calls.append(("save", model, trial)),
    )
    patches.load_trained(trainer, Path("checkpoint-7"), 7)
    patches.save_now(trainer)
    assert calls == [("load", "checkpoint-7"), ("save", "model", None)]
    assert trainer.state.global_step == 7


@pytest.mark.slow  # torch alone takes four seconds to import
@pytest.mark.parametrize(
    ("rows", "window", "kind", "mask", "size", "ours"),
    [
        (True, None, "bfloat16", None, 16, True),
        (True, 8, "bfloat16", None, 16, True),
        (False, None, "bfloat16", None, 16, False),
        (True, 4, "bfloat16", None, 16, False),
        (True, None, "float32", None, 16, False),
        (True, None, "bfloat16", "mask", 16, False),
        (True, None, "bfloat16", None, 20, False),
        (True, None, "bfloat16", None, 264, False),
    ],
)
def test_rows_end_to_end_take_torchs_attention_where_it_can(rows, window, kind, mask, size, ours):
    """On torch's meta device: shapes alone; tests/test_gpu.py compares the numbers."""
    import torch

    query, key, value = (
        torch.empty(1, heads, 12, size, dtype=getattr(torch, kind), device="meta") for heads in (4, 2, 2)
    )
    starts = torch.empty(3, dtype=torch.int32, device="meta")
    context = SimpleNamespace(seq_info=rows and (None, starts, 8), sliding_window=window, attention_mask=mask)
    attended = patches.within_rows(lambda **_: "Unsloth's")(config=None, context=context, Q=query, K=key, V=value)
    assert tuple(attended.shape) == (1, 12, 4, size) if ours else attended == "Unsloth's"
