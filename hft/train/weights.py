"""What training leaves in a run folder: the adapter, or the whole model, with its tokenizer."""

import json
import shutil
from pathlib import Path
from typing import Any

from hft import files
from hft.plan.plan import Plan
from hft.train import checkpoints


def save(run: Path, name: str, model: Any, tokenizer: Any, plan: Plan) -> None:
    """Write the trained weights as the run's folder `name`, in one step; what was made of other weights before goes."""
    with files.new_folder(run / name) as draft:
        if plan.sharded:  # this process holds a part of them; the last checkpoint was written by all together
            whole = checkpoints.newest(run / "checkpoints")
            assert whole, "a sharded training ends with a checkpoint"
            for file in ("adapter_config.json", "adapter_model.safetensors"):
                shutil.copy(whole / file, draft)
        else:
            model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        tidy(draft)
        if stale(draft, run / name):
            for old in (*run.glob(f"answers/{name}*.jsonl"), *run.glob("*.gguf"), *run.glob("merged*")):
                shutil.rmtree(old) if old.is_dir() else old.unlink()


def stale(new: Path, old: Path) -> bool:
    """True when other weights stand where the new ones go: what was asked or made of them is void."""
    return old.exists() and any(
        files.sha256(path) != files.sha256(old / path.name) for path in new.glob("*.safetensors")
    )


def tidy(adapter: Path) -> None:
    """Sort what PEFT writes in the order of a set."""
    config = adapter / "adapter_config.json"
    if config.exists():
        facts = json.loads(config.read_text(encoding="utf-8"))
        facts["target_modules"] = sorted(facts["target_modules"])
        files.write_json(config, facts)
