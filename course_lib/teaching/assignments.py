"""Assignments as notebooks: make the students' copy from a master with solutions, and combine the two for grading.

A master is an ordinary notebook whose cells have nbgrader's metadata (``"nbgrader": {"grade_id": …, "grade": …,
"points": …, "solution": …, "locked": …, "schema_version": 3}``):

- a *solution* cell contains ``### BEGIN SOLUTION`` … ``### END SOLUTION``. The copy has an exception there or, if the
  task is to repair code, the lines below that begin with ``### INSTEAD:``;
- a *test* cell (``grade``) has points, and may contain ``### BEGIN HIDDEN TESTS`` … ``### END HIDDEN TESTS``;
- a *locked* cell is given: imports, pictures, and all test cells.

For grading, the master's locked cells replace those in a submission, so changing, removing, repeating or moving a test
has no effect. nbgrader reads the same files.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
Cell = dict[str, Any]

LARGEST = 20_000_000  # bytes; a notebook with all its pictures has about a tenth of that
_STUB = "raise NotImplementedError  # your code"
_REGION = r"^([ \t]*)### BEGIN {0}[ \t]*\n(.*?)^[ \t]*### END {0}[ \t]*$\n?"
_INSTEAD = re.compile(r"^([ \t]*)### INSTEAD: ?(.*)$", re.MULTILINE)
_SOLUTION, _HIDDEN = (
    re.compile(_REGION.format(word), re.MULTILINE | re.DOTALL) for word in ("SOLUTION", "HIDDEN TESTS")
)


class NotebookError(ValueError):
    """A file that is not a notebook, or not an assignment; the message gives the reason."""


@dataclass(frozen=True)
class Task:
    """One test cell of a master; its title is the last heading above it."""

    grade_id: str
    points: float
    title: str


def read(path: Path) -> Notebook:
    """Read a notebook.

    Raises:
        NotebookError: the file cannot be read, is too large, or is not a notebook of format 4 in UTF-8.
    """
    try:
        if not path.is_file():
            raise NotebookError("this is not a file" if path.exists() else "there is no such file")
        if path.stat().st_size > LARGEST:
            raise NotebookError(f"the file is larger than {LARGEST / 1e6:.0f} MB; clear the outputs and save it again")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotebookError("the file is not text in UTF-8; was it opened and saved by another program?") from None
    except OSError as error:
        raise NotebookError(f"the file cannot be read ({error.strerror})") from None
    if not text.strip():
        raise NotebookError("the file is empty")
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        raise NotebookError("the file is not a notebook (its JSON is broken); save it again from Jupyter") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if isinstance(notebook, dict) and isinstance(notebook.get("worksheets"), list):
        raise NotebookError("the notebook has the old format 3; open it in Jupyter and save it again")
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        raise NotebookError("the file is not a notebook of format 4 (it has no list of cells)")
    return notebook


def write(notebook: Notebook) -> bytes:
    """Serialize a notebook; the same content always gives the same bytes."""
    return (json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def source(cell: Cell) -> str:
    """The text of a cell."""
    text = cell["source"]
    return "".join(text) if isinstance(text, list) else text


def marks(cell: Cell) -> dict[str, Any]:
    """nbgrader's metadata of a cell; empty for an ordinary cell."""
    metadata = cell.get("metadata", {}).get("nbgrader", {})
    return metadata if isinstance(metadata, dict) else {}


def tasks(master: Notebook) -> list[Task]:
    """The graded cells of a master, in order."""
    graded, title = [], ""
    for cell in master["cells"]:
        headings = re.findall(r"^##+ +(.*?) *$", source(cell), re.MULTILINE) if cell["cell_type"] == "markdown" else []
        title = headings[-1] if headings else title
        if is_test(cell):
            graded.append(Task(marks(cell)["grade_id"], float(marks(cell)["points"]), title))
    return graded


def student_copy(master: Notebook) -> Notebook:
    """The master without solutions, hidden tests and outputs.

    Raises:
        NotebookError: a solution cell without a solution region, or an unpaired BEGIN, END or INSTEAD marker.
    """
    made = copy.deepcopy(master)
    for cell in made["cells"]:
        text = source(cell)
        if marks(cell).get("solution"):
            broken = _INSTEAD.search(text)
            text, count = _SOLUTION.subn("" if broken else rf"\1{_STUB}\n", text)
            text = _INSTEAD.sub(r"\1\2", text)
            if not count:
                raise NotebookError(f"the solution cell {marks(cell).get('grade_id')} has no ### BEGIN SOLUTION")
        text = _HIDDEN.sub("", text).rstrip("\n")
        if re.search(r"### (BEGIN|END|INSTEAD)", text):
            raise NotebookError(f"an unpaired marker, or one in the wrong kind of cell: {text[:80]!r}")
        cell["source"] = text.splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return made


