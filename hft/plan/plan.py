"""A plan says what changes the speed: how this machine carries out a recipe, never which rows meet in a step."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from hft.errors import HftError
from hft.machine import Machine
from hft.plan import estimate, generator, processes, room, rules, shape
from hft.plan.micro_batches import Candidate, Setting, divisors
from hft.plan.rules import Terms
from hft.plan.wishes import Decision, Wishes, decide
from hft.recipe.schema import Recipe
from hft.terminal import columns


@dataclass(frozen=True)
class Plan:
    """What plan.json and the passport keep."""

    backend: str  # unsloth, or plain: transformers + PEFT + bitsandbytes
    device: str
    memory: float | None  # GiB that it is made for, where others use the card or the user allows less; None: all
    rows_per_device: int  # rows in one forward pass
    processes: int  # training processes, each with its own GPU: torchrun's workers when there are several
    sharded: bool  # the processes share the weights too (FSDP2), instead of a copy for each
    accumulation: int  # forward passes per optimizer step: rows_per_device x accumulation x processes = batch_size
    padding_free: bool  # rows of a forward pass stand end to end, not padded; attention stays within each row
    by_length: bool  # lengths say which rows of a step share a forward pass: little padding, none much larger
    checkpointing: str  # of activations: none, full, or offloaded to the host's memory (unsloth)
    precision: str  # of the forward pass: bf16 or fp32
    weights: str  # how the base is kept: as precision, but fp32 when all weights are trained
    generate_rows: int  # rows asked at once in evaluation
    save_every: int  # optimizer steps between checkpoints
    generator: str  # what writes completions (grpo) and answers: transformers, or vllm beside the model on one GPU
    vllm_memory: float | None  # share of what is free of the GPU that vLLM takes, its copy of the weights included
    standby: bool  # vLLM gives its cache back while the model trains, and both take turns with that memory
    expected_gib: float | None  # peak of GPU memory by the estimate, where there is one; measured: in the passport
    correction: float  # of that estimate, by the peaks of earlier runs of this model on this card
    deterministic: bool  # bit-identical on one kind of GPU and image; a CPU is so anyway
    why: dict[str, str]  # the reason for each choice

    def describe(self) -> str:
        """The plan in a line."""
        shared = " that share the weights" * self.sharded
        several = f"{self.accumulation} x {self.processes} processes{shared}"
        times = several if self.processes > 1 else str(self.accumulation)
        memory = ""
        if self.memory is not None:
            memory = f", for {self.memory:g} GiB: {self.why['memory']}"
            if self.expected_gib and self.expected_gib > estimate.room(self.memory):
                memory += f"; and it takes about {self.expected_gib:.1f}"
        return (
            f"{self.backend} on {self.device}, {self.rows_per_device} rows x {times} = "
            f"{self.rows_per_device * self.accumulation * self.processes} a step{', unpadded' * self.padding_free}, "
            f"{self.precision}, checkpointing {self.checkpointing}{memory}"
        )

    def as_dict(self) -> dict[str, Any]:
        """What JSON keeps of it."""
        return asdict(self)


def make(
    recipe: Recipe,
    machine: Machine,
    wishes: Wishes = Wishes(),  # noqa: B008  frozen
    history: Iterable[dict[str, Any]] = (),
    total_steps: int | None = None,
    lengths: list[int] | None = None,
) -> Plan:
    """The plan for the GPUs and cores of `machine`; `history` holds the passports of earlier runs.

    - device: the GPU where there is one. backend: unsloth. precision: bf16 on a GPU, fp32 on a CPU, which every CPU
      computes alike.
    - rows per device and checkpointing: the fastest that fits by the estimate (micro_batches.py), for rows of these
      `lengths` (tokens, in training order), without them for the longest rows that the recipe allows. Where there is no
      estimate, a rule.
    - memory: all of the smallest card, or what others leave of those that train, or what is wished (room.py).
    Raises HftError for a wish that cannot be.
    """
    device = rules.choose_device(wishes, machine)
    card = min(machine.gpus, key=lambda gpu: gpu.memory) if device.value == "cuda" else None
    known = shape.of(recipe)
    chosen: dict[str, Decision[Any]] = {"device": device}
    chosen["deterministic"] = decide(wishes, "deterministic", False, "faster kernels, whose sums come in any order")
    backend = rules.choose_backend(wishes, recipe, device.value, chosen["deterministic"].value)
    chosen |= {"backend": backend, **rules.choose_joining(wishes, recipe, device.value, backend.value, known)}
    count = processes.how_many(wishes, recipe, len(machine.gpus) if card else None)
    sharded = processes.weights(wishes, recipe, device.value, backend.value, count.value)
    chosen |= {"processes": count, "sharded": sharded, "precision": rules.choose_precision(wishes, device.value)}
    setting = Setting(
        **{name: chosen[name].value for name in ("backend", "padding_free", "by_length", "deterministic")},
        sharded=sharded.value,
        processes=count.value,
    )
    space = room.find(wishes, machine, max(1, count.value // wishes.servers) if card else None)
    terms = Terms(recipe, wishes, card, space.memory, known, setting, chosen["precision"].value)
    estimated = rules.estimate_candidates(terms, lengths, history)
    rows, checkpointing = rules.cut(terms, estimated, lengths is not None)
    written = generator.choose(wishes, recipe, device.value, backend.value, known, space)
    chosen |= {
        "memory": space.choice,
        "rows_per_device": rows,
        "checkpointing": checkpointing,
        **written._asdict(),
        **rules.paces(terms, total_steps),
    }
    same = (one for one in estimated if (one.rows, one.checkpointing) == (rows.value, checkpointing.value))
    return assemble(recipe, chosen, next(same, None))


def assemble(recipe: Recipe, chosen: dict[str, Decision[Any]], taken: Candidate | None) -> Plan:
    """The plan of all decisions; `taken` is what the estimate says of it."""
    values = {name: decision.value for name, decision in chosen.items()}
    share = values["vllm_memory"]
    return Plan(
        **{**values, "vllm_memory": share and share / 100},
        accumulation=recipe.train.batch_size // values["processes"] // values["rows_per_device"],
        weights=values["precision"] if recipe.lora else "fp32",
        why={name: decision.why for name, decision in chosen.items() if decision.why},
        expected_gib=taken and round(taken.gib, 2),
        correction=taken.correction if taken else 1.0,
    )


def safer(plan: Plan) -> Plan:
    """The next plan that takes less memory: more is computed again, else fewer rows at once.

    The step stays the recipe's. Raises HftError when there is none.
    """
    offloads = plan.backend == "unsloth" and plan.device == "cuda"
    if plan.checkpointing == "none":
        return replace(plan, checkpointing="offloaded" if offloads else "full", expected_gib=None)
    if plan.checkpointing == "full" and offloads:
        return replace(plan, checkpointing="offloaded", expected_gib=None)
    if plan.rows_per_device == 1:
        raise HftError(
            "the GPU's memory is too small for one row at a time",
            "close what else uses the GPU (nvidia-smi), or see what would fit: hft plan NAME --gpu all",
        )
    batch = plan.rows_per_device * plan.accumulation
    rows = max(n for n in divisors(batch) if n < plan.rows_per_device)
    return replace(plan, rows_per_device=rows, accumulation=batch // rows, expected_gib=None)


def table(plan: Plan) -> str:
    """The plan's choices, each with its reason."""
    lines = [["choice", "value", "because"]]
    for name, value in plan.as_dict().items():
        if name != "why":
            lines.append([name, str(value), plan.why.get(name, "follows from the others")])
    return columns(lines)
