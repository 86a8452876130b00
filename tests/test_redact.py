"""Secrets: no value of a secret variable and nothing shaped like a token is ever written."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hft import redact, terminal

QUICK = settings(deadline=None, database=None, max_examples=60)
LETTERS = "aB3" * 6  # 18 letters and digits
SECRET_NAMES = [
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "WANDB_API_KEY",
    "my_api_key",
    "AWS_SECRET_ACCESS_KEY",
    "DB_PASSWORD",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "Token",
]
SHAPES = [
    f"hf_{LETTERS}",
    f"sk-{LETTERS}",
    f"sk-proj-{LETTERS}_-{LETTERS}",
    f"sk-ant-api03-{LETTERS}",
    *(f"gh{kind}_{LETTERS}" for kind in "pousr"),
]
HARMLESS = [
    "",
    "서울",
    "hf_token",
    "hf_short123",
    "sk-learn",
    "task-specific-learning-rates",
    "loss 1.2345, 5,000 tokens/s",
    "HuggingFaceTB/SmolLM2-135M-Instruct@7e27bd9f95328f0f3b08261d1252705110c806f8",
    "a" * 64,
    "ghp_",
    "shelf_life_of_everything_here",
]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No secrets but the tests' own."""
    for name in [name for name in os.environ if redact.NAMES.search(name)]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_the_value_of_a_secret_variable_is_never_written(monkeypatch, name):
    monkeypatch.setenv(name, "correct horse")
    assert (
        redact.text("GET /?key=correct horse&again=correct horsecorrect horse")
        == "GET /?key=[secret]&again=[secret][secret]"
    )


@pytest.mark.parametrize("name", ["HFT_RUNS", "PATH", "HF_HOME", "CUDA_VISIBLE_DEVICES", "APIKEYS"])
def test_other_variables_are_written(monkeypatch, name):
    monkeypatch.setenv(name, "/mnt/disk/runs")
    assert redact.text("in /mnt/disk/runs") == "in /mnt/disk/runs"


@pytest.mark.parametrize(
    ("value", "written"), [("12345678", "[secret]"), ("1234567", "1234567"), ("false", "false"), ("", "")]
)
def test_a_switch_is_not_a_secret_and_eight_letters_are(monkeypatch, value, written):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", value)
    assert redact.text(f"<{value}>") == f"<{written}>"


@pytest.mark.parametrize("names", [("A_TOKEN", "B_TOKEN"), ("B_TOKEN", "A_TOKEN")])
def test_of_two_secrets_the_longer_goes_first(monkeypatch, names):
    monkeypatch.setenv(names[0], "password")
    monkeypatch.setenv(names[1], "password-and-more")
    assert redact.text("password-and-more, password") == "[secret], [secret]"


@pytest.mark.parametrize("token", SHAPES)
@pytest.mark.parametrize("around", ["{}", "token={}", '{{"token": "{}"}}', "https://user:{}@hub/", "열쇠: {}.", "({})"])
def test_what_looks_like_a_token_is_never_written(around, token):
    assert redact.text(around.format(token)) == around.format("[secret]")


def test_a_key_in_an_address_is_never_written():
    assert redact.text(f"https://{'0a' * 20}@api.wandb.ai/") == "https://[secret]@api.wandb.ai/"


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays_as_it_is(text):
    assert redact.text(text) == text


LETTER = st.characters(codec="utf-8", exclude_characters="[]\0")
VALUES = st.text(LETTER, min_size=8, max_size=20).filter(lambda value: len(value.strip()) >= 8)


@QUICK
@given(VALUES, VALUES, st.text(max_size=10), st.text(max_size=10))
def test_no_secret_survives_whatever_stands_around_it(one, other, before, after):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONE_TOKEN", one)
        patch.setenv("OTHER_PASSWORD", other)
        written = redact.text(before + one + after + other + one)
    assert one not in written
    assert other not in written


@QUICK
@given(st.text(), st.sampled_from(SHAPES))
def test_redacting_twice_is_redacting_once(text, token):
    once = redact.text(f"{text} {token} {text}")
    assert redact.text(once) == once
    assert token not in once


def test_the_log_and_the_terminal_get_no_secret(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "correct horse")
    with pytest.raises(RuntimeError), terminal.to(tmp_path / "log.txt"):
        terminal.say("loading with correct horse")
        raise RuntimeError("401 for correct horse")
    assert capsys.readouterr().out == "loading with [secret]\n"
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "loading with [secret]",
        "ended by: RuntimeError('401 for [secret]')",
    ]


@pytest.mark.parametrize("value", ['pass"word"1', "back\\slash1", "two\nlines1"])
def test_a_secret_is_not_written_as_json_either(monkeypatch, value):
    monkeypatch.setenv("DB_PASSWORD", value)
    assert json.loads(redact.text(json.dumps({"address": f"db:{value}@host"}, ensure_ascii=False))) == {
        "address": "db:[secret]@host"
    }


def test_a_secret_with_white_space_around_it_is_found_without(monkeypatch):
    monkeypatch.setenv("HUB_TOKEN", "correct horse\n")
    assert redact.text("sent: correct horse.") == "sent: [secret]."


@pytest.mark.parametrize("token", [f"github_pat_{LETTERS}_{LETTERS}", f"my_hf_{LETTERS}"])
def test_more_shapes_of_tokens_are_known(token):
    assert LETTERS not in redact.text(token)


def test_a_mounted_token_is_never_written(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("a-token-of-no-known-shape\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    redact.mounted.cache_clear()
    assert redact.text(f"from {tmp_path}/token: a-token-of-no-known-shape") == f"from {tmp_path}/token: [secret]"
    redact.mounted.cache_clear()
