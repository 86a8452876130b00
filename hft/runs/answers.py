"""What two runs answered: the same words or not, and whether their scores are further apart than by chance."""

from pathlib import Path
from typing import Any, NamedTuple

from hft.evaluate import intervals, scores
from hft.evaluate.intervals import Interval
from hft.evaluate.table import difference

Records = list[dict[str, Any]]
FROM_PASSPORTS = "from the passports alone, as if on other questions"


class Made(NamedTuple):
    """A finished run: its name, its passport, and its folder where that is at hand."""

    name: str
    facts: dict[str, Any]
    folder: Path | None = None


def trained(facts: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The name and the scores of a passport's column of the trained model; None where it was not asked."""
    asked = facts["evaluation"] or {}
    return next(((name, asked[name]) for name in scores.TRAINED if name in asked), None)


def of_run(made: Made) -> Records:
    """The trained model's answers, as far as they are at hand."""
    column = trained(made.facts)
    return scores.kept(made.folder).get(column[0], []) if column and made.folder else []


def on_the_same(a: Made, b: Made) -> tuple[Records, Records] | None:
    """The answers of both; None where they are not at hand, or were given to other questions."""
    first, second = of_run(a), of_run(b)
    same = [record["id"] for record in first] == [record["id"] for record in second]
    return (first, second) if first and same else None


def same_words(a: Made, b: Made) -> tuple[str, bool]:
    """(how the trained models' answers compare, True when all are the same, or when neither was asked).

    Where the folders are not at hand, or hold no answers (references/NAME), the hashes in the passports tell.
    """
    if unasked := not_asked(a, b):
        return unasked
    if both := on_the_same(a, b):
        pairs = list(zip(*both, strict=True))
        other = sum(first["answer"] != second["answer"] for first, second in pairs)
        return (f"{other} of {len(pairs)} differ", False) if other else (f"all {len(pairs)} are the same", True)
    if of_run(a) and of_run(b):
        return "to other questions", False
    first, second = (kept(made.facts) for made in (a, b))
    if first is None or second is None:
        return "unknown: neither a run folder nor a hash in the passport", False
    if first == second:
        return "the same by their hashes", True
    without = " and ".join(side for side, made in (("A", a), ("B", b)) if made.folder and not of_run(made))
    how_many = f"not kept in {without}" if without else "name the run folders to see how many"
    return f"they differ by their hashes: {how_many}", False


def kept(facts: dict[str, Any]) -> str | None:
    """The SHA-256 of the trained model's answers; None where the passport has none."""
    column = trained(facts)
    return facts["artefacts"].get(f"answers/{column[0]}.jsonl") if column else None


def not_asked(a: Made, b: Made) -> tuple[str, bool] | None:
    """What to say where a trained model was not asked, and True when neither was; None where both were."""
    first, second = trained(a.facts), trained(b.facts)
    if first and second:
        return None
    if not first and not second:
        return "not evaluated", True
    return f"only {'A' if first else 'B'} was evaluated", False


def evaluations(a: Made, b: Made) -> tuple[str, bool]:
    """(how the trained models' scores compare, True when chance explains the difference, or when neither was asked).

    Compared are the score that stands for the others and, where there are any, the recipe's rewards.
    """
    if unasked := not_asked(a, b):
        return unasked
    (_, before), (_, after) = filter(None, (trained(made.facts) for made in (a, b)))
    both = on_the_same(a, b)
    found = [hits(before, after, both)]
    if "reward" in before and "reward" in after:
        found.append(rewards(before, after, both))
    where = f"on the same {len(both[0])} questions" if both else FROM_PASSPORTS
    words = "; ".join(said for said, _ in found)
    return f"{words} {where}", not any(intervals.excludes_zero(points) for _, points in found)


def hits(before: dict[str, Any], after: dict[str, Any], both: tuple[Records, Records] | None) -> tuple[str, Interval]:
    """The score that stands for the others, in words, and the difference x 100."""
    (name, first), (_, second) = scores.headline_of_json(before), scores.headline_of_json(after)
    if both:
        one, other = ([scores.hit(record) for record in records] for records in both)
        points = intervals.paired(one, other)
    else:
        points = intervals.unpaired(counted(first.mean, before), counted(second.mean, after))
    return f"{name} {first.mean:.1f} / {second.mean:.1f}, difference {difference(points)}", points


def counted(percent: float, column: dict[str, Any]) -> Interval:
    """A share of the column's questions with this version's interval, whichever one its passport has."""
    right = round(percent / 100 * column["questions"])
    return intervals.share([1.0] * right + [0.0] * (column["questions"] - right))


def rewards(
    before: dict[str, Any], after: dict[str, Any], both: tuple[Records, Records] | None
) -> tuple[str, Interval]:
    """The mean reward, in words, and the difference."""
    first, second = Interval(**before["reward"]), Interval(**after["reward"])
    if both:
        one, other = ([record["reward"] for record in records] for records in both)
        points = intervals.paired(one, other, scale=1.0)
    else:
        points = intervals.unpaired(first, second)
    return f"mean reward {first.mean:.2f} / {second.mean:.2f}, difference {difference(points, 2)}", points
