"""Groups whose completions all score alike teach nothing: what was drawn, the limit, the last steps, and what helps.

A run of method grpo has a draw.json: `limit` (None: the user goes on anyway) and, where hft/train/draw.py has drawn,
`completions` (records as in completions.jsonl, with their weighted `sum`, the number of their `group`, and whether they
were `cut` off), `groups`, how many of them are `flat`, `names` of the rewards, `tags`, `groups_a_step`, and
`risen_above`. `stopped` is the step in which a training was found to stand still.
"""

import json
import math
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from hft import files
from hft.errors import HftError
from hft.evaluate import grader
from hft.evaluate.reasoning import Tags
from hft.recipe.file import Loaded
from hft.recipe.schema import Recipe
from hft.terminal import columns

STEPS, GROUPS = 10, 32  # a training is judged by at least so many of both: a share of few groups is chance
TAGGED = {"format_exact", "format_approximate", "answer", "number", "language"}  # built-in rewards that look for tags
SHOWN, WIDTH = 3, 100  # sample completions in an error, and characters of each


def kept(run: Path) -> dict[str, Any]:
    """What draw.json says; nothing where the run has none."""
    place = run / "draw.json"
    return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


def keep(run: Path, told: dict[str, Any]) -> None:
    """Write draw.json."""
    files.write_json(run / "draw.json", told)


def begin(run: Path, loaded: Loaded, anyway: bool) -> None:
    """Lift the limit where the user goes on `anyway`; else raise HftError for a run that was found to stand still."""
    if not loaded.recipe.grpo:
        return
    if anyway:
        keep(run, {**{name: value for name, value in kept(run).items() if name != "stopped"}, "limit": None})
    check(run, loaded)


def check(run: Path, loaded: Loaded) -> None:
    """Raise HftError where more of the groups are flat than the limit allows: of those drawn, or of the last steps."""
    told = kept(run)
    if told.get("limit") is None:
        return
    if "stopped" in told:
        raise error(loaded, while_training(run, told, loaded.recipe), told)
    if told["flat"] > told["limit"] * told["groups"]:
        raise error(loaded, before_training(told), told)


class Seen(NamedTuple):
    """What was found of the groups."""

    said: str
    of: str  # whose scores these are
    scores: dict[str, list[float]]  # of each reward, and their weighted sum
    groups: list[list[dict[str, Any]]]  # records, each with a completion and its sum
    cut: float  # share of the completions that were cut off


def before_training(told: dict[str, Any]) -> Seen:
    """What the dry draw found."""
    records = told["completions"]
    scores = {name: [record["rewards"][name] for record in records] for name in told["names"]}
    groups = [[record for record in records if record["group"] == group] for group in range(told["groups"])]
    said = f"in {told['flat']} of {told['groups']} groups that were drawn before training all completions score alike"
    cut = sum(record["cut"] for record in records) / len(records)
    return Seen(said, "completions", {**scores, "sum": [record["sum"] for record in records]}, groups, cut)


