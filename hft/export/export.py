"""Export a finished adapter: as a GGUF, merged in 16 or 4 bits, merged as GGUF; each is asked the same questions."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hft import files, machine
from hft.data.rows import Sample
from hft.errors import HftError
from hft.evaluate import ask as asking
from hft.evaluate import scores
from hft.evaluate.table import table
from hft.export import gguf, llamacpp
from hft.model import base as models
from hft.model import merge
from hft.model.backends import plain
from hft.plan.plan import Plan
from hft.recipe.file import Loaded
from hft.recipe.schema import GGUF_TYPES
from hft.runs import folder as runs
from hft.runs import passport, stages
from hft.terminal import say

# Per weight, for the disk check.
BITS = {
    "f16": 16,
    "bf16": 16,
    "q8_0": 8.5,
    "q6_k": 6.6,
    "q5_k_m": 5.7,
    "q5_k_s": 5.6,
    "q4_k_m": 4.9,
    "q4_k_s": 4.6,
    "q4_0": 4.6,
    "q3_k_m": 4,
    "q2_k": 3.3,
    "merged_4bit": 5,
}


def export(run: Path, loaded: Loaded, plan: Plan, samples: list[Sample], formats: list[str]) -> list[Path]:
    """Make every format, ask it, and compare it with what was trained; returns the files and folders.

    Raises HftError with the table when one loses more exact match than the recipe allows.
    """
    get_ready(run, loaded, formats)
    made = []
    try:
        for kind in formats:
            say(f"Exporting {kind} ...")
            target = make(run, loaded, plan, kind)
            made.append(target)
            if samples and kind != "adapter":
                answers = ask(target, kind, loaded, plan, samples)
                tokenizer = models.tokenizer(models.resolve(loaded.recipe.model))
                scores.keep(run, target.name, asking.records(loaded, samples, answers, tokenizer))
    finally:
        for between in (wide(run, loaded), base(run, loaded)):
            between.unlink(missing_ok=True)
    compare(run, loaded, made)
    return made


def export_and_record(run: Path, loaded: Loaded, plan: Plan, samples: list, formats: list[str]) -> None:
    """Export, and bring the passport up to date also when an export loses too much."""
    try:
        made = export(run, loaded, plan, samples, formats)
    finally:
        passport.update_artefacts(run)
    for path in made:
        size = sum(p.stat().st_size for p in ([path] if path.is_file() else path.iterdir())) / 1e6
        say(f"{path}  {size:,.0f} MB")


def trained(run: Path) -> Path:
    """The trained weights of a run: its adapter, or the whole model after full fine-tuning."""
    return run / "adapter" if (run / "adapter").exists() else run / "model"


def path_of(run: Path, loaded: Loaded, kind: str) -> Path:
    """Where a run keeps a format."""
    if kind == "adapter":
        return trained(run)
    if kind == "adapter_gguf":
        return run / f"{loaded.name}-adapter.gguf"
    return run / kind if kind.startswith("merged") else run / f"{loaded.name}-{kind}.gguf"


def finished(run: Path, loaded: Loaded, kind: str) -> bool:
    """True when a format was made, asked what is held out, and entered in the passport.

    A kill may come between any two of them.
    """
    path, facts = path_of(run, loaded, kind), runs.finished_passport(run)
    asked = kind == "adapter" or not facts["evaluation"] or path.name in facts["evaluation"]
    made = any(name == path.name or name.startswith(f"{path.name}/") for name in facts["artefacts"])
    return path.exists() and asked and made


def wide(run: Path, loaded: Loaded) -> Path:
    """The 16-bit GGUF that the smaller ones are made from; removed at the end."""
    return run / f".{loaded.name}-wide.gguf"


def base(run: Path, loaded: Loaded) -> Path:
    """The 16-bit GGUF of the base model, which a GGUF of the adapter is asked on; removed at the end."""
    return run / f".{loaded.name}-base.gguf"


def make(run: Path, loaded: Loaded, plan: Plan, kind: str) -> Path:
    """Make one format; returns its file or folder."""
    spec, merged, target = loaded.recipe.model, run / "merged", path_of(run, loaded, kind)
    if kind == "adapter":
        return target
    if kind == "adapter_gguf":
        make_adapter(run, loaded, plan, target)
        return target
    if not (merged / "config.json").exists():
        say("Writing the 16-bit model: the adapter merged into the weights it was trained on ...")
        merge.merge(spec, trained(run), plan, merged)
    if kind == "merged":
        return merged
    if kind == "merged_4bit":
        model, tokenizer = plain.load(models.at(spec, merged, "nf4"), plan)
        merge.save(model, tokenizer, target)
        return target
    if not wide(run, loaded).exists():
        gguf.convert(merged, wide(run, loaded))
    gguf.quantize(wide(run, loaded), target, kind)
    gguf.check_tokenizer(target, models.tokenizer(models.resolve(stages.first(run).recipe.model)))
    return target


def make_adapter(run: Path, loaded: Loaded, plan: Plan, target: Path) -> None:
    """The adapter alone for llama.cpp's --lora, and the base to ask it on: the very weights it was trained on."""
    say("Writing the base model as it was trained on, to ask the adapter on it ...")
    with tempfile.TemporaryDirectory(dir=run, prefix=".base.") as scratch:
        folder = Path(scratch) / "base"
        merge.merge(loaded.recipe.model, None, plan, folder)
        gguf.convert(folder, base(run, loaded))
        gguf.convert_adapter(run / "adapter", folder, target)


