"""A model that comes as one GGUF file is converted once, however many processes want it."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from hft.errors import HftError
from hft.model import base as models
from hft.model import packaged
from hft.recipe.schema import Model

SCRIPT = """
import sys
from pathlib import Path
from hft.model import packaged

def convert(gguf, folder):
    sys.stdin.readline()
    (folder / "config.json").write_text("{}")

packaged.convert = convert
print(packaged.to_folder(Path(sys.argv[1])))
"""


@pytest.fixture
def gguf(tmp_path, monkeypatch):
    """A file to convert, in place of a model."""
    monkeypatch.setenv("HFT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.gguf"
    file.write_bytes(b"weights")
    return file


def write(gguf, folder):
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(gguf.read_bytes())


def test_a_model_is_converted_once(gguf, monkeypatch, capsys):
    monkeypatch.setattr(packaged, "convert", write)
    folder = packaged.to_folder(gguf)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert capsys.readouterr().out.startswith("Converting small.gguf to ")
    assert packaged.to_folder(gguf) == folder
    assert capsys.readouterr().out == ""


def test_of_two_processes_that_want_it_at_once_one_converts(gguf):
    both = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(gguf)],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        both.append((process, process.stdout.readline()))  # when it converts, or waits
    (first, converting), (second, waiting) = both
    folder = packaged.folder_of(gguf)
    assert converting == f"Converting small.gguf to {folder} (once, about half a minute) ...\n"
    assert waiting == f"Waiting for another process, which is making {folder} ...\n"
    assert first.communicate("go on\n", timeout=20) == (f"{folder}\n", None)
    assert second.communicate(timeout=20) == (f"{folder}\n", None)


def test_a_conversion_that_fails_leaves_nothing_and_the_next_one_makes_it(gguf, monkeypatch):
    def fail(gguf, folder):
        (folder / "config.json").write_text("{}")
        raise HftError("no", "try again")

    monkeypatch.setattr(packaged, "convert", fail)
    with pytest.raises(HftError, match="no"):
        packaged.to_folder(gguf)
    assert not packaged.folder_of(gguf).exists()
    monkeypatch.setattr(packaged, "convert", write)
    assert packaged.to_folder(gguf).is_dir()


@pytest.mark.parametrize(
    ("package", "version", "problem"),
    [
        ("no-such-package-of-models", "1", "the model pypi:no-such-package-of-models needs the Python package"),
        ("pytest", "0.1", r"the recipe wants pytest 0.1, and \d"),
    ],
)
def test_a_package_that_is_not_the_recipes_is_named(package, version, problem):
    with pytest.raises(HftError, match=problem):
        packaged.gguf_in_package(package, version)


def test_a_package_without_a_model_is_named():
    from importlib.metadata import version

    with pytest.raises(HftError, match=r"the package pytest holds no \.gguf file"):
        packaged.gguf_in_package("pytest", version("pytest"))


def test_how_a_files_weights_are_stored_is_read_from_it(tmp_path):
    import numpy
    from gguf import GGMLQuantizationType as Kind
    from gguf import GGUFWriter

    def write(name, **counts):
        writer = GGUFWriter(tmp_path / name, "llama")
        for kind, count in counts.items():
            block, size = {"Q4_1": (32, 20), "Q8_0": (32, 34), "F16": (1, 2), "F32": (1, 4)}[kind]
            stored = numpy.zeros((1, count // block * size), numpy.uint8)
            writer.add_tensor(f"{kind}.weight", stored, raw_dtype=Kind[kind])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return packaged.stored(tmp_path / name)

    assert write("a.gguf", Q4_1=6400, Q8_0=1600, F32=20) == "Q4_1 (80 %) and Q8_0 (20 %), dequantised to 16 bits"
    assert write("b.gguf", F16=640) == "F16 (100 %), rounded to 16 bits"


def test_the_passport_names_what_the_packaged_model_was(gguf, monkeypatch):
    monkeypatch.setattr(packaged, "convert", write)
    monkeypatch.setattr(packaged, "stored", lambda file: f"what {file.name} says")
    source = models.resolve(Model(name=str(gguf), revision="1", max_tokens=8))
    assert models.facts(source)["stored"] == "what small.gguf says"
    assert "stored" not in models.facts(models.Source(source.name, None))
