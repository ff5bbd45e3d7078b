"""Generates the students' copies of the assignments from their masters: python -m scripts.assignments [--check]

notebooks/assignments/masters/NN_name.ipynb, with solutions and hidden tests → notebooks/assignments/NN_name.ipynb,
without. With --check nothing is written, and an outdated copy is an error.
"""

import sys
from pathlib import Path

from course_lib.atomic import atomic_write
from course_lib.teaching import assignments

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks" / "assignments"


def copies(folder: Path = FOLDER) -> dict[Path, bytes]:
    """Path of each student copy → its expected content."""
    contents = {}
    for path in sorted((folder / "masters").glob("*.ipynb")):
        master = assignments.read(path)
        for problem in assignments.problems(master):
            raise assignments.NotebookError(f"{path.name}: {problem}")
        contents[folder / path.name] = assignments.write(assignments.student_copy(master))
    return contents


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
