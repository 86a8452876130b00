"""The model card of a published run, written from its passport."""

import importlib.metadata

import yaml

from hft import redact
from hft.data import formats, sources
from hft.errors import HftError
from hft.evaluate import scores as evaluate
from hft.recipe.file import Loaded
from hft.recipe.sources import parts

KORQUAD = "CC BY-ND 2.0 KR"
AIHUB = "AI Hub's terms of use: the texts may not be passed on"
UNKNOWN = "not stated: find out before you publish"


def write(loaded: Loaded, base, passport: dict, repo: str, kinds: list[str], licences: dict[str, str]) -> str:
    """README.md of a repository that holds these formats; `base` is the first model of the chain, `licences` are the Hub's by name."""
    overrides = passport["recipe"]["overrides"]
    changed = f", with {', '.join(f'`--set {one}`' for one in overrides)}" if overrides else ""
    return redact.text(
        "\n".join(
            [
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
                *scores(passport, kinds),
                "",
                "## Use",
                "",
                *use(loaded, repo, base, kinds),
                "",
                "## Recipe",
                "",
                f"Digest `{passport['recipe']['digest']}`, {passport['training']['steps']} steps. The same recipe and libraries "
                f"give the same model{changed}:",
                "",
                "```yaml",
                passport["recipe"]["text"].strip(),
                "```",
                "",
                f"Libraries: {', '.join(f'{name} {version}' for name, version in sorted(passport['libraries'].items()) if version)}.",
                "",
                "[hft]: fine-tuning from named recipes",
                "",
            ]
        )
    )


def header(loaded: Loaded, base, kinds: list[str], licences: dict[str, str]) -> dict:
    """The YAML that the Hub reads."""
    licence = licences.get(base.name) or package_licence(base.name)
    found = {"license": licence.lower() if licence else "other", **({} if licence else {"license_name": "unknown"})}
    if ":" not in base.name:
        relation = "adapter" if "adapter" in kinds else "finetune" if kinds == ["merged"] else "quantized"
        found |= {"base_model": base.name, "base_model_relation": relation}
    sets = [part.name for part in parts(loaded.recipe.data.train) if part.source == "hub"]
    library = {"adapter": "peft", "merged": "transformers"}.get(kinds[0], "gguf")
    return {
        **found,
        **({"datasets": sets} if sets else {}),
        "library_name": library,
        "pipeline_tag": "text-generation",
        "tags": ["hft"],
    }


def made_from(loaded: Loaded, passport: dict, base, licences: dict[str, str]) -> list[str]:
    """Base model, stages and data, each with its licence."""
    commit = passport["model"]["commit"] or base.revision
    said = [
        f"- Base model: {base.name} at {commit}; licence: {licences.get(base.name) or package_licence(base.name) or UNKNOWN}"
    ]
    if parent := passport.get("parent"):
        said.append(f"- Stage before: `{parent['recipe']}`, weights {parent['weights'][:12]}")
    for part in parts(loaded.recipe.data.train):
        licence = (
            {"korquad": KORQUAD, "aihub": AIHUB}.get(part.source) or licences.get(getattr(part, "name", "")) or UNKNOWN
        )
        said.append(f"- Data: {sources.locate(part)}; licence: {licence}")
    counted = passport["data"]["rows"].get("train", {})
    return [*said, f"- Rows trained on: {counted.get('kept', '?')}"]


def package_licence(name: str) -> str | None:
    """The licence of a model inside a Python package."""
    if not name.startswith("pypi:"):
        return None
    try:
        about = importlib.metadata.metadata(name.removeprefix("pypi:"))
    except importlib.metadata.PackageNotFoundError:
        return None
    return about.get("License-Expression") or about.get("License")


def scores(passport: dict, kinds: list[str]) -> list[str]:
    """The table of the evaluation: base, trained, and the published formats."""
    asked = passport["evaluation"]
    if not asked:
        return ["Not evaluated: the recipe has no held-out rows."]
    wanted = [
        name
        for name in asked
        if name in evaluate.FIRST or any(kind == name or name.endswith(f"-{kind}.gguf") for kind in kinds)
    ]
    return ["```", evaluate.table({name: asked[name] for name in wanted}), "```"]


def use(loaded: Loaded, repo: str, base, kinds: list[str]) -> list[str]:
    """How to run each format, and the prompt that the model was trained on."""
    said, gguf = (
        [],
        next((kind for kind in kinds if kind not in ("adapter", "merged", "merged_4bit", "adapter_gguf")), None),
    )
    if "adapter" in kinds:
        rank = loaded.recipe.lora.rank
        said += [
            "```python",
            "from peft import AutoPeftModelForCausalLM",
            "",
            f'model = AutoPeftModelForCausalLM.from_pretrained("{repo}")   # the tokenizer is there too',
            "```",
            "",
            "```bash",
            f"vllm serve {base.name} --enable-lora --max-lora-rank {rank} --lora-modules tuned={repo}",
            "```",
        ]
    if "merged" in kinds or "merged_4bit" in kinds:
        said += [
            "```python",
            "from transformers import pipeline",
            "",
            f'pipeline("text-generation", "{repo}")',
            "```",
            "",
            "```bash",
            f"vllm serve {repo}",
            "```",
        ]
    if gguf:
        said += [
            "```bash",
            f"llama-server -hf {repo}:{gguf.upper()}   # llama.cpp",
            f"ollama run hf.co/{repo}:{gguf.upper()}",
            "```",
        ]
    if "adapter_gguf" in kinds:
        said += ["```bash", f"llama-server --model BASE.gguf --lora {loaded.name}-adapter.gguf   # llama.cpp", "```"]
    return [*said, "", "The prompt that it was trained on:", "", "```", prompt(loaded), "```"]


def prompt(loaded: Loaded) -> str:
    """The recipe's prompt with placeholders; a chat as its turns."""
    written = parts(loaded.recipe.data.train)[0].format or loaded.recipe.prompt.format
    try:
        made = formats.form(written, loaded.code)(
            formats.asked("QUESTION", "CONTEXT"), loaded.recipe.prompt.instruction
        )[0]
    except (HftError, KeyError, ValueError):
        return f"(made by {written})"
    return made if isinstance(made, str) else "\n".join(f"{turn['role']}: {turn['content']}" for turn in made)
