"""A mean and how far it may be off: bootstrap intervals of scores."""

from dataclasses import dataclass

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean, and the 95 % interval of it."""

    mean: float
    low: float
    high: float


def of(values: list[float]) -> Interval:
    """Mean, and the bootstrap's 95 % interval of it (percentile, seed 0), to two places."""
    import numpy

    sample = numpy.array(values)
    draws = numpy.random.default_rng(0).integers(0, len(sample), size=(RESAMPLES, len(sample)))
    low, high = numpy.percentile(sample[draws].mean(axis=1), [2.5, 97.5])
    return Interval(*(round(float(value), 2) for value in (sample.mean(), low, high)))
