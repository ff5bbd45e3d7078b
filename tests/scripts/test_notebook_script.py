"""A notebook as a plain script, split into its cells again, and run so that one failing cell costs no other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import notebook_script
from scripts.notebook_script import Refused, split_script
from scripts.paper_queue import cells

ROOT = Path(__file__).resolve().parents[2]


def notebook(path, *sources):
    """A notebook whose code cells are (source, tag …); a plain text is a prose cell."""
    made = [
        {"cell_type": "markdown", "metadata": {}, "source": each}
        if isinstance(each, str)
        else {"cell_type": "code", "metadata": {"tags": list(each[1:])}, "outputs": [], "execution_count": None,
              "source": each[0].splitlines(keepends=True)}
        for each in sources
    ]  # fmt: skip
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}))
    return path


@pytest.fixture
def small(tmp_path):
    return notebook(
        tmp_path / "01_small.ipynb",
        "# Title",
        ("!pip install course_lib", "bootstrap"),
        ('PROFILE = "quick"\nSEED = 0', "parameters"),
        ("%matplotlib inline\nvalue = SEED + 1\n\nprint(PROFILE, value)",),
        "prose",
        ("panel()", "play"),
        ("display(value)\nget_ipython()",),
    )


def test_a_script_has_the_parameters_and_runs_by_itself(small, tmp_path):
    target = tmp_path / "made" / "small.py"
    notebook_script.write_script(small, {"PROFILE": "paper", "SEED": 4}, target)
    done = subprocess.run([sys.executable, target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "paper 5" in done.stdout
    text = target.read_text()
    assert not {"pip install", "%matplotlib", "panel()"} & set(text.split("\n"))


def test_a_script_draws_where_there_is_matplotlib_and_no_ipython(small):
    """matplotlib asks whatever is called IPython for its version and for a running shell."""
    header, _ = split_script(notebook_script.script_of(small, {}))
    hidden = (
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'IPython' else real(name, *rest)\n"
    )
    draws = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('drawn')"
    code = f"{hidden}{header.replace('__file__', repr(__file__))}\n{draws}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "drawn" in done.stdout, done.stderr


def test_a_script_splits_into_the_cells_it_was_made_of(small):
    header, found = split_script(notebook_script.script_of(small, {"PROFILE": "paper"}))
    assert "def display" in header
    assert [cell.number for cell in found] == [2, 3, 6]
    assert found[1].source == "value = SEED + 1\n\nprint(PROFILE, value)"
    assert found[0].source.endswith("PROFILE = 'paper'  # given on the command line")
    assert split_script("x = 1\n") == ("x = 1\n", [])


@pytest.mark.parametrize("number", ["03", "08"])
def test_every_code_line_of_a_chapter_is_in_a_cell(number):
    (path,) = notebook_script.find_notebooks([number], ROOT / "notebooks")
    _, found = split_script(notebook_script.script_of(path, {"PROFILE": "paper"}))
    sources = {cell.number: cell.source for cell in found}
    for index, cell in enumerate(notebook_script.read_notebook(path)["cells"]):
        tags = notebook_script.tags_of(cell)
        plain = cell["cell_type"] == "code" and not {"bootstrap", "play"} & set(tags)
        assert (index in sources) == plain
        if plain and "parameters" not in tags:
            assert sources[index] == notebook_script.source_of(cell).strip("\n").rstrip()


def test_what_is_asked_for_wrongly_is_refused_with_what_there_is(small, tmp_path):
    with pytest.raises(Refused, match="no parameter SIZE: its parameters cell sets PROFILE, SEED"):
        notebook_script.script_of(small, {"SIZE": 3})
    with pytest.raises(Refused, match="begins with 09; there are: 01_small"):
        notebook_script.find_notebooks(["09"], tmp_path)
    (tmp_path / "odd.ipynb").write_text('{"worksheets": []}')
    with pytest.raises(Refused, match="format 4"):
        notebook_script.read_notebook(tmp_path / "odd.ipynb")
    with pytest.raises(SyntaxError):
        notebook_script.script_of(notebook(tmp_path / "bad.ipynb", ("x = (",)), {})


def test_a_failing_cell_costs_no_other(tmp_path, capsys):
    path = notebook(
        tmp_path / "01_cells.ipynb",
        ("kept = []\nfrom dataclasses import dataclass",),
        ("kept.append(1)\n\nassert len(kept) == 5, 'only one'",),
        ("def inner():\n    return 1 / 0\n\nlost = inner()",),
        ("print(lost)",),
        ("x = (1 +",),
        ("@dataclass\nclass Point:\n    x: 'int' = 1\n\nkept.append(Point().x + 1)",),
    )
    with pytest.raises(SyntaxError):
        notebook_script.script_of(path, {})
    made = json.loads(path.read_text())
    made["cells"].pop(4)
    path.write_text(json.dumps(made))
    names = {}
    notes = cells.run(notebook_script.script_of(path, {}), names)
    assert names["kept"] == [1, 2]
    assert [note.splitlines()[0] for note in notes] == [
        "cell 1: does not hold at this scale (line 3): only one",
        "cell 2: ZeroDivisionError (line 4): division by zero",
        "cell 3: NameError (line 1): name 'lost' is not defined",
    ]
    assert "return 1 / 0" in notes[1]  # the traceback shows the cell's code
    printed = capsys.readouterr().out
    assert "--- cell 4" in printed
    assert "note: cell 2: ZeroDivisionError" in printed


def test_notes_come_back_out_of_a_log(tmp_path):
    from scripts.paper_queue import process

    path = notebook(tmp_path / "01_cells.ipynb", ("assert False, 'so it is'",), ("1 / 0",))
    text = notebook_script.script_of(path, {})
    code = f"from scripts.paper_queue import cells; cells.run({text!r})"
    with open(tmp_path / "log", "w") as log:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=log, check=True)
    first, second = process.notes_of(tmp_path / "log", cells.NOTE)
    assert first == "cell 0: does not hold at this scale (line 1): so it is"
    assert second.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_what_stops_a_process_is_not_swallowed(tmp_path):
    path = notebook(tmp_path / "01_cells.ipynb", ("raise KeyboardInterrupt",), ("x = 1",))
    names = {}
    with pytest.raises(KeyboardInterrupt):
        cells.run(notebook_script.script_of(path, {}), names)
    assert "x" not in names
