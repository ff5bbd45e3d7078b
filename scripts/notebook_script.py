"""A notebook as a plain script: its code in one file, for a machine that has Python and torch and no Jupyter.

A notebook is read as the JSON that it is. Every code cell keeps a marker line, ``# --- cell 12 ---…``, so that a
script can be split into its cells again: `scripts.paper_queue` runs them one by one, and hashes them.
"""

# Not jupytext: it replaces no parameters, leaves no cells out, and would have to come along in the paper pack.

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LEFT_OUT = {"bootstrap", "play"}  # the one installs the package on Colab, the other needs a person
_MARKER = re.compile(r"^# --- cell (\d+) -+\n(?:print\('--- cell \1', flush=True\)\n)?", re.MULTILINE)

HEADER = '''"""{name} as a plain script, written by scripts/notebook_script.py; run it from the repository's root."""

import importlib.util
import sys
from pathlib import Path
from unittest.mock import MagicMock

here = Path(__file__).resolve()
root = next((p for p in [Path.cwd(), *here.parents] if (p / "course_lib" / "__init__.py").exists()), None)
if root is not None:
    sys.path.insert(0, str(root))
# Pictures on a screen are not needed here: records and saved files are what comes back.
for absent in ("IPython", "IPython.display", "ipywidgets", "matplotlib", "matplotlib.pyplot"):
    if absent.split(".")[0] in sys.modules or importlib.util.find_spec(absent.split(".")[0]) is None:
        sys.modules.setdefault(absent, MagicMock())
if isinstance(sys.modules.get("IPython"), MagicMock):  # matplotlib asks it for a running shell, and for its version
    sys.modules["IPython"].get_ipython.return_value = None
    sys.modules["IPython"].version_info = (9, 0, 0)
if not isinstance(sys.modules.get("matplotlib"), MagicMock):
    import matplotlib

    matplotlib.use("Agg")


def display(*things, **settings):
    """Stands in for the notebook's display."""


def get_ipython():
    """There is none."""
'''


class Refused(Exception):
    """A request that cannot be met; the message is for the person who typed it."""


@dataclass(frozen=True)
class Cell:
    """A code cell of a script: its number in the notebook, prose cells counted, and its source."""

    number: int
    source: str


# --- notebooks
def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook as plain dicts and lists.

    Raises:
        Refused: the file is no notebook of format 4.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is not a notebook of format 4 ({error!r}).") from error
    if not isinstance(cells, list):
        raise Refused(f"{path} is not a notebook of format 4: its cells are no list.")
    return dict(notebook)


def source_of(cell: Mapping[str, Any]) -> str:
    """The text of a cell, which a file may hold as one string or as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def tags_of(cell: Mapping[str, Any]) -> list[str]:
    """The tags of a cell; most have none."""
    return list(cell.get("metadata", {}).get("tags", []))


def find_notebooks(names: list[str], folder: Path) -> list[Path]:
    """The notebooks of `folder` whose file names begin with one of `names`; all of them for an empty list.

    Raises:
        Refused: none begins so; lists those that exist.
    """
    everything = sorted(p for p in folder.glob("*.ipynb") if not p.name.startswith("."))
    chosen = [p for p in everything if not names or any(p.name.startswith(name) for name in names)]
    if not chosen:
        known = ", ".join(p.stem for p in everything) or "none"
        raise Refused(f"no notebook in {folder} begins with {' or '.join(names)}; there are: {known}.")
    return chosen


# --- parameters
def tagged(notebook: Mapping[str, Any], tag: str) -> Any | None:
    """The first cell with this tag, or None."""
    return next((cell for cell in notebook["cells"] if tag in tags_of(cell)), None)


def declared_parameters(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Names and plain values that the cell tagged `parameters` assigns."""
    cell = tagged(notebook, "parameters")
    found: dict[str, Any] = {}
    for statement in ast.parse(source_of(cell)).body if cell else []:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                found[statement.targets[0].id] = None  # computed: exists, but its value is not known here
    return found


def check_parameters(path: Path, given: Mapping[str, Any]) -> None:
    """A name that the notebook never sets would be ignored without a word; here it is an error.

    Raises:
        Refused: such a name; lists those that the notebook sets.
    """
    declared = declared_parameters(read_notebook(path))
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "nothing"
            raise Refused(f"{path.name} has no parameter {name}: its parameters cell sets {known}.")


# --- scripts
def script_of(path: Path, parameters: Mapping[str, Any]) -> str:
    """The notebook's code as one text: parameters replaced, bootstrap and live panels left out, display a no-op.

    Raises:
        Refused: a parameter that the notebook does not have.
        SyntaxError: a cell that is not plain Python: it is found here, not on the GPU machine.
    """
    check_parameters(path, parameters)
    parts = [HEADER.format(name=path.stem)]
    for number, cell in enumerate(read_notebook(path)["cells"]):
        tags = tags_of(cell)
        if cell["cell_type"] != "code" or _LEFT_OUT & set(tags):
            continue
        source = "\n".join(line for line in source_of(cell).splitlines() if not re.match(r"\s*[%!]", line))
        if "parameters" in tags:
            source += "".join(
                f"\n{name} = {value!r}  # given on the command line" for name, value in parameters.items()
            )
        parts.append(
            f"# --- cell {number} " + "-" * 60 + f"\nprint('--- cell {number}', flush=True)\n{source.rstrip()}\n"
        )
    text = "\n\n".join(parts)
    ast.parse(text)
    return text


def write_script(path: Path, parameters: Mapping[str, Any], target: Path) -> None:
    """Write `script_of` a notebook to `target`."""
    text = script_of(path, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"Wrote {target}")


def split_script(text: str) -> tuple[str, list[Cell]]:
    """A script taken apart at its markers: what stands before the first cell, and the cells.

    The marker and the line that prints the cell's number belong to no cell, so a prose cell more or less changes
    numbers and no source. A text without a marker is all header.
    """
    header, *rest = _MARKER.split(text)  # the pattern's one group: number, source, number, source, …
    numbers, sources = rest[::2], rest[1::2]
    return header, [Cell(int(number), source.strip("\n")) for number, source in zip(numbers, sources, strict=True)]
