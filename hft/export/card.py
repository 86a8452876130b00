"""The model card of a published run, written from its passport."""

import importlib.metadata
from typing import Any

import yaml

from hft import redact
from hft.data import formats, sources
from hft.errors import HftError
from hft.evaluate import scores
from hft.evaluate.table import table as table_of
from hft.model import packaged
from hft.recipe.file import Loaded
from hft.recipe.schema import Model
from hft.recipe.sources import parts

UNKNOWN = "not stated: find out before you publish"


def write(
    loaded: Loaded, base: Model, passport: dict[str, Any], repo: str, kinds: list[str], licences: dict[str, str]
) -> str:
    """README.md of a repository that holds these formats.

    base: the first model of the chain
    licences: the Hub's, by the name of a model or a data set
    """
    told, libraries = passport["recipe"], sorted(passport["libraries"].items())
    changed = f", with {', '.join(f'`--set {setting}`' for setting in told['overrides'])}" if told["overrides"] else ""
    lines = [
        "---",
        yaml.safe_dump(header(loaded, base, kinds, licences), sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# {repo.rpartition('/')[2]}",
        "",
        f"{base.name}, fine-tuned by [hft] with the recipe `{loaded.name}` ({', '.join(kinds)}).",
        "",
        "## Made from",
        "",
        *made_from(loaded, passport, base, licences),
        "",
        "## Evaluation",
        "",
        *table(passport, kinds),
        "",
        "## Use",
        "",
        *use(loaded, repo, base, kinds),
        "",
        "## Recipe",
        "",
        f"Digest `{told['digest']}`, {passport['training']['steps']} steps. "
        f"The same recipe and libraries give the same model{changed}:",
        "",
        "```yaml",
        told["text"].strip(),
        "```",
        "",
        f"Libraries: {', '.join(f'{name} {version}' for name, version in libraries if version)}.",
        "",
        "[hft]: fine-tuning from named recipes",
        "",
    ]
    return redact.text("\n".join(lines))


def header(loaded: Loaded, base: Model, kinds: list[str], licences: dict[str, str]) -> dict[str, Any]:
    """The YAML that the Hub reads."""
    licence = licences.get(base.name) or package_licence(base.name)
    known = {"license": licence.lower()} if licence else {"license": "other", "license_name": "unknown"}
    start = {}
    if ":" not in base.name:
        relation = "adapter" if "adapter" in kinds else "finetune" if kinds == ["merged"] else "quantized"
        start = {"base_model": base.name, "base_model_relation": relation}
    sets = [part.name for part in parts(loaded.recipe.data.train) if part.source == "hub"]
    return {
        **known,
        **start,
        **({"datasets": sets} if sets else {}),
        "library_name": {"adapter": "peft", "merged": "transformers"}.get(kinds[0], "gguf"),
        "pipeline_tag": "text-generation",
        "tags": ["hft"],
    }


def made_from(loaded: Loaded, passport: dict[str, Any], base: Model, licences: dict[str, str]) -> list[str]:
    """Base model, stages and data, each with its licence."""
    commit = passport["model"]["commit"] or base.revision
    licence = licences.get(base.name) or package_licence(base.name) or UNKNOWN
    lines = [f"- Base model: {base.name} at {commit}{how_stored(passport, base)}; licence: {licence}"]
    if parent := passport.get("parent"):
        lines.append(f"- Stage before: `{parent['recipe']}`, weights {parent['weights'][:12]}")
    for part in parts(loaded.recipe.data.train):
        licence = sources.module(part).LICENCE or licences.get(getattr(part, "name", "")) or UNKNOWN
        lines.append(f"- Data: {sources.locate(part)}; licence: {licence}")
    counted = passport["data"]["rows"].get("train", {})
    return [*lines, f"- Rows trained on: {counted.get('kept', '?')}"]


def how_stored(passport: dict[str, Any], base: Model) -> str:
    """What the base was before it became 16 bits, where it came as a GGUF file; of a stage the file itself says it."""
    stored = passport["model"].get("stored")
    if not stored and base.name.startswith("pypi:"):
        try:
            stored = packaged.stored(packaged.gguf_in_package(base.name.removeprefix("pypi:"), base.revision))
        except HftError:  # the package is not on the machine that publishes
            stored = None
    return f", stored as {stored}" if stored else ""


def package_licence(name: str) -> str | None:
    """The licence of a model inside a Python package."""
    if not name.startswith("pypi:"):
        return None
    try:
        about = importlib.metadata.metadata(name.removeprefix("pypi:"))
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((about[field] for field in ("License-Expression", "License") if field in about), None)


def table(passport: dict[str, Any], kinds: list[str]) -> list[str]:
    """The scores of the base, the trained model, and the published formats."""
    asked = passport["evaluation"]
    if not asked:
        return ["Not evaluated: the recipe has no held-out rows."]
    shown = {
        name: scores.of_json(column)
        for name, column in asked.items()
        if scores.apart(name)[0] in scores.FIRST
        or any(kind == name or name.endswith(f"-{kind}.gguf") for kind in kinds)
    }
    return block("", table_of(shown))


def use(loaded: Loaded, repo: str, base: Model, kinds: list[str]) -> list[str]:
    """How to run each format, and the prompt that the model was trained on."""
    ggufs = [kind for kind in kinds if kind not in ("adapter", "merged", "merged_4bit", "adapter_gguf")]
    lines: list[str] = []
    if "adapter" in kinds and loaded.recipe.lora:
        loading = f'model = AutoPeftModelForCausalLM.from_pretrained("{repo}")   # the tokenizer is there too'
        lora = f"--enable-lora --max-lora-rank {loaded.recipe.lora.rank} --lora-modules tuned={repo}"
        lines += [*block("python", "from peft import AutoPeftModelForCausalLM", "", loading), ""]
        lines += block("bash", f"vllm serve {base.name} {lora}")
    if "merged" in kinds or "merged_4bit" in kinds:
        making = f'pipeline("text-generation", "{repo}")'
        lines += [*block("python", "from transformers import pipeline", "", making), ""]
        lines += block("bash", f"vllm serve {repo}")
    if ggufs:
        place = f"{repo}:{ggufs[0].upper()}"
        lines += block("bash", f"llama-server -hf {place}   # llama.cpp", f"ollama run hf.co/{place}")
    if "adapter_gguf" in kinds:
        lines += block("bash", f"llama-server --model BASE.gguf --lora {loaded.name}-adapter.gguf   # llama.cpp")
    return [*lines, "", "The prompt that it was trained on:", "", *block("", prompt(loaded))]


def block(language: str, *lines: str) -> list[str]:
    """Lines of Markdown that are shown as they are."""
    return [f"```{language}", *lines, "```"]


def prompt(loaded: Loaded) -> str:
    """The recipe's prompt with placeholders; a chat as its turns."""
    written = parts(loaded.recipe.data.train)[0].format or loaded.recipe.prompt.format
    try:
        made = formats.form(written, loaded.code)(
            formats.asked("QUESTION", "CONTEXT"), loaded.recipe.prompt.instruction
        )[0]
    except Exception:  # a format beside the recipe may raise anything for placeholders
        return f"(made by {written})"
    return made if isinstance(made, str) else "\n".join(f"{turn['role']}: {turn['content']}" for turn in made)
