"""The one error that users see."""

import click


class HftError(click.ClickException):
    """What is wrong, where, and what to type next. Click prints it as `Error: ...` and exits with 1."""

    def __init__(self, problem: str, fix: str):
        super().__init__(f"{problem}\n  Fix: {fix}")