def ask(target: Path, kind: str, loaded: Loaded, plan: Plan, samples: list[Sample]) -> list[str]:
    """The export's own answers to the held-out questions."""
    limit = loaded.recipe.evaluate.max_new_tokens
    if target.suffix == ".gguf":
        chats = [not isinstance(one.prompt, str) for one in samples]
        tokens, room = [one.tokens for one in samples], loaded.recipe.model.max_tokens
        if kind == "adapter_gguf":
            return gguf.ask(base(target.parent, loaded), tokens, chats, limit, room, target)
        return gguf.ask(target, tokens, chats, limit, room)
    size = sum(path.stat().st_size for path in target.iterdir()) / 2**30
    if plan.device == "cuda" and 1.2 * size > machine.cards()[0].memory:
        say(f"{target.name} is too large for the card: asking it on the CPU, which takes its time")
        plan = replace(plan, device="cpu")
    model, tokenizer = plain.load(models.at(loaded.recipe.model, target, "none"), plan)
    return plain.generate(
        model, tokenizer, [one.tokens.prompt_ids for one in samples], limit, plan, f"asking {target.name}"
    )


def compare(run: Path, loaded: Loaded, made: list[Path]) -> None:
    """Print the table; raise HftError when an export answers clearly worse than what was trained."""
    asked = scores.of_run(run)
    if not asked:
        return
    names, allowed = {*scores.FIRST, *(path.name for path in made)}, loaded.recipe.export.max_drop
    shown = {name: column for name, column in asked.items() if name in names}
    told = table(shown)
    what, before = scores.headline(asked["adapter"] if "adapter" in asked else asked["model"])
    drops = {name: before.mean - scores.headline(column)[1].mean for name, column in shown.items()}
    if worse := [name for name, drop in drops.items() if name not in scores.FIRST and drop > allowed]:
        raise HftError(
            f"{', '.join(worse)} loses more than {allowed:g} points of '{what}':\n{told}",
            "take a wider type (q5_k_m, q8_0), or allow it: hft export RUN --format ... --max-drop 20",
        )
    say(told)


def get_ready(run: Path, loaded: Loaded, formats: list[str]) -> None:
    """Before any work: enough disk, and llama.cpp built where a GGUF is wanted. Raises HftError."""
    if formats:
        need_disk(run, loaded, formats)
    if "adapter_gguf" in formats and not loaded.recipe.lora:
        raise HftError(
            f"recipe {loaded.name} trains all weights: there is no adapter to export", "take a GGUF type such as q4_k_m"
        )
    if any(kind in (*GGUF_TYPES, "adapter_gguf") for kind in formats):
        llamacpp.home()


def need_disk(run: Path, loaded: Loaded, formats: list[str]) -> None:
    """Raise HftError before any work when the exports will not fit on the disk."""
    weights = models.parameters(models.resolve(loaded.recipe.model))
    bits = sum(BITS.get(kind, 0) for kind in formats)
    if any(not kind.startswith("adapter") for kind in formats) and not (run / "merged").exists():
        bits += 16
    if "adapter_gguf" in formats:
        bits += 32  # the base as a folder and as a GGUF
    if any(kind in GGUF_TYPES for kind in formats):
        bits += 16  # the wide GGUF in between
    files.need_space(run, 1.05 * bits * weights / 8 / 2**30, f"exporting {', '.join(formats)}")
