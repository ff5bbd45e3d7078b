"""Grades as a table for the teacher and as a feedback file for each student."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from course_lib.atomic import atomic_write
from course_lib.teaching.assignments import Task


@dataclass
class Row:
    """One submission of one assignment."""

    submission: str
    assignment: str
    tasks: Sequence[Task] = ()
    points: dict[str, float] = field(default_factory=dict)  # grade_id → points earned
    messages: dict[str, str] = field(default_factory=dict)  # grade_id or cell → what went wrong
    seconds: float = 0.0
    note: str = ""

    @property
    def total(self) -> float:
        return sum(self.points.values())

    @property
    def maximum(self) -> float:
        return sum(task.points for task in self.tasks)


def write_table(rows: Sequence[Row], target: Path) -> None:
    """Write the rows as CSV, atomically: submission, assignment, total, max, one column per task, seconds, note."""
    most = max((len(row.tasks) for row in rows), default=0)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    header = ["submission", "assignment", "total", "max", *(f"task {k + 1}" for k in range(most)), "seconds", "note"]
    table.writerow(header)
    for row in rows:
        earned: list[Any] = [f"{row.points.get(task.grade_id, 0.0):g}" for task in row.tasks]
        earned += [""] * (most - len(earned))
        words = [_plain(row.submission), _plain(row.assignment), f"{row.total:g}", f"{row.maximum:g}"]
        table.writerow([*words, *earned, f"{row.seconds:.0f}", _plain(row.note)])
    with atomic_write(target) as stream:
        stream.write(text.getvalue().encode("utf-8-sig", "replace"))  # the BOM makes spreadsheets read UTF-8


def write_feedback(rows: Sequence[Row], folder: Path) -> None:
    """Write a text file for each row, ``FOLDER/student/assignment.txt``, with points and messages.

    Two names that a file system may treat as equal get different files: ``assignment (2).txt``.
    """
    taken: set[str] = set()
    for row in rows:
        name = _safe(row.assignment or "other files")
        places = (
            folder / _safe(row.submission) / f"{name}{end}.txt" for end in chain([""], map(" ({})".format, count(2)))
        )
        target = next(place for place in places if unicodedata.normalize("NFC", str(place)).casefold() not in taken)
        taken.add(unicodedata.normalize("NFC", str(target)).casefold())
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as stream:
            stream.write(feedback(row).encode(errors="replace"))


def feedback(row: Row) -> str:
    """The text that a student gets back: points by task, and what went wrong."""
    lines = [f"{row.assignment or 'no assignment'}: {row.total:g} of {row.maximum:g} points", ""]
    lines += [row.note, ""] if row.note else []
    for k, task in enumerate(row.tasks, start=1):
        earned = row.points.get(task.grade_id, 0.0)
        lines.append(f"{'✓' if earned else '✗'} Task {k}. {task.title or task.grade_id}: {earned:g} of {task.points:g}")
        if task.grade_id in row.messages:
            lines += [f"    {line}" for line in row.messages[task.grade_id].splitlines()]
    others = [(name, text) for name, text in row.messages.items() if name not in {t.grade_id for t in row.tasks}]
    if others:
        lines += ["", "Cells that stopped with an error:"]
        lines += [f"    {name}: {text}" for name, text in others]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """The text on one line, quoted if a spreadsheet would take it for a formula."""
    text = re.sub(r"\s+", " ", text).strip()
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _safe(name: str) -> str:
    return re.sub(r"[^\w .()-]", "_", name).strip(" .") or "_"
