"""Generates the students' copies of the assignments from their masters: python -m scripts.assignments [--check]

notebooks/assignments/masters/NN_name.ipynb, with solutions and hidden tests → notebooks/assignments/NN_name.ipynb,
without. With --check nothing is written, and an outdated copy is an error. The first line of a copy gives the minutes
that its master estimates, and those that classes took: data/assignment_times.csv has a row for each class, with its
students and the median of their minutes.
"""

import csv
import re
import sys
from pathlib import Path

from course_lib.atomic import atomic_write
from course_lib.teaching import assignments

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks" / "assignments"
TIMES = ROOT / "data" / "assignment_times.csv"
ESTIMATE = re.compile(r"(?<= · )((?:about )?\d+(?: to \d+)? minutes)(?= · )")


def copies(folder: Path = FOLDER) -> dict[Path, bytes]:
    """Path of each student copy → its expected content."""
    contents = {}
    for path in sorted((folder / "masters").glob("*.ipynb")):
        master = assignments.read(path)
        for problem in assignments.problems(master):
            raise assignments.NotebookError(f"{path.name}: {problem}")
        copy = assignments.student_copy(master)
        first = assignments.source(copy["cells"][0])
        timed, count = ESTIMATE.subn(rf"\1 ({measured(path.stem)})", first)
        if count != 1:
            raise assignments.NotebookError(f"{path.name}: its first cell has no estimate such as · about 50 minutes ·")
        copy["cells"][0]["source"] = timed.splitlines(keepends=True)
        contents[folder / path.name] = assignments.write(copy)
    return contents


def measured(name: str, times: Path = TIMES) -> str:
    """What classes took for an assignment, in words.

    Raises:
        NotebookError: a row of the table is incomplete or has other than positive whole numbers.
    """
    with times.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == name]
    for row in rows:
        if not all((row[key] or "").isdigit() and int(row[key]) > 0 for key in ("students", "minutes")):
            raise assignments.NotebookError(
                f"{times.name}: {name} needs students and minutes, whole and positive numbers"
            )
    if not rows:
        return "an estimate; not measured with a class yet"
    return "an estimate; " + ", ".join(f"a class of {row['students']} took {row['minutes']}" for row in rows)


def main(arguments: list[str]) -> int:
    stale = []
    try:
        made = copies()
    except assignments.NotebookError as error:
        print(f"assignments: {error}", file=sys.stderr)
        return 1
    for path, content in made.items():
        if path.exists() and path.read_bytes() == content:
            continue
        stale.append(path)
        if "--check" not in arguments:
            with atomic_write(path) as stream:
                stream.write(content)
    for path in FOLDER.glob("*.ipynb"):
        if path not in made:
            stale.append(path)
            if "--check" not in arguments:
                path.unlink()
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not what its master gives' if '--check' in arguments else 'written'}")
    if not stale:
        print(f"{len(made)} students' copies are up to date.")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