def is_test(cell: Cell) -> bool:
    """Whether a cell is a test with points."""
    return bool(marks(cell).get("grade")) and not marks(cell).get("solution")


def for_grading(master: Notebook, submission: Notebook) -> list[tuple[str, str, str]]:
    """The cells to run for a grade, in order.

    All given cells and tests come from the master, each exactly once and in the master's order. A student's cell goes
    to the position of its `grade_id`; a cell that the student added follows the cell above it. If an editor lost the
    metadata, cells are recognized by their id, and solutions by the names they define.

    Returns:
        (kind, grade_id, code), with the kinds ``"given"``, ``"test"`` and ``"student"``.
    """
    order = {_name(cell): place for place, cell in enumerate(master["cells"]) if _name(cell)}
    locked = {_name(cell) for cell in master["cells"] if _is_locked(cell)}
    given = {source(cell).strip() for cell in student_copy(master)["cells"] if _is_locked(cell)}
    solutions = {
        _name(cell): _defined(source(cell)) for cell in master["cells"] if _name(cell) and not _is_locked(cell)
    }
    placed: list[tuple[float, str]] = []
    place: float = -1
    for cell in submission["cells"]:
        names = [name for name in _names(cell) if name in order]
        if cell["cell_type"] == "code" and not names:
            made = _defined(source(cell))
            names = [name for name, defined in solutions.items() if defined and defined <= made]
        known = names[0] if names else ""
        place = order[known] if known else place
        if cell["cell_type"] == "code" and known not in locked and source(cell).strip() not in given:
            placed.append((place, source(cell)))
    cells: list[tuple[float, int, tuple[str, str, str]]] = [
        (place, 1, ("student", f"cell {k}", code)) for k, (place, code) in enumerate(placed, start=1)
    ]
    end = max((k for k, cell in enumerate(master["cells"]) if is_test(cell)), default=-1)  # only pictures follow
    for k, cell in enumerate(master["cells"][: end + 1]):
        if cell["cell_type"] == "code" and _is_locked(cell):
            cells.append((k, 0, ("test" if is_test(cell) else "given", _name(cell), source(cell))))
    return [cell for _, _, cell in sorted(cells, key=lambda item: item[:2])]  # stable: keeps the student's own order


def problems(master: Notebook) -> Iterator[str]:
    """Yield a sentence for each problem with a master's metadata that would break grading."""
    seen: set[str] = set()
    for cell in master["cells"]:
        mark = marks(cell)
        if not mark:
            if cell["cell_type"] == "code":
                yield f"a code cell without nbgrader metadata: {source(cell)[:60]!r}"
            continue
        name = mark.get("grade_id", "")
        if not re.fullmatch(r"[\w-]{1,64}", name) or name in seen:
            yield f"grade_id {name!r} is missing, invalid or used twice"
        seen.add(name)
        if cell.get("id") != name:
            yield f"{name}: its cell id is {cell.get('id')!r}; it should be the grade_id"
        if mark.get("schema_version") != 3:
            yield f"{name}: schema_version must be 3"
        if is_test(cell) and (not mark.get("locked") or not mark.get("points", 0) > 0):
            yield f"{name}: a test must be locked and have points"
        if bool(mark.get("solution")) == bool(mark.get("locked")):
            yield f"{name}: a cell must be either a solution or locked"


def _is_cell(cell: object) -> bool:
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return False
    text, metadata = cell.get("source"), cell.get("metadata", {})
    lines = text if isinstance(text, list) else [text]
    return all(isinstance(line, str) for line in lines) and isinstance(metadata, dict)


def _is_locked(cell: Cell) -> bool:
    return bool(marks(cell).get("locked"))


def _name(cell: Cell) -> str:
    name = marks(cell).get("grade_id", "")
    return name if isinstance(name, str) else ""


def _names(cell: Cell) -> list[str]:
    """The names that may identify a cell of a submission, the most reliable first."""
    candidates = (_name(cell), cell.get("id"), cell["metadata"].get("id") if cell.get("metadata") else None)
    return [name for name in candidates if isinstance(name, str) and name]


def _defined(code: str) -> frozenset[str]:
    """The functions and classes that a cell defines."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # MemoryError: brackets nested too deeply
        return frozenset()
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef))
