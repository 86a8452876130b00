"""A place where recipes are trained without a model: hft's own code around a backend and a trainer that only pretend.

The pretended model says one thing to every question: what its weights, a text, say. To train it is to let it say the
answer of its first row. Nothing of torch, transformers, TRL or PEFT is loaded; an import of them fails.
"""

import itertools
import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import yaml
from characters import Characters
from several import with_gpus

from hft import check, files, libraries, pipeline
from hft.data import order, rows
from hft.export import gguf, llamacpp
from hft.model import base as models
from hft.model import lora, merge
from hft.model.backends import plain
from hft.plan.plan import Plan
from hft.plan.wishes import Wishes
from hft.recipe.schema import Lora
from hft.runs import folder as runs
from hft.runs import passport, stages
from hft.train import session
from hft.train.methods import sft
from hft.train.trainer import OutOfMemory
from hft.train.watcher import Metrics
from hft.train.workers import launch

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "unsloth", "bitsandbytes", "huggingface_hub")
PLAIN = Wishes(backend="plain")
VERSIONS = {"python": "3.11.0", "torch": "2.0", "trl": "1.0"}
TRAINED = "adapter_model.safetensors"


class Tokenizer(Characters):
    """Characters that can be read again and kept in a folder."""

    def decode(self, ids):
        return "".join(map(chr, ids))

    def save_pretrained(self, folder):
        (folder / "tokenizer.json").write_text("{}")


class Model:
    """A model that says what its weights say, or its adapter where it has one."""

    def __init__(self, weights):
        self.weights, self.adapter = weights, None
        self.generation_config = SimpleNamespace(eos_token_id=Tokenizer.eos_token_id)

    @property
    def says(self):
        return self.weights if self.adapter in (None, "") else self.adapter

    def learn(self, answer):
        if self.adapter is None:
            self.weights = answer
        else:
            self.adapter = answer

    def named_modules(self):
        return [(f"layers.0.{name}", SimpleNamespace(weight=0)) for name in Lora().targets]

    @contextmanager
    def disable_adapter(self):
        adapter, self.adapter = self.adapter, ""
        yield
        self.adapter = adapter

    def save_pretrained(self, folder):
        if self.adapter is None:
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_text(self.weights)
        else:
            files.write_json(folder / "adapter_config.json", {"target_modules": ["v_proj", "q_proj"]})
            (folder / TRAINED).write_text(self.adapter)


