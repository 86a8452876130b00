"""What makes a function of no use as a whole: chance, memory of earlier calls, any clock; and what does not."""

import datetime
import shutil

import pytest
from functions import made
from hypothesis import given, settings
from hypothesis import strategies as st

from hft.data.sandbox import repeat
from hft.data.sandbox import run as sandbox
from hft.data.sources import codeio

needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
MANY = "return {'n': random.randint(1, 400)}"
HEAD = "import secrets, uuid\nfrom datetime import datetime as kept\nSTART, NOW, seen = time.time(), kept.now, {}"
EPOCH = datetime.datetime(2024, 1, 1)
HALVES = {
    "minute": lambda now: now.second < 30,
    "hour": lambda now: now.minute < 30,
    "day": lambda now: now.hour < 12,
    "night": lambda now: 6 <= now.hour < 18,
    "week": lambda now: now.weekday() < 4,
    "month": lambda now: now.day < 16,
    "year": lambda now: now.month < 7,
    "summer": lambda now: 4 <= now.month < 10,
}
UNITS = {
    "hour": lambda now: now.hour,
    "minute": lambda now: now.minute,
    "weekday": lambda now: now.weekday(),
    "month": lambda now: now.month,
    "year": lambda now: now.year,
}


def outcome(body, generator=MANY):
    """The statuses of the function's pairs, each once; that of a dropped one stands in brackets."""
    head = HEAD + "\nimport numpy" * ("numpy" in body + generator)
    pairs = repeat.pairs_of(codeio.function(made(body, generator, head), 1), 10, 0, sandbox.Limits(60, processor=20))
    return sorted({pair["status"] if pair["input"] is not None else f"({pair['status']})" for pair in pairs})


@settings(database=None, max_examples=500)
@given(st.integers(0, 40 * 365 * 86400))
def test_from_any_second_on_a_later_clock_shows_another_half_and_another_parity(seconds):
    now = EPOCH + datetime.timedelta(seconds=seconds)
    later = [now + datetime.timedelta(seconds=ahead) for ahead in repeat.LATER]
    assert len(later) == 3
    for half in HALVES.values():
        assert {half(one) for one in later} != {half(now)}
    for unit in UNITS.values():
        assert any(unit(one) != unit(now) for one in later)
        assert {unit(one) % 2 for one in later} != {unit(now) % 2}


@needs_bubblewrap
@pytest.mark.parametrize(
    "body",
    [
        "return [random.random() for _ in range(n)][-1] < .2",  # before, 9 of 10 pairs were kept
        "return random.Random().random() < .2",
        "return random.SystemRandom().random() < .2",
        "return secrets.randbelow(2)",
        "return uuid.uuid4().int % 2",
        "return os.urandom(1)[0] % 2",
        "return open('/dev/urandom', 'rb').read(1)[0] % 2",
        "return int(numpy.random.default_rng().integers(2))",
        "return int(numpy.random.rand() < .3)",  # before, 10 of 10: numpy was seeded alike
        "return id(object()) // 16 % 2",
        "return hash(object()) % 2",
        "return next(iter({'a', 'b'}))",
        "return seen.setdefault(n % 3, len(seen))",  # a memo that counts its calls
        "return seen.update({len(seen): n}) or len(seen) < 7",
        "return 1 // (n % 9 or random.random() > .5)",  # fails now and then, for one pair
    ],
)
def test_one_random_pair_condemns_the_function(body):
    assert outcome(body) == ["(random)"]


@needs_bubblewrap
def test_a_choice_among_equals_condemns_the_function_too():
    lists = "return {'n': [random.randint(1, 3) for _ in range(4)]}"
    assert outcome("return random.choice(n)", lists) == ["(random)"]
    assert outcome("return random.random() < .2", "return {'n': 1}") == ["(random)"]


@needs_bubblewrap
@pytest.mark.parametrize(
    "value",
    [
        "time.localtime().tm_hour < 12",
        "time.gmtime().tm_hour < 12",
        "datetime.datetime.now().hour < 12",
        "datetime.datetime.utcnow().minute < 30",
        "datetime.datetime.today().weekday() < 3",
        "datetime.date.today().day < 16",
        "NOW().hour < 12",  # bound before
        "int(time.strftime('%H')) < 12",
        "time.ctime()[11] == '0'",
        "time.asctime()[11] == '0'",
        "time.time_ns() // 3600_000_000_000 % 2",
        "int(time.monotonic() // 3600) % 2",
        "int(time.perf_counter() // 3600) % 2",
        "int(time.process_time() // 60)",
        "int(time.clock_gettime(0) // 3600) % 2",
        "int(START // 3600 % 2)",  # read once, when the module loads
    ],
)
def test_a_clock_shows_however_it_is_read(value):
    assert outcome(f"return {value}") == ["(depends on time)"]


@needs_bubblewrap
def test_a_limit_of_its_own_by_the_clock_shows():
    """What it finds before the limit depends on how busy the machine is."""
    assert outcome("begin = time.monotonic()\n    time.sleep(.02)\n    return time.monotonic() - begin < .15") == [
        "(depends on time)"
    ]


@needs_bubblewrap
@pytest.mark.parametrize(
    ("body", "generator"),
    [
        ("return random.Random(0).random()", MANY),
        ("random.seed(n)\n    return random.random()", MANY),
        ("return sorted(random.sample(range(9), 9)) + [n]", MANY),  # draws, but the result is the same
        ("seen[n] = seen.get(n) or n * n\n    return seen[n]", MANY),  # a memo that only remembers
        ("return isinstance(datetime.datetime.now(), datetime.date)", MANY),
        ("return repr(datetime.datetime(2020, 1, n))", "return {'n': random.randint(1, 9)}"),
        ("print('x' * 300_000)\n    return n", MANY),  # less than the limit in each call
        ("return n", "return {'n': int(numpy.random.randint(1, 400))}"),
        ("return n", "return {'n': random.choice(list({'a', 'b', 'c', 'd'}))}"),
    ],
)
def test_what_gives_the_same_each_time_is_kept(body, generator):
    assert outcome(body, generator) == ["ok"]


@needs_bubblewrap
@pytest.mark.parametrize(
    "value",
    ["random.SystemRandom().randint(1, 400)", "numpy.random.default_rng().integers(400).item()", "int(time.time())"],
)
def test_a_generator_that_makes_other_inputs_each_time_gives_no_rows(value):
    assert outcome("return n", f"return {{'n': {value} + random.randint(1, 9)}}") == ["(random input)"]


@needs_bubblewrap
def test_a_thread_that_could_not_start_is_the_machines_doing():
    """Where hft runs as root all sandboxes count together against the limit on processes."""
    limits = sandbox.Limits(20, processes=1)
    function = codeio.function(made("threading.Thread(target=int).start()\n    return n", head="import threading"), 1)
    assert repeat.pairs_of(function, 4, 0, limits) == repeat.dropped("processes")
    assert "processes" in codeio.BUSY
