"""What decides a part of the plan: the user's option, else the environment, else the rule."""

import os

from hft.errors import HftError

# What says no to an option that may say yes.
NOT = {
    "deterministic": "--fast",
    "padding_free": "--padded",
    "by_length": "--in-order",
    "sharded": "--replicated",
    "standby": "--no-standby",
}


def spelled(name: str, value) -> str:
    """The option that makes this choice."""
    return NOT[name] if value is False and name in NOT else f"--{name.replace('_', '-')}"


class Choices:
    """Takes the user's choice, then the environment's, then the rule's, and notes which it was."""

    def __init__(self, wanted: dict):
        self.wanted, self.why = wanted, {}

    def said(self, name: str) -> tuple[object, str | None]:
        """(value, who says so): the user's option, else the environment's variable; (None, None) where neither is set."""
        if self.wanted.get(name) is not None:
            return self.wanted[name], spelled(name, self.wanted[name])
        variable = f"HFT_{name.upper()}"
        return (os.environ[variable], variable) if os.environ.get(variable) else (None, None)

    def asked(self, name: str) -> str | None:
        """What the user, else the environment, asks for, as text; None where neither does."""
        value, _ = self.said(name)
        return None if value is None else str(value)

    def flag(self, name: str, usual: bool, reason: str) -> bool:
        """What the user, else the environment (yes, true, 1 or no, false, 0), asks for; else what is usual."""
        written = os.environ.get(f"HFT_{name.upper()}", "")
        if written.lower() not in ("", "yes", "true", "1", "no", "false", "0"):
            raise HftError(f"HFT_{name.upper()}={written} is neither yes nor no", f"for example HFT_{name.upper()}=yes")
        value, who = self.said(name)
        self.why[name] = who or reason
        if value is None:
            return usual
        return value.lower() in ("yes", "true", "1") if isinstance(value, str) else bool(value)

    def of(self, name: str, default, reason: str, known: tuple[str, ...] = (), most: int | None = None):
        """What the user, else the environment, asks for, as the default's type; else the default. Raises HftError for what cannot be."""
        value, who = self.said(name)
        self.why[name] = who or reason
        if value is None:
            return default
        if known and value not in known:
            raise HftError(f"{self.why[name]}: '{value}' is not known", f"choose one of: {', '.join(known)}")
        if isinstance(default, int):
            if not str(value).isdigit() or int(value) < 1 or (most and int(value) > most):
                raise HftError(
                    f"{self.why[name]}: '{value}' is not a whole number from 1{f' to {most}' if most else ' up'}",
                    f"for example HFT_{name.upper()}={default}",
                )
            return int(value)
        return value
