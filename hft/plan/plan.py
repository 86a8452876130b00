"""A plan says what changes the speed: how this machine carries out a recipe. It never changes which rows meet in a step."""

import os
from dataclasses import asdict, dataclass, replace

from hft import machine
from hft.errors import HftError
from hft.plan import earlier_runs, micro_batches, shape
from hft.plan import generator as rollout
from hft.plan import processes as sharing
from hft.plan.micro_batches import Choice, divisors
from hft.plan.wishes import Choices
from hft.recipe.schema import Recipe
from hft.terminal import columns

BACKENDS = ("unsloth", "plain")
DEVICES = ("cuda", "cpu")
CHECKPOINTING = ("none", "full", "offloaded")
KEPT = (
    "device",
    "backend",
    "processes",
    "sharded",
    "rows_per_device",
    "padding_free",
    "by_length",
    "checkpointing",
    "precision",
    "generate_rows",
    "save_every",
    "generator",
    "standby",
    "deterministic",
)  # what a run that goes on, or is made again, takes over


@dataclass(frozen=True)
class Plan:
    backend: str  # unsloth, or plain: transformers + PEFT + bitsandbytes
    device: str
    rows_per_device: int  # rows in one forward pass
    processes: int  # training processes, each with its own GPU: torchrun's workers when there are several
    sharded: bool  # the processes share the weights too (FSDP2), instead of a copy for each
    accumulation: (
        int  # forward passes per optimizer step; rows_per_device x accumulation x processes = the recipe's batch_size
    )
    padding_free: (
        bool  # the rows of one forward pass stand end to end instead of padded; attention stays within each row
    )
    by_length: (
        bool  # lengths say which rows of a step share a forward pass, so that little is padded, and none is much larger
    )
    checkpointing: str  # of activations: none, full, or offloaded to the host's memory (unsloth)
    precision: str  # of the forward pass: bf16 or fp32
    weights: str  # how the base is kept: as precision, but fp32 when all weights are trained
    generate_rows: int  # rows asked at once in evaluation
    save_every: int  # optimizer steps between checkpoints
    generator: str  # what writes completions (grpo) and answers: transformers, or vllm beside the model on the same GPU
    vllm_memory: float | None  # share of the GPU's memory that vLLM takes, its copy of the weights included
    standby: bool  # vLLM gives its cache back while the model trains, and both take turns with that memory
    expected_gib: (
        float | None
    )  # peak of GPU memory by the estimate, where there is one; the passport has the measured one beside it
    correction: float  # of that estimate, by the peaks of earlier runs of this model on this card
    deterministic: bool  # bit-identical on one kind of GPU and image; a CPU is so anyway
    why: dict[str, str]  # the reason for each choice

    def describe(self) -> str:
        shared = " that share the weights" * self.sharded
        times = (
            f"{self.accumulation} x {self.processes} processes{shared}"
            if self.processes > 1
            else str(self.accumulation)
        )
        return (
            f"{self.backend} on {self.device}, {self.rows_per_device} rows x {times} = "
            f"{self.rows_per_device * self.accumulation * self.processes} a step{', unpadded' * self.padding_free}, {self.precision}, "
            f"checkpointing {self.checkpointing}"
        )

    def as_dict(self) -> dict:
        return asdict(self)


