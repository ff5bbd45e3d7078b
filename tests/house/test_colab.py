"""Colab keeps what it preinstalls: our requirements accept its versions, and the check that compares them works."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module")
def colab() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colab", ROOT / ".github" / "colab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_says_where_and_when_it_is_from(colab: ModuleType) -> None:
    pins = colab.listed()
    assert {"ipython", "ipywidgets", "numpy", "torch", "torchvision", "pillow", "matplotlib", "requests"} <= set(pins)
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in pins.values())
    head = colab.LIST.read_text(encoding="utf-8")
    assert re.search(r"commit [0-9a-f]{40} \(\w+ 20\d\d\)", head)


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebook"]])
def test_what_we_require_accepts_what_colab_has(colab: ModuleType, text: str) -> None:
    """pip then leaves it as it is; what is not on the list is new there."""
    wanted, pins = Requirement(text), colab.listed()
    version = pins.get(colab.key(wanted.name))
    assert version is None or wanted.specifier.contains(version), f"{text} would replace Colab's {version}"


def test_colab_knows_almost_all_that_we_require(colab: ModuleType) -> None:
    texts = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebook"]]
    names = {colab.key(Requirement(text).name) for text in texts}
    assert names - set(colab.listed()) == {"pypi-simple", "torchmetrics"}


def test_a_package_that_changed_or_went_is_named(colab: ModuleType) -> None:
    before = {"ipywidgets": "7.7.1", "numpy": "2.0.2", "tqdm": "4.67.1"}
    after = {"ipywidgets": "8.1.9", "numpy": "2.0.2", "torchmetrics": "1.9.0"}
    assert colab.changed(before, after) == ["ipywidgets was 7.7.1 and is 8.1.9", "tqdm was 4.67.1 and is gone"]
    assert colab.changed(before, before | after) == ["ipywidgets was 7.7.1 and is 8.1.9"]
    assert colab.key("jupyterlab_widgets") == colab.key("Jupyterlab-Widgets") == "jupyterlab-widgets"


def test_every_chapter_can_be_run_as_on_colab(colab: ModuleType) -> None:
    """The bootstrap cell of each takes the clone and says the same to pip; the cells around it stay."""
    said = set()
    for path in CHAPTERS:
        notebook = nbformat.read(path, as_version=4)
        fresh = colab.as_on_colab(notebook, ROOT)
        ((before, after),) = [
            (a.source, b.source) for a, b in zip(notebook.cells, fresh.cells, strict=True) if a.source != b.source
        ]
        assert "github.com" in before
        assert after.startswith("import google.colab")
        assert "github.com" not in after
        said.add(tuple(colab.pip_words(after)))
    kinds = ("notebook", "notebook,video")  # chapter 20 reads clips
    assert said == {("install", "-q", f"course_lib[{kind}] @ git+file://{ROOT}") for kind in kinds}
