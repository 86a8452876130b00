"""What decides a part of the plan: the user's option, else the environment, else the rule."""

import os

from hft.errors import HftError


class Choices:
    """Takes the user's choice, then the environment's, then the rule's, and notes which it was."""

    def __init__(self, wanted: dict):
        self.wanted, self.why = wanted, {}

    def asked(self, name: str) -> str | None:
        """What the user, else the environment, asks for, as text; None where neither does."""
        value = self.wanted.get(name)
        return os.environ.get(f"HFT_{name.upper()}") or None if value is None else str(value)

    def flag(self, name: str, usual: bool, reason: str) -> bool:
        """What the user, else the environment (yes, true, 1 or no, false, 0), asks for; else what is usual."""
        asked, written = self.wanted.get(name), os.environ.get(f"HFT_{name.upper()}", "")
        self.why[name] = f"--{name.replace('_', '-')}" if asked is not None else f"HFT_{name.upper()}" if written else reason
        if written.lower() not in ("", "yes", "true", "1", "no", "false", "0"):
            raise HftError(f"HFT_{name.upper()}={written} is neither yes nor no", f"for example HFT_{name.upper()}=yes")
        if asked is None and not written:
            return usual
        return bool(asked) if asked is not None else written.lower() in ("yes", "true", "1")

    def of(self, name: str, default, reason: str, known: tuple[str, ...] = (), most: int | None = None):
        """What the user, else the environment, asks for, as the default's type; else the default. Raises HftError for what cannot be."""
        variable = f"HFT_{name.upper()}"
        if self.wanted.get(name) is not None:
            value, self.why[name] = self.wanted[name], f"--{name.replace('_', '-')}"
        elif os.environ.get(variable):
            value, self.why[name] = os.environ[variable], variable
        else:
            self.why[name] = reason
            return default
        if known and value not in known:
            raise HftError(f"{self.why[name]}: '{value}' is not known", f"choose one of: {', '.join(known)}")
        if isinstance(default, int):
            if not str(value).isdigit() or int(value) < 1 or (most and int(value) > most):
                raise HftError(f"{self.why[name]}: '{value}' is not a whole number from 1{f' to {most}' if most else ' up'}",
                               f"for example {variable}={default}")
            return int(value)
        return value
