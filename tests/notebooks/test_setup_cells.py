"""What stands around the ideas is out of the way everywhere: folded in Lab and on Colab, and no thread spins."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from scripts.fold import TAG, fold

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ALL = sorted(NOTEBOOKS.rglob("*.ipynb"))
NAMES = [str(path.relative_to(NOTEBOOKS).with_suffix("")) for path in ALL]


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_what_the_book_folds_is_folded_in_lab_and_on_colab(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not fold(notebook), "run: python -m scripts.fold"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            hidden = TAG in cell.metadata.get("tags", [])
            assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == hidden
            assert cell.metadata.get("cellView") == ("form" if hidden else None)


def test_a_cell_that_lost_its_tag_is_unfolded_and_keeps_its_other_marks() -> None:
    marks = {"tags": [], "cellView": "form", "jupyter": {"source_hidden": True, "outputs_hidden": False}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", metadata=marks)])
    assert fold(notebook)
    assert notebook.cells[0].metadata == {"tags": [], "jupyter": {"outputs_hidden": False}}
    notebook.cells[0].metadata["tags"] = [TAG]
    assert fold(notebook)
    assert notebook.cells[0].metadata["jupyter"] == {"outputs_hidden": False, "source_hidden": True}
    assert not fold(notebook)


@pytest.mark.parametrize("path", ALL, ids=NAMES)
def test_its_first_cell_sets_up_threads_before_torch_is_loaded(path: Path) -> None:
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert "bootstrap" in code[0].metadata.get("tags", [])
    assert 'os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")' in code[0].source
    assert "torch" not in re.sub(r"#.*", "", code[0].source)


def test_threads_that_wait_do_not_spin_after_the_first_cell() -> None:
    """GOMP's own word for it: on a busy machine 300,000 rounds of spinning cost minutes in a chapter."""
    (first,) = [
        cell.source
        for cell in nbformat.read(ALL[0], as_version=4).cells
        if "bootstrap" in cell.metadata.get("tags", [])
    ]
    plain = re.sub(r"(?m)^(\s*)%pip .*$", r"\1pass", first)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", f"{plain}\nimport torch"],
        env=environment | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this torch does not use GNU's OpenMP")
    assert "GOMP_SPINCOUNT = '0'" in done.stderr
