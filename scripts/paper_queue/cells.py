"""Runs a notebook's script cell by cell: a cell that fails costs neither the cells after it nor their stored runs."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.notebook_script import Cell, split_script

NOTE = "note: "  # a line of a log that begins so comes into the report, with the indented lines below it
_TAIL = 6  # lines of a traceback that a note keeps
_LONGEST = 400  # characters of a message


def run(script: str | Path, names: dict[str, Any] | None = None) -> list[str]:
    """Run every cell of a script in one namespace, whatever happens in the cells before.

    An `AssertionError` is a property that does not hold at this scale; any other exception is a fault, and so may be
    the `NameError` of a later cell. Both are noted, printed as they come, and the next cell runs. What stops a process
    (Ctrl-C, `SystemExit`) stops here, too.

    Args:
        script: the text that `notebook_script.script_of` makes, or the file that holds it.
        names: the namespace to run in; by default that of a new module ``notebook``.

    Returns:
        The notes, the first one first: ``"cell 7: AssertionError: …"``, after a fault with the end of its traceback.

    Raises:
        Exception: whatever the script's header raises; without it no cell can run.
    """
    os.environ["COURSE_LIB_STRICT"] = "1"  # so that a false statement is noted, see course_lib.teaching.checks.holds
    path = script if isinstance(script, Path) else Path("notebook.py")
    header, cells = split_script(script.read_text(encoding="utf-8") if isinstance(script, Path) else script)
    if names is None:
        module = ModuleType("notebook")
        sys.modules["notebook"] = module  # where dataclasses and pickles look up what a cell defines
        names = vars(module)
    names.setdefault("__file__", str(path.resolve()))
    exec(compile(header, str(path), "exec"), names)
    notes = []
    for cell in cells:
        print(f"--- cell {cell.number}", flush=True)
        note = _run(cell, names)
        if note:
            print(NOTE + note.replace("\n", "\n    "), flush=True)
            notes.append(note)
    return notes


def _run(cell: Cell, names: dict[str, Any]) -> str:
    """Run one cell; "" when it ended well, else a note."""
    file = f"notebook, cell {cell.number}"
    lines = [line + "\n" for line in cell.source.splitlines()]
    linecache.cache[file] = (len(cell.source), None, lines, file)  # so that a traceback shows the code
    try:
        exec(compile(cell.source, file, "exec"), names)
    except AssertionError as error:
        return f"cell {cell.number}: does not hold at this scale{_where(error, file)}: {_words(error)}"
    except Exception as error:
        tail = "".join(traceback.format_exception(error)).rstrip().splitlines()[-_TAIL:]
        return f"cell {cell.number}: {type(error).__name__}{_where(error, file)}: {_words(error)}\n" + "\n".join(tail)
    return ""


def _where(error: BaseException, file: str) -> str:
    """The line of the cell that the error comes from, in words."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" (line {lines[0]})" if lines else ""


def _words(error: BaseException) -> str:
    """The first line of an error's message, cut to a readable length."""
    first = next((line for line in str(error).splitlines() if line.strip()), "no message")
    return first if len(first) <= _LONGEST else first[: _LONGEST - 1] + "…"
