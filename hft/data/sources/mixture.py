"""`source: mixture`: rows of several sources, all of them or in given proportions; hft/data/rows.py reads and draws them."""


def sizes(rows: list[int], weights: list[float] | None) -> list[int]:
    """How many rows each part gives: all, or the most that stand in the proportions of `weights` without a row used twice."""
    if not weights:
        return rows
    unit = min(count / weight for count, weight in zip(rows, weights, strict=True))
    return [max(1, min(count, round(unit * weight))) for count, weight in zip(rows, weights, strict=True)]
