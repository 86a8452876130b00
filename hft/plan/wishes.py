"""What the user wishes of a plan: the options of a command, else the environment; the rest is the plan's to choose."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from hft.errors import HftError

Value = TypeVar("Value")

# What says no to an option that may say yes.
NOT = {
    "deterministic": "--fast",
    "padding_free": "--padded",
    "by_length": "--in-order",
    "sharded": "--replicated",
    "standby": "--no-standby",
}
YES, NO = ("yes", "true", "1"), ("no", "false", "0")
# Wishes that are whole numbers from 1: (up to this where there is a limit, what an error gives as an example).
NUMBERS = {
    "rows_per_device": (None, 1),
    "generate_rows": (None, 8),
    "save_every": (None, 20),
    "vllm_memory": (95, 50),
    "memory": (None, 12),
}
# What a run that goes on, or is made again, takes over of its plan. Not the memory, which others may use by then.
KEPT = (
    "device", "backend", "processes", "sharded", "rows_per_device", "padding_free", "by_length", "checkpointing",
    "precision", "generate_rows", "save_every", "generator", "standby", "deterministic",
)  # fmt: skip
BY_MEMORY = {"rows_per_device", "checkpointing", "generate_rows", "standby"}  # of these, what memory decides


@dataclass(frozen=True)
class Wishes:
    """One field a choice of the plan, None where nothing is wished; plan.py says what each means."""

    backend: str | None = None
    device: str | None = None
    memory: int | None = None  # GiB, at most
    processes: str | None = None  # a number, or `all`
    sharded: bool | None = None
    rows_per_device: int | None = None
    padding_free: bool | None = None
    by_length: bool | None = None
    checkpointing: str | None = None
    precision: str | None = None
    generate_rows: int | None = None
    save_every: int | None = None
    generator: str | None = None
    vllm_memory: int | None = None  # percent of what is free of the card
    standby: bool | None = None
    deterministic: bool | None = None
    servers: int = 1  # that train together; not the user's to wish but torchrun's to say
    variables: Mapping[str, str] = field(default_factory=dict)  # `{choice: variable}` of what the environment wishes
    unreadable: Mapping[str, HftError] = field(default_factory=dict)  # what it wishes in vain, if that is asked for

    def who(self, name: str) -> str:
        """Who wishes it, as the user wrote it: an option, or a variable of the environment."""
        return self.variables.get(name) or spelled(name, getattr(self, name))


CHOICES = tuple(name for name in Wishes.__dataclass_fields__ if name not in ("servers", "variables", "unreadable"))


class Decision(NamedTuple, Generic[Value]):
    """A value of the plan, and why it has it: who wished it, else the rule's reason; empty where nothing was chosen."""

    value: Value
    why: str = ""


def read(options: Mapping[str, Any], environment: Mapping[str, str]) -> Wishes:
    """The wishes of a command's options, else of HFT_BACKEND, HFT_DEVICE, ...

    A variable that cannot be read is an error where its choice is made: most commands make few.
    """
    values, variables, unreadable = {}, {}, {}
    for name in CHOICES:
        variable = f"HFT_{name.upper()}"
        if options.get(name) is not None:
            values[name] = parsed(name, options[name], spelled(name, options[name]))
        elif environment.get(variable):
            variables[name] = variable
            try:
                values[name] = parsed(name, environment[variable], variable)
            except HftError as problem:
                unreadable[name] = problem
    return Wishes(**values, variables=variables, unreadable=unreadable)


def parsed(name: str, value: Any, who: str) -> Any:
    """A wish as its field has it. Raises HftError for a word where a number is wanted, or neither yes nor no."""
    if name in NOT and isinstance(value, str):
        if value.lower() not in YES + NO:
            raise HftError(f"{who}={value} is neither yes nor no", f"for example {who}=yes")
        return value.lower() in YES
    if name in NUMBERS:
        most, example = NUMBERS[name]
        if not str(value).isdigit() or int(value) < 1 or (most and int(value) > most):
            bounds = f"from 1 to {most}" if most else "from 1 up"
            raise HftError(
                f"{who}: '{value}' is not a whole number {bounds}", f"for example HFT_{name.upper()}={example}"
            )
        return int(value)
    return value


def spelled(name: str, value: object) -> str:
    """The option that makes this choice."""
    return NOT[name] if value is False and name in NOT else f"--{name.replace('_', '-')}"


def decide(wishes: Wishes, name: str, usual: Value, reason: str, known: tuple[str, ...] = ()) -> Decision[Value]:
    """The user's wish, else what is usual, for this reason. Raises HftError for an unreadable or unknown wish."""
    if name in wishes.unreadable:
        raise wishes.unreadable[name]
    value = getattr(wishes, name)
    if value is None:
        return Decision(usual, reason)
    if known and value not in known:
        raise HftError(f"{wishes.who(name)}: '{value}' is not known", f"choose one of: {', '.join(known)}")
    return Decision(value, wishes.who(name))


def kept(plan: Mapping[str, Any], wishes: Wishes) -> Wishes:
    """The wishes with a run's plan for whatever no option chooses anew: it goes on, or is made again, as it began."""
    count = plan.get("processes") or 1
    in_order = {"by_length": False}  # before there was a choice
    before: dict[str, Any] = {
        **in_order,
        **{name: plan[name] for name in KEPT if name in plan},
        "processes": str(count),
    }
    others = wishes.processes not in (None, str(count)) or count % wishes.servers
    dropped = {"processes", "sharded", "rows_per_device", "checkpointing"} if others else set()
    chosen = {name for name in KEPT if getattr(wishes, name) is not None and name not in wishes.variables}
    if wishes.memory is not None and "memory" not in wishes.variables:
        dropped |= BY_MEMORY
    if "backend" in chosen and wishes.backend == "plain":
        dropped.add("sharded")  # Unsloth's alone
    taken = {name: value for name, value in before.items() if name not in chosen | dropped and value is not None}
    variables = {name: variable for name, variable in wishes.variables.items() if name not in taken}
    unreadable = {name: problem for name, problem in wishes.unreadable.items() if name not in taken}
    return replace(wishes, **taken, variables=variables, unreadable=unreadable)
