"""Where a recipe's model is: a Hub name at its revision, a folder, or a GGUF file inside a Python package."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from hft import files
from hft.errors import HftError
from hft.model import packaged
from hft.recipe.schema import Model


class Source(NamedTuple):
    """What from_pretrained takes."""

    name: str
    revision: str | None
    gguf: Path | None = None  # the file that the folder `name` was converted from


def resolve(model: Model) -> Source:
    """Find the model; one from a package or a .gguf file is converted first, once."""
    if gguf := gguf_of(model):
        return Source(str(packaged.to_folder(gguf)), None, gguf)
    return Source(model.name, None if Path(model.name).is_dir() else model.revision)


def gguf_of(model: Model) -> Path | None:
    """The GGUF file that holds the model; None for one that is a folder or on the Hub. Raises HftError without it."""
    if model.name.startswith("pypi:"):
        return packaged.gguf_in_package(model.name.removeprefix("pypi:"), model.revision)
    if not model.name.endswith(".gguf"):
        return None
    if not Path(model.name).is_file():
        raise HftError(f"there is no file {model.name}", "name an existing .gguf file, a folder, or a model on the Hub")
    return Path(model.name)


def local(source: Source) -> Source:
    """The same model as a folder: fetched at its revision where it is on the Hub."""
    if Path(source.name).is_dir():
        return source
    from huggingface_hub import snapshot_download

    return Source(snapshot_download(source.name, revision=source.revision), None)


def tokenizer(source: Source) -> Any:
    """The model's tokenizer, padding on the left and with a padding token. Raises HftError when it cannot be had."""
    from transformers import AutoTokenizer

    try:
        return ready(AutoTokenizer.from_pretrained(source.name, revision=source.revision))
    except (OSError, ValueError) as problem:  # missing, gated, misspelt, or not in the cache while offline
        where = f"{source.name}@{source.revision}" if source.revision else source.name
        raise HftError(
            f"the model {where} cannot be had: {str(problem).strip().splitlines()[0]}",
            "check name and revision; a gated or private one needs its licence accepted and HF_TOKEN set; "
            "offline it must be in the cache (HF_HOME)",
        ) from problem


def parameters(source: Source) -> int:
    """How many weights the model has, from its configuration alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(source.name, revision=source.revision)
    with torch.device("meta"):
        return sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())


def ready(tokenizer: Any) -> Any:
    """Left padding, as generation needs it, and a padding token: the end token where there is none."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def facts(source: Source) -> dict:
    """The commit and `{file: SHA-256}` of what was loaded, from the Hub's cache or the folder.

    Of what a GGUF file was converted to also `stored`: the precision that the weights had there.
    """
    folder = Path(source.name)
    commit = None
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(source.name, revision=source.revision, local_files_only=True))
        commit = folder.name
    hashes = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt"):
            stored = path.resolve().name  # the Hub's cache names large files by their SHA-256
            hashes[path.name] = stored if re.fullmatch("[0-9a-f]{64}", stored) else files.sha256(path)
    stored = {"stored": packaged.stored(source.gguf)} if source.gguf else {}
    return {"name": source.name, "commit": commit, "files": hashes, **stored}


def at(spec: Model, folder: Path, quantization: str) -> Model:
    """The recipe's model section, pointing at a folder of this run."""
    return spec.model_copy(update={"name": str(folder), "quantization": quantization})