def while_training(run: Path, told: dict[str, Any], recipe: Recipe) -> Seen:
    """What the last steps were; of their completions, the group that completions.jsonl kept last."""
    window = Window(told)
    rows = [row for row in lines(run / "metrics.jsonl") if row["step"] <= told["stopped"]]
    for row in rows:
        window.add(row)
    rows = list(window.rows)
    scores = {name: [row[f"rewards/{name}/mean"] for row in rows] for name in told["names"]}
    records = lines(run / "completions.jsonl")
    group = [
        {**record, "sum": grader.weighted(recipe.rewards or [], record["rewards"].values())}
        for record in records
        if record["step"] == records[-1]["step"]
    ]
    said = (
        f"step {told['stopped']}: in {window.share:.0%} of the groups of the last {len(rows)} steps all completions "
        "score alike, and rewards are no higher than before training"
    )
    cut = sum(row["completions/clipped_ratio"] for row in rows) / len(rows)
    return Seen(said, "steps' means", {**scores, "sum": [row["reward"] for row in rows]}, [group], cut)


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file of the run; none where there is no such file."""
    return files.read_jsonl(path) if path.exists() else []


def error(loaded: Loaded, seen: Seen, told: dict[str, Any]) -> HftError:
    """What was found, with a table of the rewards and some completions; what helps, and how to go on all the same."""
    table = [[f"{seen.of}:", "mean", "least", "most"]]
    for name, scores in seen.scores.items():
        table.append([name, *(f"{number:.3f}" for number in (sum(scores) / len(scores), min(scores), max(scores)))])
    of_each = [group[0] for group in seen.groups] if len(seen.groups) > 1 else [one for g in seen.groups for one in g]
    samples = [[f"{record['sum']:.3f}", one_line(record["completion"])] for record in of_each[:SHOWN]]
    problem = f"{seen.said}: such groups teach nothing (grpo.max_flat: {told['limit']:g})"
    shown = [columns(table), *([columns(samples)] if samples else [])]
    ways = remedies(loaded, seen, Tags(*told["tags"]))
    anyway = f"or go on all the same; nothing is lost: hft train {loaded.name} --resume --anyway"
    return HftError("\n".join([problem, *shown]), "\n       ".join([*ways, anyway]))


def one_line(text: str) -> str:
    """A completion in quotes on one line, shortened."""
    text = " ".join(text.split())
    return f'"{text}"' if len(text) <= WIDTH else f'"{text[: WIDTH - 4]} ..."'


def remedies(loaded: Loaded, seen: Seen, tags: Tags) -> list[str]:
    """What would make the completions of a group differ in their rewards; the likeliest first."""
    told, rewards = loaded.recipe.grpo, {reward.name for reward in loaded.recipe.rewards or []}
    assert told, "only method grpo has groups"
    groups = [[record["completion"] for record in group] for group in seen.groups]
    texts = [text for group in groups for text in group]
    ways = []
    tagged = sum(tags.end in text for text in texts)
    if rewards & TAGGED and 2 * tagged < len(texts):
        ways += to_the_tags(loaded.recipe, tags, f"{tagged} of {len(texts)} completions have {tags.end}")
    if seen.cut > 0.5:
        ways.append(
            f"most completions are cut off at {told.completion_tokens} tokens: raise grpo.completion_tokens, "
            "or ask for shorter answers in prompt.instruction"
        )
    if sum(len(set(group)) - 1 for group in groups) <= (len(texts) - len(groups)) / 4:
        ways.append(
            f"the completions of a group are nearly all the same text: raise grpo.temperature from {told.temperature:g}"
        )
    elif not ways:
        ways.append(
            "the completions differ and the rewards do not see it: take rewards with more steps "
            f"(what each pays: hft rewards {loaded.name})"
        )
    ways.append("teach the form by method: sft first, and begin here with what it trained (parent: NAME)")
    return ways


def to_the_tags(recipe: Recipe, tags: Tags, said: str) -> list[str]:
    """What helps a model that does not write the tags which the rewards look for."""
    rewards = {reward.name: reward for reward in recipe.rewards or []}
    pay = [] if "format_approximate" in rewards else ["add format_approximate, which pays for each tag"]
    if {"answer", "number"} & rewards.keys() and not ("answer" in rewards and "untagged" in rewards["answer"].options):
        pay.append("take answer with the options {untagged: 0.5}, which pays a right answer without tags too")
    ways = [f"{said}, and these rewards want it: {'; '.join(pay)}"] if pay else []
    if not tags.opened and not recipe.prompt.prefill:
        ways.append(f'open the reasoning for the model: prompt.prefill: "{tags.start}\\n"')
    return ways


class Window:
    """The last steps of a training, judged as the dry draw was."""

    def __init__(self, told: dict[str, Any]):
        self.limit, self.risen_above = told.get("limit"), told.get("risen_above", math.inf)
        steps = max(STEPS, math.ceil(GROUPS / told.get("groups_a_step", GROUPS)))
        self.rows: deque[dict[str, Any]] = deque(maxlen=steps)

    def add(self, row: dict[str, Any]) -> None:
        """Take a step's row of metrics in, and the oldest out."""
        self.rows.append(row)

    @property
    def share(self) -> float:
        """Of the groups, how many are flat."""
        return sum(row.get("frac_reward_zero_std") or 0 for row in self.rows) / len(self.rows)

    @property
    def stands_still(self) -> bool:
        """True where too many groups are flat, unless rewards have risen: a model that has learned scores alike too."""
        if self.limit is None or len(self.rows) < (self.rows.maxlen or 0):
            return False
        mean = sum(row["reward"] for row in self.rows) / len(self.rows)
        return self.share > self.limit + 1e-9 and mean <= self.risen_above
