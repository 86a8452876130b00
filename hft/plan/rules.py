"""The choices of a plan one by one: what is usual and why, the user's wish before it, and what cannot be."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from hft.errors import HftError
from hft.machine import Gpu, Machine
from hft.plan import earlier_runs, estimate, micro_batches, processes, shape
from hft.plan.micro_batches import Candidate, Setting, divisors
from hft.plan.shape import Shape
from hft.plan.wishes import Decision, Wishes, decide
from hft.recipe.schema import Recipe
from hft.recipe.section import members

BACKENDS = members("model/backends")
DEVICES = ("cuda", "cpu")
CHECKPOINTING = ("none", "full", "offloaded")
MOST_ASKED = 128  # questions at once: more gain little, and each waits for the slowest of them
USUAL_STEPS = 100  # of a training whose rows are not counted yet, for the pace of checkpoints


class Terms(NamedTuple):
    """What is decided before a step is cut into forward passes."""

    recipe: Recipe
    wishes: Wishes
    card: Gpu | None  # the smallest of those that train; None on a CPU
    memory: float  # GiB of that card, else of the machine, that the plan is made for
    shape: Shape | None
    setting: Setting
    precision: str

    @property
    def device(self) -> str:
        """Where the model computes."""
        return "cuda" if self.card else "cpu"

    @property
    def budget(self) -> int:
        """Tokens of a forward pass, where there is no estimate."""
        allowed = micro_batches.tokens_allowed(self.memory)
        if not self.card:
            return min(4096, allowed) if self.wishes.memory else 4096
        return allowed // (1 if self.precision == "bf16" else 2)


def choose_device(wishes: Wishes, machine: Machine) -> Decision[str]:
    """The GPU where there is one. Raises HftError where one is wished for and there is none."""
    usual = ("cuda", "the first GPU") if machine.gpus else ("cpu", "no GPU found")
    device = decide(wishes, "device", *usual, known=DEVICES)
    if device.value == "cuda" and not machine.gpus:
        raise HftError(
            "the plan wants a GPU, and nvidia-smi finds none", "leave out --device, or install NVIDIA's driver"
        )
    return device


def choose_backend(wishes: Wishes, recipe: Recipe, device: str, deterministic: bool) -> Decision[str]:
    """Raises HftError where the one asked for cannot do what the recipe or the plan wants."""
    usual = ("unsloth", "the default") if recipe.lora else ("plain", "all weights are trained")
    beside_vllm = deterministic and device == "cuda" and recipe.method == "grpo"
    if beside_vllm:
        usual = ("plain", "vLLM's completions beside Unsloth are not bit-identical")
    if recipe.method == "grpo" and device == "cpu":
        usual = ("plain", "Unsloth has no GRPO on a CPU")
    backend = decide(wishes, "backend", *usual, known=BACKENDS)
    if beside_vllm and backend.value == "unsloth":
        raise HftError(
            "method: grpo with Unsloth cannot be deterministic on a GPU: vLLM writes its completions",
            "leave out --backend, or write --backend plain",
        )
    if backend.value == "unsloth" and not recipe.lora:
        raise HftError(
            "hft trains all weights (lora: null) with the plain backend only",
            "leave out --backend, or write --backend plain",
        )
    return backend


def choose_joining(
    wishes: Wishes, recipe: Recipe, device: str, backend: str, known: Shape | None
) -> dict[str, Decision[bool]]:
    """How rows of a forward pass stand, and which ones share it; neither is a choice for completions.

    Raises HftError where rows are wished end to end of a model that cannot keep them apart.
    """
    if recipe.method != "sft":
        return {"padding_free": Decision(False), "by_length": Decision(False)}
    usual = (True, "nothing is computed for padding")
    if not known or (device, backend) != ("cuda", "unsloth"):
        reason = (
            "pays with method: sft and the unsloth backend on a GPU, for dense models whose rows attention keeps apart"
        )
        usual = (False, reason)
    joined = decide(wishes, "padding_free", *usual)
    if joined.value and not known:
        raise HftError(
            f"{joined.why}: rows of {recipe.model.name} cannot stand end to end: only those of dense decoders "
            f"({', '.join(shape.FAMILIES)}) are kept apart",
            "leave it out, or write --padded",
        )
    by_length = decide(wishes, "by_length", True, "less padding, and forward passes of like size")
    return {"padding_free": joined, "by_length": by_length}


def choose_precision(wishes: Wishes, device: str) -> Decision[str]:
    """bf16 on a GPU, fp32 on a CPU."""
    usual = ("bf16", "every supported card has it")
    if device == "cpu":
        usual = ("fp32", "faster than bf16 on CPUs, and the same arithmetic on all of them")
    return decide(wishes, "precision", *usual, known=("bf16", "fp32"))


def estimate_candidates(terms: Terms, lengths: list[int] | None, history: Iterable[dict[str, Any]]) -> list[Candidate]:
    """The ways to cut a step that the estimate covers, the best first; none for another training than LoRA in bf16.

    Raises HftError where the weights are to be shared by cards that are too small for it.
    """
    recipe, known, card, setting = terms.recipe, terms.shape, terms.card, terms.setting
    wished, made = terms.wishes.checkpointing, []
    if card and known and recipe.lora and (recipe.method, terms.precision) == ("sft", "bf16"):
        savings = (wished,) if wished in CHECKPOINTING else micro_batches.SAVING[setting.backend]
        factors = earlier_runs.corrections(history, recipe, card, setting)
        part = card._replace(memory=terms.memory)
        made = micro_batches.candidates(recipe, known, part, setting, lengths, savings, factors)
    if setting.sharded and known and card:
        trains = not made or made[0].fits or bool(wished)  # another one may fit
        processes.check(recipe, known, terms.memory, setting.processes, terms.precision, trains)
    return made


def cut(terms: Terms, estimated: list[Candidate], real: bool) -> tuple[Decision[int], Decision[str]]:
    """(rows per device, checkpointing) of a process's share of a step: the best of those estimated, else the rule's.

    `real` says that the lengths of the rows were known. Raises HftError for rows that do not divide the share.
    """
    recipe, wishes, setting = terms.recipe, terms.wishes, terms.setting
    share = recipe.train.batch_size // setting.processes
    fits, saved, reason = micro_batches.by_rule(recipe, share, terms.device, setting.backend, terms.budget)
    if estimated:
        best = next((one for one in estimated if one.rows == wishes.rows_per_device), estimated[0])
        fits, saved, reason = best.rows, best.checkpointing, because(best, terms.memory, real)
    rows = decide(wishes, "rows_per_device", fits, reason)
    if share % rows.value:
        whole = f"the recipe's batch_size {recipe.train.batch_size}"
        whole += f" among {setting.processes} processes" * (setting.processes > 1)
        raise HftError(
            f"{rows.value} rows per device do not divide {whole}",
            f"choose one of: {', '.join(map(str, divisors(share)))}",
        )
    usual = "memory is enough" if saved == "none" else "with rows_per_device"
    return rows, decide(wishes, "checkpointing", saved, usual, CHECKPOINTING)


def because(best: Candidate, memory: float, real: bool) -> str:
    """Why these rows are taken at once."""
    if not best.fits:
        return f"the smallest, and still about {best.needs:.1f} GiB of {memory:.0f}: see hft plan"
    counted = "" if real else " (all rows as long as allowed; training counts the real ones)"
    return (
        f"the fastest that fits {memory:.0f} GiB: about {best.needs:.1f} GiB for {best.tokens} tokens at once{counted}"
    )


def paces(terms: Terms, total_steps: int | None) -> dict[str, Decision[int]]:
    """Rows asked at once, and steps between checkpoints."""
    steps = total_steps or terms.recipe.train.steps or USUAL_STEPS
    every = max(1, min(100, steps // 5))
    return {
        "generate_rows": decide(terms.wishes, "generate_rows", *at_once(terms)),
        "save_every": decide(terms.wishes, "save_every", every, "five checkpoints, at most 100 steps apart"),
    }


def at_once(terms: Terms) -> tuple[int, str]:
    """(questions asked at once, why): on a card, as many as half of what the weights leave holds by the estimate."""
    recipe, shape = terms.recipe, terms.shape
    if not terms.card or not shape:
        return max(1, min(32, 2 * terms.budget // recipe.model.max_tokens)), "twice the tokens of training"
    free = estimate.room(terms.memory) - sum(estimate.stored(shape, recipe)) / estimate.GIB
    rows = int(free / 2 / estimate.asking(shape, recipe, terms.setting.backend))
    return max(1, min(MOST_ASKED, rows)), "half of the memory that the weights leave"