def make(recipe: Recipe, total_steps: int | None = None, lengths: list[int] | None = None, **wanted) -> Plan:
    """The plan for this machine; `wanted` holds the user's own choices, else HFT_BACKEND, HFT_DEVICE, ... are asked; and how many
    `servers` train together.

    - device: the GPU where there is one. backend: unsloth. precision: bf16 on a GPU, fp32 on a CPU, which every CPU computes alike.
    - rows per device and checkpointing: the fastest that fits by the estimate (micro_batches.py), for rows of these `lengths`
      (tokens, in training order), without them for the longest rows that the recipe allows. Where there is no estimate, a rule.
    """
    here = machine.look()
    choice = Choices(wanted)
    gpus = machine.cards()
    device = choice.of("device", *(("cuda", "the first GPU") if gpus else ("cpu", "no GPU found")), DEVICES)
    if device == "cuda" and not gpus:
        raise HftError(
            "the plan wants a GPU, and nvidia-smi finds none", "leave out --device, or install NVIDIA's driver"
        )
    card = min(gpus, key=lambda one: one.memory) if device == "cuda" else None
    memory = card.memory if card else here.memory
    deterministic = choice.flag("deterministic", False, "faster kernels, whose sums come in any order")
    backend = choose_backend(choice, recipe, device, deterministic)
    known = shape.of(recipe)
    padding_free = end_to_end(choice, recipe, device, backend, known)
    by_length = recipe.method == "sft" and choice.flag(
        "by_length", True, "less padding, and forward passes of like size"
    )
    processes = sharing.how_many(choice, recipe, device)
    sharded = sharing.weights(choice, recipe, device, backend, processes)
    share = recipe.train.batch_size // processes  # rows of a step that each process trains
    precision = choice.of(
        "precision",
        *(
            ("bf16", "every supported card has it")
            if device == "cuda"
            else ("fp32", "faster than bf16 on CPUs, and the same arithmetic on all of them")
        ),
        ("bf16", "fp32"),
    )
    budget = micro_batches.tokens_allowed(memory) // (1 if precision == "bf16" else 2) if device == "cuda" else 4096
    estimated = []
    if device == "cuda" and recipe.lora and known and (recipe.method, precision) == ("sft", "bf16"):  # the estimate's
        savings = (
            (asked,) if (asked := choice.asked("checkpointing")) in CHECKPOINTING else micro_batches.SAVING[backend]
        )
        estimated = micro_batches.choices(
            recipe,
            known,
            card,
            backend,
            not padding_free,
            lengths,
            processes,
            savings,
            earlier_runs.corrections(
                recipe,
                card,
                backend=backend,
                padding_free=padding_free,
                by_length=by_length,
                deterministic=deterministic,
                sharded=sharded,
            ),
            by_length,
            processes if sharded else 1,
        )
    if sharded and known and card:
        trains = not estimated or estimated[0].fits or bool(choice.asked("checkpointing"))  # another one may fit
        sharing.check(recipe, known, memory, processes, precision, trains)
    rule = micro_batches.by_rule(recipe, share, device, backend, budget)
    rows, checkpointing = cut(choice, recipe, share, rule, estimated, memory, bool(lengths))
    taken = next((one for one in estimated if (one.rows, one.checkpointing) == (rows, checkpointing)), None)
    generator, standby, vllm_share = rollout.choose(choice, recipe, device, backend, known, memory)
    steps = total_steps or recipe.train.steps or 100
    return Plan(
        backend=backend,
        device=device,
        rows_per_device=rows,
        processes=processes,
        sharded=sharded,
        accumulation=share // rows,
        padding_free=padding_free,
        by_length=by_length,
        checkpointing=checkpointing,
        precision=precision,
        weights=precision if recipe.lora else "fp32",
        generate_rows=choice.of(
            "generate_rows", max(1, min(32, 2 * budget // recipe.model.max_tokens)), "twice the tokens of training"
        ),
        save_every=choice.of("save_every", max(1, min(100, steps // 5)), "five checkpoints, at most 100 steps apart"),
        generator=generator,
        vllm_memory=vllm_share,
        standby=standby,
        deterministic=deterministic,
        why=choice.why,
        expected_gib=taken and round(taken.gib, 2),
        correction=taken.correction if taken else 1.0,
    )


def choose_backend(choice: Choices, recipe: Recipe, device: str, deterministic: bool) -> str:
    """Raises HftError where the one asked for cannot do what the recipe or the plan wants."""
    usual = ("unsloth", "the default") if recipe.lora else ("plain", "all weights are trained")
    beside_vllm = deterministic and device == "cuda" and recipe.method == "grpo"
    if beside_vllm:
        usual = ("plain", "vLLM's completions beside Unsloth are not bit-identical")
    if recipe.method == "grpo" and device == "cpu":
        usual = ("plain", "Unsloth has no GRPO on a CPU")
    backend = choice.of("backend", *usual, BACKENDS)
    if beside_vllm and backend == "unsloth":
        raise HftError(
            "method: grpo with Unsloth cannot be deterministic on a GPU: vLLM writes its completions",
            "leave out --backend, or write --backend plain",
        )
    if backend == "unsloth" and not recipe.lora:
        raise HftError(
            "hft trains all weights (lora: null) with the plain backend only",
            "leave out --backend, or write --backend plain",
        )
    return backend


def end_to_end(choice: Choices, recipe: Recipe, device: str, backend: str, known: shape.Shape | None) -> bool:
    """Whether the rows of a forward pass stand end to end. Raises HftError where that is asked of a model that cannot keep them apart."""
    usual = (
        (True, "nothing is computed for padding")
        if known and (device, backend) == ("cuda", "unsloth")
        else (
            False,
            "pays with method: sft and the unsloth backend on a GPU, for dense models whose rows attention keeps apart",
        )
    )
    wanted = recipe.method == "sft" and choice.flag("padding_free", *usual)
    if wanted and not known:
        raise HftError(
            f"{choice.why['padding_free']}: rows of {recipe.model.name} cannot stand end to end: only those of dense decoders "
            f"({', '.join(shape.FAMILIES)}) are kept apart",
            "leave it out, or write --padded",
        )
    return wanted


def cut(
    choice: Choices,
    recipe: Recipe,
    share: int,
    rule: tuple[int, str, str],
    estimated: list[Choice],
    memory: float,
    real: bool,
) -> tuple[int, str]:
    """(rows per device, checkpointing) for a process's `share` of a step: the best of those estimated, else the rule's.

    `real` says that the lengths of the rows were known. Raises HftError for rows that do not divide the share.
    """
    fits, saved, reason = rule
    if estimated:
        asked = (choice.asked("rows_per_device") or "").lstrip("0")
        best = next((one for one in estimated if asked == str(one.rows)), estimated[0])
        fits, saved = best.rows, best.checkpointing
        reason = (
            f"the fastest that fits {memory:.0f} GiB: about {best.needs:.1f} GiB for {best.tokens} tokens at once"
            f"{'' if real else ' (all rows as long as allowed; training counts the real ones)'}"
            if best.fits
            else f"the smallest, and still about {best.needs:.1f} GiB of {memory:.0f}: see hft plan"
        )
    rows = choice.of("rows_per_device", fits, reason)
    if share % rows:
        processes = recipe.train.batch_size // share
        whole = f"the recipe's batch_size {recipe.train.batch_size}" + (
            f" among {processes} processes" if processes > 1 else ""
        )
        raise HftError(
            f"{rows} rows per device do not divide {whole}", f"choose one of: {', '.join(map(str, divisors(share)))}"
        )
    return rows, choice.of(
        "checkpointing", saved, "memory is enough" if saved == "none" else "with rows_per_device", CHECKPOINTING
    )


def safer(plan: Plan) -> Plan:
    """The next plan that takes less memory: more is computed again, else fewer rows at once; the step stays the recipe's.

    Raises HftError when there is none.
    """
    if plan.checkpointing == "none":
        kept = "offloaded" if plan.backend == "unsloth" and plan.device == "cuda" else "full"
        return replace(plan, checkpointing=kept, expected_gib=None)
    if plan.checkpointing == "full" and plan.backend == "unsloth" and plan.device == "cuda":
        return replace(plan, checkpointing="offloaded", expected_gib=None)
    if plan.rows_per_device == 1:
        raise HftError(
            "the GPU's memory is too small for one row at a time",
            "close what else uses the GPU (nvidia-smi), or see what would fit: hft plan NAME --gpu all",
        )
    batch = plan.rows_per_device * plan.accumulation
    rows = max(n for n in divisors(batch) if n < plan.rows_per_device)
    return replace(plan, rows_per_device=rows, accumulation=batch // rows, expected_gib=None)


def kept(plan: dict, wanted: dict) -> dict:
    """The choices in a run's plan, for what the user does not choose anew: it goes on, or is made again, as it began."""
    before = {name: plan.get(name) for name in KEPT} | {
        "by_length": plan.get("by_length", False)
    }  # in order before there was a choice
    asked, count = wanted.get("processes") or os.environ.get("HFT_PROCESSES"), before["processes"] or 1
    others = (asked and asked != str(count)) or count % (wanted.get("servers") or 1)
    dropped = {"processes", "sharded", "rows_per_device", "checkpointing"} if others else set()
    if wanted.get("backend") == "plain":
        dropped.add("sharded")  # Unsloth's alone
    return {**wanted, **{name: before[name] for name in set(KEPT) - dropped if wanted.get(name) is None}}


def plan(made: Plan) -> str:
    """A plan's choices, each with its reason."""
    return columns(
        [
            ["choice", "value", "because"],
            *(
                [name, str(value), made.why.get(name, "follows from the others")]
                for name, value in made.as_dict().items()
                if name != "why"
            ),
        ]
    )
