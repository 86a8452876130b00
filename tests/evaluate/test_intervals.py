"""Intervals: published examples, and how often they hold the truth, counted over all samples that can come about."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.evaluate import intervals
from hft.evaluate.intervals import Interval

QUICK = settings(deadline=None, database=None, max_examples=100)
ASKED = [16, 72, 500]
RATES = [rate / 100 for rate in range(2, 99)]
NAN = float("nan")


def answers(hits, of):
    return [1.0] * hits + [0.0] * (of - hits)


def sides(both, only_before, only_after, neither):
    """The values before and after of a 2 x 2 table."""
    before = [1.0] * (both + only_before) + [0.0] * (only_after + neither)
    return before, [1.0] * both + [0.0] * only_before + [1.0] * only_after + [0.0] * neither


def limits(interval, digits):
    return round(interval.low, digits), round(interval.high, digits)


def probability(counts, rates):
    """Of a multinomial sample."""
    if any(count and not rate for count, rate in zip(counts, rates, strict=True)):
        return 0.0
    ways = math.lgamma(sum(counts) + 1) - sum(math.lgamma(count + 1) for count in counts)
    return math.exp(ways + sum(n * math.log(rate) for n, rate in zip(counts, rates, strict=True) if n))


def covered(found, rate):
    """The probability of the samples whose interval (by the number of hits) holds the rate."""
    of = len(found) - 1
    return sum(
        probability((hits, of - hits), (rate, 1 - rate))
        for hits, interval in enumerate(found)
        if interval.low <= rate <= interval.high
    )


@pytest.fixture
def wilson(monkeypatch):
    """Wilson's interval as it stands in the literature."""
    intervals.lowest.cache_clear()
    monkeypatch.setattr(intervals, "exact", lambda hits, of: 1.0)
    yield
    intervals.lowest.cache_clear()


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_newcombes_published_one(wilson, hits, of, low, high):
    """Table I of R. G. Newcombe, Two-sided confidence intervals for the single proportion, 1998."""
    assert limits(intervals.share(answers(hits, of), 1), 4) == (low, high)


def test_square_and_add_is_the_published_one(wilson):
    """56 of 70 against 48 of 80 (Newcombe 1998); 21 patients of Bentur et al. (Fagerland, Lydersen, Laake 2014)."""
    one, other = (intervals.share(answers(*counts), 1) for counts in ((48, 80), (56, 70)))
    assert limits(intervals.unpaired(one, other), 4) == (0.0524, 0.3339)
    assert limits(intervals.paired(*sides(1, 7, 1, 12), 1), 3) == (-0.507, -0.026)


@pytest.mark.parametrize(
    ("hits", "of", "mean", "low", "high"),
    [
        (0, 72, 0, 0, 5.07),
        (72, 72, 100, 94.93, 100),
        (68, 72, 94.44, 86.57, 98.29),  # Wilson: 97.82
        (1, 72, 1.39, 0.05, 7.46),  # Wilson: 0.25
        (0, 16, 0, 0, 19.36),
        (8, 16, 50, 26.14, 73.86),
        (4, 16, 25, 8.06, 50.53),  # Wilson's would leave out a half: 10.18 to 49.5
        (80, 160, 50, 42.34, 57.66),  # Wilson's, as nearly always
        (346, 500, 69.2, 65.02, 73.09),
        (1, 1, 100, 3.5, 100),
    ],
)
def test_the_interval_of_a_share(hits, of, mean, low, high):
    found = intervals.share(answers(hits, of))
    assert (round(found.mean, 2), *limits(found, 2)) == (mean, low, high)


@pytest.mark.parametrize("values", [[0.5], [0, 1, 2], [NAN]])
def test_what_is_no_share_is_refused(values):
    with pytest.raises(ValueError, match="a share is of zeros and ones"):
        intervals.share(values)


@pytest.mark.parametrize("of", ASKED)
def test_a_share_is_covered_in_93_of_100_samples_and_in_95_on_average(of):
    found = [intervals.share(answers(hits, of), 1) for hits in range(of + 1)]
    shares = [covered(found, rate) for rate in RATES]
    assert min(shares) >= 0.93
    assert 0.95 <= sum(shares) / len(shares) < 0.975


@pytest.mark.parametrize(("of", "rates"), [(16, RATES), (72, RATES[::6]), (500, [0.02, 0.03, 0.05])])
def test_a_mean_within_bounds_is_covered_even_where_most_values_are_alike(of, rates):
    """Zeros and ones are the hardest case; above `most` hits no sample comes about, and none counts as covered."""
    most = of if of < 500 else 60
    found = [intervals.mean(answers(hits, of), within=(0, 1)) for hits in range(most + 1)]
    nothing = [Interval(2, 2, 2)] * (of - most)
    assert min(covered(found + nothing, rate) for rate in rates) >= 0.925


