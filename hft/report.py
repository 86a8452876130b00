"""What the commands print that only look: values, plan, data, runs."""

from pathlib import Path

from hft import evaluate, rows, runs, stages
from hft.catalogue import catalogue, suggest
from hft.errors import HftError
from hft.log import columns
from hft.plan import Plan
from hft.recipe_data import Section
from hft.recipe_file import Loaded


def values(loaded: Loaded) -> str:
    """Every value of a recipe with its origin and its meaning."""
    lines = [["key", "value", "set by", "meaning"]]

    def walk(section, key):
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            here = (*key, name)
            if isinstance(value, Section):
                walk(value, here)
                continue
            if isinstance(value, list) and value and isinstance(value[0], Section):
                for number, one in enumerate(value):
                    walk(one, (*here, str(number)))
                continue
            origin = loaded.origins.get(here) or short_form(loaded.origins, here) or "default"
            shown = "-" if value is None else str(value)
            lines.append([".".join(here), shown if len(shown) < 60 else shown[:57] + "...", origin, field.description or ""])

    walk(loaded.recipe, ())
    return columns(lines) + f"\ndigest {loaded.digest}"


def short_form(origins: dict, key: tuple) -> str | None:
    """Where a section was written as a bare name, such as `parent: NAME` or one of `rewards`."""
    if (key[0], key[-1]) not in (("parent", "recipe"), ("rewards", "name")):
        return None
    return origins.get(key[:-1]) or origins.get(key[:1])


def plan(made: Plan) -> str:
    """A plan's choices, each with its reason."""
    return columns([["choice", "value", "because"], *([name, str(value), made.why.get(name, "follows from the others")]
                                                       for name, value in made.as_dict().items() if name != "why")])


def predictions(loaded: Loaded, path: Path) -> str:
    """The scores of a prediction file on the recipe's held-out rows."""
    samples = rows.prepare(loaded, rows.read(loaded)).evaluate
    if not samples:
        raise HftError(f"recipe {loaded.name} has no held-out rows", "add data.evaluate or data.held_out to it")
    answers = evaluate.predictions(path, samples)
    missing = answers.count(None)
    records = evaluate.scored(samples, answers, loaded.recipe.evaluate.by)
    return evaluate.table({path.name: evaluate.summary(records)}) + (f"\n{missing} answers are missing and count 0" if missing else "")


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
        raise HftError(f"no runs and no recipe of the name '{name}'{suggest(name, known)}", "list them: hft runs   and: hft list")
    return f"No runs {f'of {name} ' if name else ''}in {runs.root()} yet. Start with: make train RECIPE={name or 'quickstart'}"


def scores(passport: dict) -> str:
    """Exact match (or right answers) before and after, such as `0.6 -> 80.0`; a dash where nothing was asked."""
    asked = passport["evaluation"] or {}
    after = asked.get("adapter") or asked.get("model")
    return " -> ".join(f"{evaluate.headline(one)[1]['mean']:.1f}" for one in (asked["base"], after)) if after and "base" in asked else "-"


def lineage(run: Path) -> str:
    """One line a stage, the first one first: recipe, run, digest, weights, score before and after."""
    lines = [["stage", "run", "recipe digest", "weights", "score"]]
    for one in stages.lineage(run):
        lines.append([one["recipe"], one["run"], one["digest"][:12], one["weights"][:12], scores(one["facts"]) if one["facts"] else "gone"])
    return columns(lines)
