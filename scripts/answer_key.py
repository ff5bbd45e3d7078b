"""The answers to the assignments, for teachers: python -m scripts.answer_key [NN …]  →  _build/answers/NN_name.html

For each task: its points, the master's solution, and the wrong answers that the tests try, sorted by the message that a
student gets. All of it is read from the masters and from tests/rooms/teaching/test_answers_*.py, and every message is
what a check says at this moment, so the page cannot disagree with the grader. It is not part of the book.
"""

import ast
import importlib
import inspect
import io
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_lib.atomic import atomic_write
from course_lib.teaching import assignments
from course_lib.teaching.checks import CheckFailed
from course_lib.teaching.grading import MASTERS

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "rooms" / "teaching"
OUTPUT = ROOT / "_build" / "answers"
LONGEST = 400  # characters of an answer's code; of a longer one only the name is shown
STYLE = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #22262b; background: #fff;
  font: 16px/1.5 -apple-system, "Segoe UI", Roboto, sans-serif; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid #d9d4c7; }
h2 small { color: #16618f; font-weight: 400; }
pre { overflow-x: auto; padding: .7rem 1rem; background: #f5f2ea; font-size: 14px; line-height: 1.4; }
table { width: 100%; table-layout: fixed; border-collapse: collapse; }
th, td { padding: .45rem .6rem; border-bottom: 1px solid #d9d4c7; text-align: left; vertical-align: top; }
td pre { margin: .2rem 0 .6rem; padding: .3rem .6rem; font-size: 12.5px; white-space: pre-wrap; }
.k, .kn, .ow, .kc { color: #8a4b08; }
.nf, .nc { color: #16618f; }
.c1 { color: #5b636d; }
.s1, .s2, .sa, .si { color: #27683f; }
@media print { body { max-width: none; margin: 0; font-size: 11pt; } tr { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that the tests try."""

    name: str
    code: str  # may be empty
    message: Callable[[], str]  # what a student gets; it runs the check


@dataclass
class Task:
    """A task with all that its page shows."""

    title: str
    points: float
    solution: str
    hidden: list[str] = field(default_factory=list)  # messages of the test's own assertions
    wrong: list[Wrong] = field(default_factory=list)


def tasks(name: str) -> list[Task]:
    """The tasks of an assignment, in order; nothing is run yet."""
    master = assignments.read(MASTERS / f"{name}.ipynb")
    titles = {task.grade_id: task for task in assignments.tasks(master)}
    tables = _tables()
    found, solution = [], ""
    for cell in master["cells"]:
        text = assignments.source(cell)
        if assignments.marks(cell).get("solution"):
            solution = re.sub(
                r"^[ \t]*### (?:BEGIN|END) SOLUTION\n?|^[ \t]*### INSTEAD:.*\n?", "", text, flags=re.MULTILINE
            )
        elif assignments.is_test(cell):
            grade_id = assignments.marks(cell)["grade_id"]
            graded = titles[grade_id]
            task = Task(graded.title, graded.points, solution.strip(), _asserted(text))
            for check in dict.fromkeys(re.findall(r"checks\.check_(\w+)", text)):
                task.wrong += tables.get(check, [])
            task.wrong += tables.get(f"{name}/{grade_id}", [])
            found.append(task)
            solution = ""
    return found


def _asserted(code: str) -> list[str]:
    """The messages of the assertions in a test cell, those with values in them as they are written."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Assert) and node.msg is not None:
            text = ast.get_source_segment(code, node.msg) or ""
            found.append(
                " ".join(re.sub(r"""^f?["']|["']$""", "", line.strip()) for line in text.strip("()\n ").split("\n"))
            )
    return list(dict.fromkeys(found))


@lru_cache
def _tables() -> dict[str, list[Wrong]]:
    """A check, or an assignment and its test → the wrong answers that the tests hold for it."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    tables: dict[str, list[Wrong]] = defaultdict(list)
    for path in sorted(TESTS.glob("test_answers_*.py")):
        module = importlib.import_module(path.stem)
        codes = _codes(module, path.read_text(encoding="utf-8"))
        for row in getattr(module, "TABLE", []):
            check, name, answer, said = row
            if said is not None:
                named = inspect.isfunction(answer) and answer.__name__ != "<lambda>"
                code = _body(answer) if named else codes.get(id(row), "")
                tables[check.__name__.removeprefix("check_")].append(Wrong(name, code, _checked(check, answer)))
        for (assignment, test, solution), rows in getattr(module, "TASKS", []):
            for name, row in rows.items():
                answer, said = row
                if said:
                    code = answer if isinstance(answer, str) else codes.get(id(row), "")
                    run = _graded(module, assignment, test, solution, answer)
                    tables[f"{assignment}/{test}"].append(Wrong(name, code, run))
    return tables


def _codes(module: ModuleType, text: str) -> dict[int, str]:
    """The identity of a row in a table → the code of its answer, where that is an expression."""
    found: dict[int, str] = {}
    for node in ast.parse(text).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        table, value = getattr(module, node.targets[0].id), node.value
        if isinstance(value, ast.List) and len(value.elts) == len(table):
            pairs = list(zip(table, value.elts, strict=True))
        elif isinstance(value, ast.Dict) and len(value.values) == len(table):
            pairs = list(zip(table.values(), value.values, strict=True))
        else:
            continue
        for row, written in pairs:
            if isinstance(written, ast.Tuple) and len(written.elts) in (2, 4):
                answer = written.elts[len(written.elts) // 2 if len(written.elts) == 4 else 0]
                if not isinstance(answer, ast.Name):
                    found[id(row)] = textwrap.dedent(ast.get_source_segment(text, answer) or "")
    return found


def _body(function: Callable[..., Any]) -> str:
    return textwrap.dedent(inspect.getsource(function)).strip()


def _checked(check: Callable[[Any], object], answer: Any) -> Callable[[], str]:
    def message() -> str:
        try:
            with redirect_stdout(io.StringIO()):
                check(answer)
        except CheckFailed as error:
            return str(error)
        return "(accepted)"

    return message


def _graded(module: ModuleType, assignment: str, test: str, solution: str, answer: Any) -> Callable[[], str]:
    def message() -> str:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
            return str(module.outcome(assignment, test, solution, answer, patch)) or "(accepted)"

    return message


def document(name: str) -> str:
    """The page of one assignment; this runs every wrong answer."""
    found = tasks(name)
    master = assignments.read(MASTERS / f"{name}.ipynb")
    heading = next(re.search(r"^# (.+)", assignments.source(cell), re.MULTILINE) for cell in master["cells"])
    title = heading[1] if heading else name
    parts = [
        f"<h1>{escape(title)}</h1><p>For teachers: {sum(task.points for task in found):g} points, {len(found)} tasks. "
        "The messages are what a student reads below a wrong answer.</p>"
    ]
    for task in found:
        parts.append(f"<h2>{escape(task.title)} <small>{task.points:g} points</small></h2>")
        if task.solution:
            parts.append(f"<pre>{_code(task.solution)}</pre>")
        said: dict[str, list[Wrong]] = defaultdict(list)
        for wrong in task.wrong:
            said[wrong.message()].append(wrong)
        if said:
            rows = "".join(
                _row(message, wrong) for message, wrong in sorted(said.items(), key=lambda item: -len(item[1]))
            )
            parts.append(f"<table><thead><tr><th>A student reads</th><th>after writing</th></tr></thead>{rows}</table>")
        if task.hidden:
            lines = "".join(f"<li>{escape(line)}</li>" for line in task.hidden)
            parts.append(f"<p>The grader also says, where an answer fails in its own tests:</p><ul>{lines}</ul>")
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}: answers</title>'
    return f"{head}<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"


def _row(message: str, wrong: list[Wrong]) -> str:
    answers = "".join(
        f"<div>{escape(one.name)}{f'<pre>{_code(one.code)}</pre>' if 0 < len(one.code) <= LONGEST else ''}</div>"
        for one in wrong
    )
    return f"<tr><td>{escape(message)}</td><td>{answers}</td></tr>"


def _code(text: str) -> str:
    return str(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True))).rstrip()


def main(arguments: list[str]) -> int:
    names = [path.stem for path in sorted(MASTERS.glob("*.ipynb"))]
    unknown = [word for word in arguments if not any(name.startswith(word) for name in names)]
    if unknown:
        print(
            f"answer_key: no assignment {', '.join(unknown)}; say a number from 01 to {names[-1][:2]}", file=sys.stderr
        )
        return 1
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not arguments or any(name.startswith(word) for word in arguments):
            with atomic_write(OUTPUT / f"{name}.html") as stream:
                stream.write(document(name).encode())
            print(f"{(OUTPUT / name).relative_to(ROOT)}.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
