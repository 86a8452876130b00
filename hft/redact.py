"""Keep secrets out of everything that is written."""

import functools
import json
import os
import re
from pathlib import Path

NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_KEY|CREDENTIAL", re.I)
SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|sk-[A-Za-z0-9_-]{16,}|"
    r"gh[pousr]_[A-Za-z0-9]{16,}|[0-9a-f]{40}(?=@))"
)


def text(written: str) -> str:
    """The text without the values of secret environment variables and without anything shaped like a token."""
    values = {
        value.strip() for name, value in os.environ.items() if NAMES.search(name) and not name.endswith("_PATH")
    } | {mounted()}
    values = {value for value in values if len(value) >= 8}
    values |= {json.dumps(value, ensure_ascii=False)[1:-1] for value in values}  # as a JSON file has it
    for value in sorted(values, key=len, reverse=True):
        written = written.replace(value, "[secret]")
    return SHAPES.sub("[secret]", written)


@functools.cache
def mounted() -> str:
    """The token in the file that HF_TOKEN_PATH names, as a container has it; empty where there is none."""
    try:
        return Path(os.environ["HF_TOKEN_PATH"]).read_text(encoding="utf-8").strip()
    except (KeyError, OSError, ValueError):
        return ""
