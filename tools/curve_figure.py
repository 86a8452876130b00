"""Draws curves over steps as one small SVG: a panel a measure, light or dark as the reader's screen is."""

import math
from html import escape
from itertools import groupby
from typing import NamedTuple

WIDE, HIGH = 400, 190  # of a panel, in pixels
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 26, 34  # of its margins
POINTS = 150  # at most, of a curve: neighbouring steps become their mean
STYLE = """
  text { font: 11px sans-serif; fill: #57606a } .title { font-size: 12px; fill: #24292f }
  .grid { stroke: #d8dee4 } .curve { stroke: #0969da; stroke-width: 1.6 } .other { stroke: #8c959f; opacity: .6 }
  .band { fill: #0969da; opacity: .15 } polyline { fill: none; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #8b949e } .title { fill: #e6edf3 } .grid { stroke: #30363d } .curve { stroke: #58a6ff }
    .band { fill: #58a6ff; opacity: .2 }
  }
"""


class Panel(NamedTuple):
    """One measure over the steps; a step without a number (None, NaN, infinity) is a gap in its curve."""

    title: str
    curve: list[float | None]  # of step 1, 2, ...
    spread: list[float | None] | None = None  # the band is the curve plus and minus this
    others: tuple[list[float | None], ...] = ()  # thin curves behind it, of other runs


def draw(name: str, panels: list[Panel]) -> str:
    """The SVG: panels two in a row, a single one alone."""
    across = min(2, len(panels))
    wide, high = across * WIDE, math.ceil(len(panels) / across) * HIGH
    drawn = [
        f'<g transform="translate({number % across * WIDE},{number // across * HIGH})">\n{one(panel)}\n</g>'
        for number, panel in enumerate(panels)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    title = f"<title>{escape(name)}: {escape(', '.join(panel.title for panel in panels))}, over the steps</title>"
    return "\n".join([f'{head} role="img">', title, f"<style>{STYLE}</style>", *drawn, "</svg>", ""])


def one(panel: Panel) -> str:
    """A panel: grid with numbers, band, other curves, the curve."""
    curve, *others = (thinned(values) for values in (panel.curve, *panel.others))
    spread = thinned(panel.spread or [])
    edges = [(step, value - apart, value + apart) for (step, value), (_, apart) in zip(curve, spread, strict=False)]
    values = [value for points in (curve, *others) for _, value in points] + [y for edge in edges for y in edge[1:]]
    heights = ticks(*limits([value for value in values if math.isfinite(value)]))
    steps = max([len(panel.curve), *map(len, panel.others), 2])

    def at(step: float, value: float) -> str:
        along = (step - 1) / (steps - 1) * (WIDE - LEFT - RIGHT)
        up = (value - heights[0]) / (heights[-1] - heights[0]) * (HIGH - TOP - BOTTOM)
        return f"{LEFT + along:.1f},{HIGH - BOTTOM - up:.1f}"

    lines = [f'<text class="title" x="{LEFT}" y="16">{escape(panel.title)}</text>']
    for height in heights:
        y = at(1, height).partition(",")[2]
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{number(height)}</text>')
    for step in sorted({1, (steps + 1) // 2, steps}):
        x = at(step, heights[0]).partition(",")[0]
        lines.append(f'<text x="{x}" y="{HIGH - BOTTOM + 14}" text-anchor="middle">{step}</text>')
    lines.append(f'<text x="{(LEFT + WIDE - RIGHT) / 2:.0f}" y="{HIGH - 6}" text-anchor="middle">step</text>')
    for part in unbroken(edges):
        border = [at(step, high) for step, _, high in part] + [at(step, low) for step, low, _ in reversed(part)]
        lines.append(f'<polygon class="band" points="{" ".join(border)}"/>')
    for kind, points in [*(("other", points) for points in others), ("curve", curve)]:
        for part in unbroken(points):
            lines.append(f'<polyline class="{kind}" points="{" ".join(at(*point) for point in part)}"/>')
    return "\n".join(lines)


def thinned(values: list[float | None]) -> list[tuple[float, float]]:
    """(step, value), at most POINTS of them, each the mean of as many steps; NaN where a step has no number."""
    numbers = [math.nan if value is None else float(value) for value in values]
    each = bundle(len(numbers))
    parts = [(start, numbers[start : start + each]) for start in range(0, len(numbers), each)]
    return [(start + (len(part) + 1) / 2, sum(part) / len(part)) for start, part in parts]


def bundle(steps: int) -> int:
    """How many steps one point of a curve stands for."""
    return max(1, math.ceil(steps / POINTS))


def unbroken(points: list[tuple]) -> list[list[tuple]]:
    """The stretches of points that are all numbers."""
    groups = groupby(points, key=lambda point: all(math.isfinite(value) for value in point))
    return [list(part) for whole, part in groups if whole]


def limits(values: list[float]) -> tuple[float, float]:
    """The lowest and the highest value, apart from each other."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers around the values."""
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * place for place in range(first, last + 1)]


def number(value: float) -> str:
    """A tick as it is read: at most four digits."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value / 1000:.4g}k"
