"""Runs as tables: all of them, and the stages that one came from."""

from pathlib import Path
from typing import Any

from hft.errors import HftError
from hft.evaluate.scores import headline_of_json
from hft.recipe.catalogue import catalogue, suggest
from hft.runs import folder as runs
from hft.runs import stages
from hft.terminal import columns


def runs_table(name: str | None) -> str:
    """One line a run: folder, state, steps, exact match before and after."""
    lines = [["run", "state", "steps", "exact match", "digest"]]
    for run in runs.every(name):
        facts = runs.passport(run)
        if facts is None:
            lines.append([str(run), "unfinished", "-", "-", run.name.rpartition("-")[2]])
            continue
        steps = f"{facts['training']['steps']}/{facts['training']['of_steps']}"
        state = "finished" if runs.whole(facts) else "stopped"
        lines.append([str(run), state, steps, scores(facts), facts["recipe"]["digest"][:12]])
    if len(lines) > 1:
        return columns(lines)
    known = {*catalogue(), *(run.parent.name for run in runs.every())}
    if name and name not in known:
        raise HftError(
            f"no runs and no recipe of the name '{name}'{suggest(name, known)}", "list them: hft runs   and: hft list"
        )
    of = f"of {name} " if name else ""
    return f"No runs {of}in {runs.root()} yet. Start with: make train RECIPE={name or 'quickstart'}"


def scores(passport: dict[str, Any]) -> str:
    """Exact match (or right answers) of the better base and after training, such as `5.0 -> 80.0`; a dash for none."""
    asked = passport["evaluation"] or {}
    after = asked.get("adapter") or asked.get("model")
    before = asked.get(after.get("gain", {}).get("over", "base")) if after else None
    if not (before and after):
        return "-"
    return " -> ".join(f"{headline_of_json(column)[1].mean:.1f}" for column in (before, after))


def lineage(run: Path) -> str:
    """One line a stage, the first one first: recipe, run, digest, weights, score before and after."""
    lines = [["stage", "run", "recipe digest", "weights", "score"]]
    for stage in stages.lineage(run):
        score = scores(stage.facts) if stage.facts else "gone"
        lines.append([stage.recipe, stage.run, stage.digest[:12], stage.weights[:12], score])
    return columns(lines)
