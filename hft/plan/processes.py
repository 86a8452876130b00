"""How the processes of one training share its steps, and its weights."""

from hft.errors import HftError
from hft.plan import estimate
from hft.plan.micro_batches import divisors
from hft.plan.shape import Shape
from hft.plan.wishes import Decision, Wishes, decide
from hft.recipe.schema import Recipe


def how_many(wishes: Wishes, recipe: Recipe, gpus: int | None) -> Decision[int]:
    """Training processes on all servers together, on `gpus` GPUs a server (None on CPUs).

    The number wished for, or with `all` as many of the GPUs as share the recipe's step evenly. Raises HftError where
    that number cannot share it.
    """
    servers, batch = wishes.servers, recipe.train.batch_size  # the number must be the same on each of the servers
    alone = ("1", "more GPUs share a step with --processes all")
    wished = decide(wishes, "processes", *(alone if servers == 1 else ("all", f"{servers} servers share a step")))
    if recipe.method != "sft":
        if servers > 1 or wished.value not in ("1", "all"):
            raise HftError(f"method: {recipe.method} trains on one GPU", "leave out --processes, and PET_NNODES")
        return Decision(1, wished.why)
    most = gpus * servers if gpus is not None else None
    number = wished.value
    if number == "all":
        usable = [n for n in divisors(batch) if n % servers == 0 and n <= (most or servers)]
        number = str(max(usable, default=servers))
    count = int(number) if str(number).isdigit() else 0
    if count < 1 or (most and count > most):
        raise HftError(
            f"{wished.why}: '{number}' is not a number of processes for {most or 'no'} GPUs",
            "for example --processes all",
        )
    if count % servers:
        raise HftError(
            f"{wished.why}: {count} processes cannot be shared evenly by {servers} servers",
            "it counts the processes of all servers together",
        )
    if batch % count:
        raise HftError(
            f"{count} processes do not divide the recipe's batch_size {batch}",
            f"choose one of: {', '.join(map(str, divisors(batch)))}",
        )
    return Decision(count, wished.why)


def weights(wishes: Wishes, recipe: Recipe, device: str, backend: str, processes: int) -> Decision[bool]:
    """Whether the processes share the weights. Raises HftError where they cannot."""
    sharded = decide(wishes, "sharded", False, "each process holds all weights")
    if sharded.value and (backend != "unsloth" or processes < 2):
        raise HftError(
            f"{sharded.why}: only several processes of the unsloth backend can share the weights, for method: sft",
            "--replicated, or --processes all --backend unsloth",
        )
    # Unsloth gathers 4-bit weights in bf16, which training on a CPU is not.
    if sharded.value and device == "cpu" and recipe.model.quantization != "none":
        raise HftError(
            f"{sharded.why}: processes on a CPU cannot share weights in 4 bits",
            "--replicated, or --set model.quantization=none with a model in 16 bits",
        )
    return sharded


def check(recipe: Recipe, shape: Shape, card: float, processes: int, precision: str, trains: bool) -> None:
    """Raises HftError where a card (GiB) is too small for loading in 4 bits or evaluation, which sharing cannot help.

    `trains` says whether training itself fits the card.
    """
    name, size = recipe.model.name, estimate.loading(shape, recipe, processes)
    if recipe.model.quantization == "nf4" and size > card - estimate.CONTEXT:
        raise HftError(
            f"a card of {card:.0f} GiB cannot load {name} in 4 bits ({size:.1f} GiB), as each must before it shares "
            "the weights",
            "a larger card (hft plan NAME --gpu all), or a model in 16 bits, which is loaded in parts: "
            "--set model.name=... --set model.quantization=none",
        )
    if trains and (option := to_unset(recipe, shape, card, precision)):
        cost = "its rows are trained too" if recipe.data.held_out else "the same weights"
        raise HftError(
            f"a card of {card:.0f} GiB cannot hold {name} whole, as the evaluation before and after training does",
            f"train without it: {option}   ({cost})",
        )


def to_unset(recipe: Recipe, shape: Shape, card: float, precision: str = "bf16") -> str:
    """The option that leaves out evaluation where one card (GiB) cannot hold the weights; else empty.

    One process alone asks, whole weights in its memory.
    """
    whole = estimate.memory(shape, recipe, 0, False, "offloaded")
    wider = 2 if precision == "fp32" and recipe.model.quantization == "none" else 1
    size = whole["weights"] * wider + whole["workspace"]
    if not (recipe.data.evaluate or recipe.data.held_out) or size <= estimate.room(card):
        return ""
    return "--set data.evaluate=null" if recipe.data.evaluate else "--set data.held_out=null"