class Lab:
    """A folder with recipes, their data and runs; what is called there is kept in `calls`, in its order."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.recipes, self.calls = folder, folder / "recipes", []
        self.too_large = ()  # ways of checkpointing whose plans do not fit the card
        self.stop_at = None  # the step after which a Ctrl-C comes
        self.first_loss = 4.0
        self.forgets = ()  # folders of exports that say nothing
        self.recipes.mkdir()
        Model("?").save_pretrained(self.new(folder / "base"))
        monkeypatch.setenv("HFT_RECIPES", "recipes")
        monkeypatch.setenv("HFT_BACKEND", "plain")
        for name in HEAVY:
            monkeypatch.setitem(sys.modules, name, None)
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PET_NNODES"):
            monkeypatch.delenv(name, raising=False)
        with_gpus(monkeypatch, 0)
        self.pretend(monkeypatch)

    def pretend(self, monkeypatch):
        """Put what pretends in the place of what loads, trains, converts and counts seconds."""
        seconds, stamps = itertools.count(), itertools.count()
        places = {
            (libraries, "quiet"): lambda: None,
            (libraries, "hush"): lambda: None,
            (session, "get_ready"): lambda plan: None,
            (session, "free_memory"): lambda: self.calls.append("free"),
            (models, "tokenizer"): lambda source: Tokenizer(),
            (models, "parameters"): lambda source: 1000,
            (plain, "load"): self.load,
            (plain, "add_lora"): self.add_lora,
            (plain, "generate"): self.generate,
            (lora, "load"): self.load_adapter,
            (merge, "merge"): self.merge,
            (sft, "train"): self.train_model,
            (launch, "fit"): self.work,
            (llamacpp, "home"): lambda: self.calls.append("llama.cpp"),
            (gguf, "convert"): lambda folder, target: shutil.copy(folder / "model.safetensors", target),
            (gguf, "convert_adapter"): lambda adapter, base, target: shutil.copy(adapter / TRAINED, target),
            (gguf, "quantize"): lambda source, target, kind: target.write_text(f"{source.read_text()}{kind}"),
            (gguf, "check_tokenizer"): lambda path, tokenizer: None,
            (gguf, "ask"): self.ask_file,
            (passport, "libraries"): lambda: VERSIONS,
            (pipeline, "time"): SimpleNamespace(monotonic=lambda: next(seconds)),
            (runs, "time"): SimpleNamespace(
                strftime=lambda form, when: f"20261122T{next(stamps):06}", gmtime=lambda: None
            ),
        }
        for (module, name), pretended in places.items():
            monkeypatch.setattr(module, name, pretended)

    @staticmethod
    def new(folder):
        folder.mkdir()
        return folder

    def write(self, name="one", parent=None, trained="Lena", checked=True, **more):
        """Write a recipe with its rows, all four of one answer, and two questions of which that answers one."""
        model = {"quantization": "none", "max_tokens": 64}
        start = {"parent": parent, "model": model} if parent else {"model": {"name": "base", "revision": "1", **model}}
        values = {
            "method": "sft",
            **start,
            "data": {side: {"source": "jsonl", "file": f"{name}.{side}.jsonl"} for side in ("train", "evaluate")},
            "prompt": {"format": "question"},
            "train": {"batch_size": 2, "steps": 4, "learning_rate": 1.0e-3},
            **more,
        }
        (self.recipes / f"{name}.yaml").write_text(yaml.safe_dump(values))
        for side, answers in (("train", [trained] * 4), ("evaluate", [trained, "Ida"])):
            given = [
                {"id": f"{side}{n}", "context": "", "question": f"{side} {n}?", "answer": answer}
                for n, answer in enumerate(answers)
            ]
            files.write_jsonl(self.recipes / f"{name}.{side}.jsonl", given)
        return check.load(name) if checked else None

    def train(self, name="one", wishes=PLAIN, **options):
        """Train a recipe; returns its run folder."""
        return pipeline.train(check.load(name), wishes, **options)

    def load(self, spec, plan, rank=16):
        self.calls.append(f"load {spec.name}")
        return Model(Path(spec.name, "model.safetensors").read_text()), Tokenizer()

    def add_lora(self, model, spec, plan, seed):
        model.adapter = ""
        return model

    def load_adapter(self, model, adapter):
        self.calls.append(f"adapter {adapter}")
        model.adapter = (adapter / TRAINED).read_text()

    def generate(self, model, tokenizer, prompts, max_new_tokens, plan, what, drawn=None, one_line=False):
        self.calls.append(what)
        return [model.says[:max_new_tokens]] * len(prompts)

    def ask_file(self, path, prompts, chats, max_new_tokens, max_tokens, adapter=None):
        self.calls.append(f"ask {(adapter or path).name}")
        return [(adapter or path).read_text()[:4]] * len(prompts)

    def merge(self, spec, trained, plan, target):
        self.calls.append(f"merge {trained}")
        model = Model(Path(spec.name, "model.safetensors").read_text())
        if trained:
            model.weights = (trained / TRAINED).read_text()
        with files.new_folder(target) as draft:
            Model("" if target.name in self.forgets else model.weights).save_pretrained(draft)

    def train_model(self, model, tokenizer, samples, recipe, plan, run, stop_after=None):
        """Go on from the last step in metrics.jsonl, as from a checkpoint."""
        steps = order.steps(recipe, len(samples))
        last = min(stop_after or steps, steps)
        metrics = Metrics(run / "metrics.jsonl", [8] * steps)
        done = len(metrics.take_up(steps))
        self.calls.append(f"train from step {done + 1}")
        for step in range(done + 1, last + 1):
            if step > 2 and plan.checkpointing in self.too_large:
                raise OutOfMemory
            metrics.add(step, {"loss": self.first_loss / step}, 0.5)
            if step == self.stop_at:
                raise KeyboardInterrupt
        model.learn(samples[0].answers[0])
        return {
            "arguments": {},
            "steps": last,
            "of_steps": steps,
            "losses": metrics.losses,
            "first_step_seconds": 0.5,
            "peak_gib": None,
        }

    def work(self, run, count, device, max_steps):
        """What the first of `count` workers does."""
        self.calls.append(f"{count} workers on {device}")
        loaded, plan = stages.of_recipe(run), Plan(**json.loads((run / "plan.json").read_text()))
        opened = session.open_model(loaded, plan, session.prepare(loaded, plan, rows.read(loaded)), run)
        return session.fit(run, opened, max_steps)