TABLES = [  # both, only before, only after, neither
    [0.02, 0, 0, 0.98],
    [0.01, 0.01, 0.04, 0.94],
    [0.3, 0.05, 0.15, 0.5],
    [0.25, 0.25, 0.25, 0.25],
    [0.5, 0.02, 0.3, 0.18],
    [0.05, 0, 0.9, 0.05],
    [0.68, 0.02, 0.02, 0.28],
    [0.93, 0.02, 0.05, 0],
    [0.97, 0, 0.01, 0.02],
]


@pytest.mark.parametrize("rates", TABLES)
def test_a_paired_difference_of_16_is_covered_in_93_of_100_samples(rates):
    """Counted over all 969 tables of 16 questions."""
    total = 0.0
    for table in itertools.product(range(17), repeat=3):
        if sum(table) <= 16 and (chance := probability(counts := (*table, 16 - sum(table)), rates)):
            found = intervals.paired(*sides(*counts), 1)
            total += chance * (found.low <= rates[2] - rates[1] + 1e-12 and rates[2] - rates[1] - 1e-12 <= found.high)
    assert total >= 0.93


@pytest.mark.parametrize("of", [72, 500])
@pytest.mark.parametrize("rates", TABLES)
def test_a_paired_difference_is_covered_in_93_of_100_samples(of, rates):
    """Drawn 1,000 times: 0.93 is 3 standard errors below 0.95."""
    numpy = pytest.importorskip("numpy")
    draws = numpy.random.default_rng(0).multinomial(of, rates, size=1000).tolist()
    truth = rates[2] - rates[1]
    found = [intervals.paired(*sides(*table), 1) for table in draws]
    assert sum(one.low <= truth <= one.high for one in found) >= 930


@pytest.mark.parametrize(
    ("table", "mean", "low", "high", "by_chance"),
    [
        ((11, 0, 0, 5), 0, -13.6, 13.6, True),  # nothing changed in 16 questions
        ((0, 0, 0, 16), 0, -19.4, 19.4, True),
        ((341, 0, 8, 151), 1.6, 0.4, 2.8, False),  # 8 gained and none lost of 500: McNemar's p is 0.008
        ((346, 4, 6, 144), 0.4, -0.9, 1.7, True),
        ((68, 4, 0, 0), -5.6, -13.4, 0.8, True),  # 72 of 72 against 68 of 72: McNemar's p is 0.125
        ((0, 0, 72, 0), 100, 92.8, 100, False),
    ],
)
def test_the_difference_on_the_same_questions(table, mean, low, high, by_chance):
    found = intervals.paired(*sides(*table))
    assert (round(found.mean, 1), *limits(found, 1)) == (mean, low, high)
    assert intervals.excludes_zero(found) is not by_chance
    other_way = intervals.paired(*reversed(sides(*table)))
    assert (other_way.low, other_way.high) == pytest.approx((-found.high, -found.low))


def test_the_same_questions_tell_more_than_others():
    before, after = sides(341, 0, 8, 151)
    apart = intervals.unpaired(intervals.share(before), intervals.share(after))
    assert (round(apart.mean, 1), *limits(apart, 1)) == (1.6, -4.1, 7.3)
    assert not intervals.excludes_zero(apart)


def test_other_values_are_paired_by_the_bootstrap_of_their_differences():
    before, after = [0.5, 2.0, -1.0, 4.0], [0.75, 2.5, -0.5, 4.25]
    assert intervals.paired(before, after, 1) == intervals.mean([0.25, 0.5, 0.5, 0.25])
    assert intervals.paired(before, before, 1) == Interval(0, 0, 0)
    with pytest.raises(ValueError, match="zip"):
        intervals.paired(before, after[1:])


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(-1, 1, False), (0, 1, False), (-1, 0, False), (0.1, 1, True), (-1, -0.1, True), (NAN, NAN, True)],
)
def test_zero_lies_in_the_interval_or_chance_does_not_explain_it(low, high, excludes):
    assert intervals.excludes_zero(Interval((low + high) / 2, low, high)) is excludes


def test_a_mean_keeps_all_its_digits_and_is_drawn_in_blocks(monkeypatch):
    values = [n / 7 for n in range(50)]
    whole = intervals.mean(values)
    assert (whole.mean, round(whole.low, 3), round(whole.high, 3)) == (pytest.approx(3.5), 2.946, 4.054)
    assert len(str(whole.low)) > 8
    monkeypatch.setattr(intervals, "BLOCK", 120)
    assert intervals.mean(values) == whole


@QUICK
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_the_interval_of_a_mean_holds_it_and_is_the_same_every_time(values):
    found = intervals.mean(values)
    assert found.low <= found.mean <= found.high
    assert intervals.mean(values) == found


@QUICK
@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_shares_and_differences_stay_in_their_range_and_hold_what_was_seen(values, random):
    share = intervals.share(values)
    assert 0 <= share.low <= share.mean <= share.high <= 100
    mirrored = intervals.share([1 - value for value in values])
    assert (mirrored.low, mirrored.high) == pytest.approx((100 - share.high, 100 - share.low))
    other = random.sample(values, len(values))
    apart = intervals.paired(values, other)
    assert -100.0001 <= apart.low <= apart.mean == 0 <= apart.high <= 100.0001
