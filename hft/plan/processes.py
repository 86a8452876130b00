"""How the processes of one training share its steps, and its weights."""

from hft import machine
from hft.errors import HftError
from hft.plan import estimate
from hft.plan.micro_batches import divisors
from hft.plan.shape import Shape
from hft.plan.wishes import Choices
from hft.recipe.schema import Recipe


def how_many(choice: Choices, recipe: Recipe, device: str) -> int:
    """Training processes: the number asked for, or with `all` as many of the GPUs as share the recipe's step evenly; on all servers.

    Raises HftError where that number cannot share it.
    """
    share = choice.wanted.get("servers") or 1  # the number must be the same on each of them
    wanted = str(
        choice.of(
            "processes",
            *(
                ("all", f"{share} servers share a step")
                if share > 1
                else ("1", "more GPUs share a step with --processes all")
            ),
        )
    )
    if recipe.method != "sft":
        if share > 1 or wanted not in ("1", "all"):
            raise HftError(f"method: {recipe.method} trains on one GPU", "leave out --processes, and PET_NNODES")
        return 1
    gpus, batch = len(machine.cards()) * share if device == "cuda" else None, recipe.train.batch_size
    if wanted == "all":
        wanted = str(max((n for n in divisors(batch) if n % share == 0 and n <= (gpus or share)), default=share))
    count = int(wanted) if wanted.isdigit() else 0
    if count < 1 or (gpus and count > gpus):
        raise HftError(
            f"{choice.why['processes']}: '{wanted}' is not a number of processes for {gpus or 'no'} GPUs",
            "for example --processes all",
        )
    if count % share:
        raise HftError(
            f"{choice.why['processes']}: {count} processes cannot be shared evenly by {share} servers",
            "it counts the processes of all servers together",
        )
    if batch % count:
        raise HftError(
            f"{count} processes do not divide the recipe's batch_size {batch}",
            f"choose one of: {', '.join(map(str, divisors(batch)))}",
        )
    return count


def weights(choice: Choices, recipe: Recipe, device: str, backend: str, processes: int) -> bool:
    """Whether the processes share the weights. Raises HftError where they cannot."""
    sharded = choice.flag("sharded", False, "each process holds all weights")
    if sharded and (backend != "unsloth" or processes < 2):
        raise HftError(
            f"{choice.why['sharded']}: only several processes of the unsloth backend can share the weights, for method: sft",
            "--replicated, or --processes all --backend unsloth",
        )
    if (
        sharded and device == "cpu" and recipe.model.quantization != "none"
    ):  # Unsloth gathers them in bf16, which training here is not
        raise HftError(
            f"{choice.why['sharded']}: processes on a CPU cannot share weights in 4 bits",
            "--replicated, or --set model.quantization=none with a model in 16 bits",
        )
    return sharded


def check(recipe: Recipe, shape: Shape, card: float, processes: int, precision: str, trains: bool) -> None:
    """Raises HftError where a card (GiB) is too small for what no sharing makes smaller: loading in 4 bits, and evaluation.

    `trains` says whether training itself fits the card.
    """
    name, size = recipe.model.name, estimate.loading(shape, recipe, processes)
    if recipe.model.quantization == "nf4" and size > card - estimate.CONTEXT:
        raise HftError(
            f"a card of {card:.0f} GiB cannot load {name} in 4 bits ({size:.1f} GiB), as each must before it shares the weights",
            "a larger card (hft plan NAME --gpu all), or a model in 16 bits, which is loaded in parts: --set model.name=... "
            "--set model.quantization=none",
        )
    if trains and (option := to_unset(recipe, shape, card, precision)):
        raise HftError(
            f"a card of {card:.0f} GiB cannot hold {name} whole, as the evaluation before and after training does",
            f"train without it: {option}   ({'its rows are trained too' if recipe.data.held_out else 'the same weights'})",
        )


def to_unset(recipe: Recipe, shape: Shape, card: float, precision: str = "bf16") -> str:
    """The option that leaves out evaluation where one card (GiB) cannot hold the weights, which one process alone asks; else empty."""
    whole = estimate.memory(shape, recipe, 0, False, "offloaded")
    size = (
        whole["weights"] * (2 if precision == "fp32" and recipe.model.quantization == "none" else 1)
        + whole["workspace"]
    )
    if not (recipe.data.evaluate or recipe.data.held_out) or size <= estimate.room(card):
        return ""
    return "--set data.evaluate=null" if recipe.data.evaluate else "--set data.held_out=null"
