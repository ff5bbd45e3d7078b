"""Grade folders of submitted notebooks: a process with limits for each, one table, and a feedback file for each.

    rows = grade(Path("submissions"))
    write_table(rows, Path("grades.csv"))
    write_feedback(rows, Path("grades_feedback"))

A submission is ``FOLDER/ada/01_gram_matrix.ipynb`` or ``FOLDER/ada_01_gram_matrix.ipynb``. Every file gets a row that
says what happened. Before any submission, each master must get full points on this machine, within the same limits.
Students' code runs with the permissions of the user who grades; limits are not a sandbox.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from signal import Signals
from threading import Event

from course_lib.arguments import whole
from course_lib.atomic import obstacle
from course_lib.teaching import assignments
from course_lib.teaching.assignments import Notebook, NotebookError
from course_lib.teaching.grading.process import Limits, run
from course_lib.teaching.grading.report import Row, feedback, write_feedback, write_table

__all__ = [
    "MASTERS",
    "Limits",
    "Row",
    "feedback",
    "grade",
    "grade_into",
    "load_masters",
    "write_feedback",
    "write_table",
]

MASTERS = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters"
_CAN_LIMIT = "SIGALRM" in Signals.__members__  # not on Windows


def load_masters(folder: Path) -> dict[str, Notebook]:
    """The masters of a folder by name.

    Raises:
        NotebookError: the folder has no masters, or one whose metadata cannot be used for grading.
    """
    masters = {path.stem: assignments.read(path) for path in sorted(folder.glob("*.ipynb"))}
    if not masters:
        raise NotebookError(f"no master notebook in {folder}; give their folder with --masters")
    for name, master in masters.items():
        for problem in assignments.problems(master):
            raise NotebookError(f"the master {name} cannot be used: {problem}")
    return masters


def grade(
    folder: Path,
    masters: Path = MASTERS,
    *,
    limits: Limits | None = None,
    jobs: int = 1,
    progress: Callable[[Row], object] | None = None,
) -> list[Row]:
    """Grade every submission in a folder.

    Args:
        folder: contains ``student/NN_name.ipynb``, or files whose names hold both the student and the assignment.
        masters: the folder of the masters.
        limits: on time and memory of one submission.
        jobs: how many submissions run at the same time, from 1 to 64.
        progress: called with each row when it is done.

    Returns:
        A row for each student and each assignment that at least one student submitted, and one for each file that
        belongs to no assignment.

    Raises:
        NotebookError: the folder does not exist, there are no masters, there are no submissions, or a master does not
            get full points here; or this is Windows.
        ValueError: `jobs` is out of range.
    """
    jobs, limits = whole("jobs", jobs, 1, 64), limits or Limits()
    if not _CAN_LIMIT:
        raise NotebookError(
            "grading limits the time and memory of each notebook in ways that Windows lacks; grade on Linux or macOS, "
            "or on Windows inside WSL"
        )
    if not folder.is_dir():
        raise NotebookError(f"{folder} is not a folder; give the one that holds the submissions")
    known = load_masters(masters)
    submissions, rows = _submissions(folder, known)
    students = {student for student, _ in submissions} | _people(folder)
    handed_in = {name for _, name in submissions}
    if not students and not rows:
        raise NotebookError(f"no notebook in {folder}; submissions are student/NN_name.ipynb, or flat files")
    todo = sorted((student, name) for student in students for name in handed_in)
    stop = Event()

    def one(item: tuple[str, str]) -> Row:
        student, name = item
        files = submissions.get(item, [])
        row = _empty(student, name, known[name])
        if not files:
            row.note = "no submission"
        else:
            _grade_file(row, files[0], known[name], limits, stop)
            if len(files) > 1:
                row.note = f"{len(files)} files, the newest counts: {files[0].name}. {row.note}".strip()
        if progress is not None:
            progress(row)
        return row

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for problem in pool.map(lambda name: _problem(name, known[name], limits, stop), sorted(handed_in)):
                if problem:
                    raise NotebookError(problem)
            return [*pool.map(one, todo), *rows]
        except BaseException:  # Ctrl-C: end running processes, start no others
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def grade_into(
    folder: Path,
    output: Path,
    masters: Path = MASTERS,
    limits: Limits | None = None,
    jobs: int = 1,
    progress: Callable[[Row], object] | None = None,
) -> str:
    """Grade a folder; write the table `output`, and next to it a folder of feedback.

    Returns:
        A sentence that says what was written.

    Raises:
        NotebookError: as for `grade`, or, before any work, a table or feedback that could not be written.
    """
    if output.suffix.lower() != ".csv" or output.is_dir():
        raise NotebookError(f"the table of grades must be a .csv file, got {output}")
    pages = output.with_name(f"{output.stem}_feedback")
    if pages.exists() and not pages.is_dir():
        raise NotebookError(
            f"{pages} is a file, but the feedback goes into a folder of that name; choose another name for the table"
        )
    for place, probe in ((output, output.resolve()), (pages, pages / ".probe" if pages.exists() else pages)):
        if problem := obstacle(probe):
            raise NotebookError(f"{place} {problem}")
    if output.resolve().is_relative_to(folder.resolve()):
        raise NotebookError(
            f"{output} is inside {folder}, where the next run would mistake its feedback for a student's folder; "
            "choose another place for the table"
        )
    rows = grade(folder, masters, limits=limits, jobs=jobs, progress=progress)
    write_table(rows, output)
    write_feedback(rows, pages)
    noted = sum(bool(row.note) for row in rows)
    return f"{output}: {len(rows)} rows, {noted} with a note; feedback for each in {pages}"


def _submissions(folder: Path, known: Iterable[str]) -> tuple[dict[tuple[str, str], list[Path]], list[Row]]:
    """(student, assignment) → files, the newest first; and a row for each file that belongs to no assignment."""
    submissions: dict[tuple[str, str], list[Path]] = {}
    others = []
    for path in sorted(folder.rglob("*.ipynb")):
        inside = path.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in inside.parts):
            continue
        name = _assignment_of(path, known)
        student = inside.parts[0] if len(inside.parts) > 1 else _student_of(path.stem, name)
        if name:
            submissions.setdefault((student, name), []).append(path)
        else:
            note = f"{inside} belongs to no assignment; keep the original name of the notebook"
            others.append(Row(student if len(inside.parts) > 1 else path.stem, "", note=note))
    for files in submissions.values():
        files.sort(key=lambda path: (path.lstat().st_mtime, path.name), reverse=True)
    return submissions, others


def _student_of(stem: str, name: str) -> str:
    """The student in the name of a flat file: what is left of it without the assignment and the marks of a copy.

    A number may identify a student. Only ``(2)``, ``Copy1`` and, after a name, ``-1`` are marks of a copy, and only
    after the assignment.

    >>> [_student_of(stem, "01_gram") for stem in ("1234_01_gram", "01_gram_1234", "ada_01_Gram-1", "ada_01 gram (2)")]
    ['1234', '1234', 'ada', 'ada']
    """
    found = re.search(re.escape(name).replace("_", "[ _]"), stem, re.IGNORECASE) if name else None
    before, after = (stem[: found.start()], stem[found.end() :]) if found else (stem, "")
    before = before.strip(" _-.")
    after = re.sub(r"[ _-]*(\(\d+\)|-? ?copy[ _-]?\d*)$", "", after, flags=re.IGNORECASE).strip(" _-.")
    if before and re.fullmatch(r"\d{1,2}", after):  # learning platforms number resubmissions
        after = ""
    return "_".join(filter(None, (before, after))) or "(no name)"


def _people(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX"))}


def _assignment_of(path: Path, known: Iterable[str]) -> str:
    """The assignment named in the file name or, if the file was renamed, in the notebook's metadata."""
    by_name = [name for name in known if name.lower() in path.stem.lower().replace(" ", "_")]
    if by_name or path.is_symlink():
        return max(by_name, key=len, default="")
    with suppress(NotebookError):
        metadata = assignments.read(path).get("metadata", {})
        name = metadata.get("assignment") if isinstance(metadata, dict) else None
        return name if name in list(known) else ""
    return ""


def _empty(student: str, name: str, master: Notebook) -> Row:
    row = Row(student, name, assignments.tasks(master))
    row.points = {task.grade_id: 0.0 for task in row.tasks}
    return row


def _problem(name: str, master: Notebook, limits: Limits, stop: Event) -> str:
    """Why an assignment cannot be graded here: its own solution does not get full points within the limits."""
    row = _empty("", name, master)
    _run_into(row, assignments.for_grading(master, master), limits, stop)
    if row.total == row.maximum:
        return ""
    why = "; ".join(dict.fromkeys(filter(None, (row.note, *row.messages.values())))) or "no test was reached"
    return (
        f"{name} cannot be graded here: its own solution gets {row.total:g} of {row.maximum:g} points ({why}). Give it "
        "more time or memory, fetch the networks (python -m course_lib fetch), or repair the master"
    )


def _grade_file(row: Row, path: Path, master: Notebook, limits: Limits, stop: Event) -> None:
    """Run one file and fill in its row; nothing in the file may raise an exception here."""
    if path.is_symlink():
        row.note = "the file is a symbolic link, which was not followed"
        return
    try:
        cells = assignments.for_grading(master, assignments.read(path))
    except NotebookError as error:
        row.note = str(error)
        return
    _run_into(row, cells, limits, stop)


def _run_into(row: Row, cells: list[tuple[str, str, str]], limits: Limits, stop: Event) -> None:
    """Run cells and fill in the points, messages, time and note of a row."""
    began = time.monotonic()
    reports, ending = run(cells, limits, stop)
    row.seconds = time.monotonic() - began
    worth = {task.grade_id: task.points for task in row.tasks}
    for report in reports:
        name, message = report.get("name", ""), report.get("message", "")
        if message:
            row.messages[name] = message
        elif report.get("kind") == "test" and name in worth:
            row.points[name] = worth[name]
    missing = [name for name in worth if not any(report.get("name") == name for report in reports)]
    if ending:
        row.note = ending
        for name in missing:
            row.messages[name] = f"not reached: {ending}"
