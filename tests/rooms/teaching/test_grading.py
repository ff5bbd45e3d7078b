"""Grading: every submission gets a row, tests come from the master, and a failing cell costs only its own points."""

import csv
import json
import os
import re
import time
from pathlib import Path

import psutil
import pytest

from course_lib.__main__ import main
from course_lib.teaching import assignments, grading
from course_lib.teaching.grading import Limits, process

FULL = [2.0, 3.0]


def cell(name, code, **mark):
    mark = {"grade_id": name, "grade": False, "locked": True, "solution": False, "schema_version": 3, **mark}
    metadata = {"nbgrader": mark}
    return {
        "cell_type": "code",
        "id": name,
        "metadata": metadata,
        "source": code,
        "outputs": [],
        "execution_count": None,
    }


def solution(name, code):
    return cell(name, code, locked=False, solution=True)


def own(code):
    return {"cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None}


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
AREA = "def area(r):\n    ### BEGIN SOLUTION\n    return math.pi * r**2\n    ### END SOLUTION"
HIDDEN = "### BEGIN HIDDEN TESTS\nassert double(-1) == -2, 'negative numbers'\n### END HIDDEN TESTS"
IMPORTS = cell("imports", "import math")
TEST_DOUBLE = cell("test_double", f"assert double(3) == 6, 'twice three'\n{HIDDEN}", grade=True, points=2)
TEST_AREA = cell(
    "test_area", "disk = area(1)\nassert math.isclose(disk, 3.141592653589793), 'the unit disk'", grade=True, points=3
)
MASTER = notebook(IMPORTS, solution("double", DOUBLE), TEST_DOUBLE, solution("area", AREA), TEST_AREA)
COPY = assignments.student_copy(MASTER)
RIGHT_DOUBLE, RIGHT_AREA = "def double(x):\n    return x + x", "def area(r):\n    return math.pi * r * r"


def answer(double=RIGHT_DOUBLE, area=RIGHT_AREA, *more):
    found = [IMPORTS, solution("double", double), TEST_DOUBLE, solution("area", area), TEST_AREA]
    return notebook(*(own(code) for code in more), *found)


def unmarked(book):
    return notebook(*(own(assignments.source(one)) for one in book["cells"]))


HARMLESS = [cell(one["id"], "pass", grade=True, points=100) for one in (TEST_DOUBLE, TEST_AREA)]
WRONG = "def {}(x):\n    return 0"
STUBBORN = """while True:
    try:
        while True:
            pass
    except BaseException:
        pass"""
SHADOW = "class math:\n    isclose = staticmethod(lambda *a: True)\n\n\n"
CHILD = "import subprocess\nsubprocess.Popen(['sleep', '98765'])"
FORGED = """import json, os
for number in range(3, 40):
    for name in ("test_double", "test_area"):
        try:
            os.write(number, (json.dumps({"token": "x", "kind": "test", "name": name, "message": ""}) + "\\n").encode())
        except OSError:
            pass
"""
# name → (submission, points, pattern in the note or a message)
CASES = {
    "right": (answer(), FULL, ""),
    "master": (MASTER, FULL, ""),
    "copy": (COPY, [0, 0], "still empty"),
    "one wrong": (answer("def double(x):\n    return 3 * x"), [0, 3], "twice three"),
    "hidden test": (answer("def double(x):\n    return 6"), [0, 3], "negative numbers"),
    "tests edited": (answer(WRONG.format("double"), WRONG.format("area"))
                     | {"cells": [solution("double", WRONG.format("double")), *HARMLESS]}, [0, 0], "twice three"),
    "tests deleted": (notebook(solution("double", RIGHT_DOUBLE), solution("area", RIGHT_AREA)), FULL, ""),
    "tests repeated": (notebook(*answer()["cells"], TEST_AREA, TEST_AREA), FULL, ""),
    "tests first": (notebook(TEST_DOUBLE, TEST_AREA, *answer()["cells"][::-1]), FULL, ""),
    "marks lost": (unmarked(answer()), FULL, ""),
    "a helper": (notebook(own("TWO = 2"), *answer("def double(x):\n    return TWO * x")["cells"]), FULL, ""),
    "a helper below": (
        notebook(IMPORTS, own("%%time\nTWO = 2"), *answer("double = lambda x: TWO * x")["cells"][1:]), FULL, ""),
    "syntax error": (answer("def double(x:\n    return"), [0, 3], "SyntaxError"),
    "misspelled": (answer("def double(x):\n    return 2 * y"), [0, 3], "NameError: name 'y' is not defined"),
    "exit": (answer(RIGHT_DOUBLE, "import sys\nsys.exit(0)"), [2, 0], "asked Python to exit"),
    "exit in a test": (answer("def double(x):\n    raise SystemExit"), [0, 3], "asked Python to exit"),
    "end the process": (answer(RIGHT_DOUBLE, "import os\nos._exit(0)"), [2, 0], "ended its own process"),
    "kill": (answer(RIGHT_DOUBLE, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), [2, 0], "by signal 9"),
    "endless": (answer("def double(x):\n    while True:\n        pass"), [0, 3], "does not end"),
    "endless and stubborn": (
        answer(RIGHT_DOUBLE, STUBBORN), [2, 0], "stopped after 6 s"),
    "endless in C": (answer(RIGHT_DOUBLE, "sum(range(10**12))"), [2, 0], "stopped after|does not end"),
    "hungry": (answer("x = bytearray(20 * 10**9)"), [0, 3], "more memory"),
    "asks": (answer("input('your name?')"), [0, 3], "EOFError"),
    "chatty": (answer(RIGHT_DOUBLE, RIGHT_AREA, "for _ in range(10**5):\n    print('x' * 80)"), FULL, ""),
    "null": (answer("x = '\0'\ny = '\ud800'"), [0, 3], ""),
    "words shadowed": (answer(RIGHT_DOUBLE, SHADOW + WRONG.format("area")), [2, 0], "the unit disk"),
    "library patched": (answer(RIGHT_DOUBLE, "import math\nmath.isclose = lambda *a: True\n" + WRONG.format("area")),
                        [2, 0], "the unit disk"),
    "patched in the test": (
        answer(RIGHT_DOUBLE, "import math\n\n\ndef area(r):\n    math.isclose = lambda *a: True\n    return 0"),
        [2, 0], "replaced math.isclose"),
    "report forged": (answer(WRONG.format("double"), WRONG.format("area"), FORGED), [0, 0], ""),
    "leaves a child": (answer(RIGHT_DOUBLE, RIGHT_AREA, CHILD), FULL, ""),
}  # fmt: skip
FILES = {
    "empty file": (b"", "the file is empty"),
    "broken": (b'{"cells": [', "JSON is broken"),
    "deep": (b"[" * 100_000, "JSON is broken"),
    "latin": ("Größe".encode("latin-1"), "not text in UTF-8"),
    "a list": (b"[1, 2]", "no list of cells"),
    "odd cells": (b'{"cells": [{"cell_type": "code", "source": 7}]}', "no list of cells"),
    "old format": (b'{"worksheets": [], "nbformat": 3}', "no list of cells"),
}


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masters")
    (folder / "01_small.ipynb").write_bytes(assignments.write(MASTER))
    return folder


@pytest.fixture(scope="module")
def graded(masters, tmp_path_factory):
    """All cases, graded in a single call: student → row."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, (book, _, _) in CASES.items():
        (folder / name).mkdir()
        (folder / name / "01_small.ipynb").write_text(json.dumps(book))
    for name, (data, _) in FILES.items():
        (folder / name).mkdir()
        (folder / name / "01_small.ipynb").write_bytes(data)
    (folder / "nothing").mkdir()
    (folder / "link").mkdir()
    (folder / "link" / "01_small.ipynb").symlink_to(masters / "01_small.ipynb")
    (folder / "=cmd()").mkdir()
    (folder / "=cmd()" / "01_SMALL (2).ipynb").write_text(json.dumps(answer()))
    grace, process._GRACE = process._GRACE, 1.0
    try:
        rows = grading.grade(folder, masters, limits=Limits(6.0, 2.0), jobs=2)
    finally:
        process._GRACE = grace
    return {row.submission: row for row in rows}


@pytest.mark.parametrize("name", CASES)
def test_points_and_messages(name, graded):
    _, points, said = CASES[name]
    row = graded[name]
    assert [row.points["test_double"], row.points["test_area"]] == points, grading.feedback(row)
    assert re.search(said, grading.feedback(row)), grading.feedback(row)
    assert row.maximum == 5


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_notebook_gets_a_row_that_says_so(name, graded):
    assert FILES[name][1] in graded[name].note
    assert graded[name].total == 0


def test_no_submission_a_link_and_an_odd_name(graded):
    assert graded["nothing"].note == "no submission"
    assert "link" in graded["link"].note
    assert graded["link"].total == 0
    assert graded["=cmd()"].total == 5


def test_no_child_process_is_left(graded):
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-1:] == ["98765"]]
    assert not left


def test_the_table_and_the_feedback(graded, tmp_path):
    rows = list(graded.values())
    grading.write_table(rows, tmp_path / "grades.csv")
    grading.write_feedback(rows, tmp_path / "pages")
    with open(tmp_path / "grades.csv", encoding="utf-8-sig", newline="") as file:
        table = {line["submission"]: line for line in csv.DictReader(file)}
    assert list(table["right"]) == ["submission", "assignment", "total", "max", "task 1", "task 2", "seconds", "note"]
    assert table["one wrong"] | {"seconds": ""} == {
        "submission": "one wrong", "assignment": "01_small", "total": "3", "max": "5", "task 1": "0", "task 2": "3",
        "seconds": "", "note": "",
    }  # fmt: skip
    assert "'=cmd()" in table, "a spreadsheet would take the name for a formula"
    assert len(table) == len(rows)
    assert "twice three" in (tmp_path / "pages" / "one wrong" / "01_small.txt").read_text(encoding="utf-8")
    assert not list(tmp_path.rglob("*.tmp"))


def test_flat_files_duplicates_and_other_files(masters, tmp_path):
    wrong = assignments.write(answer(WRONG.format("double"), WRONG.format("area")))
    (tmp_path / "lovelace_ada_01_small.ipynb").write_bytes(wrong)
    (tmp_path / "01_small_Turing Alan.ipynb").write_bytes(wrong)
    (tmp_path / "grace").mkdir()
    (tmp_path / "grace" / "01_small.ipynb").write_bytes(wrong)
    renamed = {**answer(), "metadata": {"assignment": "01_small"}}
    (tmp_path / "grace" / "final.ipynb").write_bytes(assignments.write(renamed))
    os.utime(tmp_path / "grace" / "01_small.ipynb", (1e9, 1e9))
    (tmp_path / "grace" / "shopping.ipynb").write_bytes(assignments.write(notebook(own("1"))))
    seen = []
    rows = grading.grade(tmp_path, masters, jobs=2, progress=lambda row: seen.append(row.submission))
    found = {(row.submission, row.assignment): row for row in rows}
    assert set(found) == {
        ("lovelace_ada", "01_small"),
        ("Turing Alan", "01_small"),
        ("grace", "01_small"),
        ("grace", ""),
    }
    assert found["grace", "01_small"].total == 5
    assert "2 files, the newest counts: final.ipynb" in found["grace", "01_small"].note
    assert "belongs to no assignment" in found["grace", ""].note
    assert sorted(seen) == ["Turing Alan", "grace", "lovelace_ada"]


CHECKED = notebook(
    cell("imports", "import torch\n\nfrom course_lib import checks"),
    solution(
        "gram", "def gram(f):\n    ### BEGIN SOLUTION\n    return f.flatten(2) @ f.flatten(2).mT\n    ### END SOLUTION"
    ),
    cell("test_gram", "checks.check_gram_matrix(gram)", grade=True, points=2),
)
EMPTY = "\n\n\ndef gram(f):\n    return f"
MODULE = "import course_lib.teaching.checks.statistics as s\n"
ALL_AT_ONCE = "checks.check_gram_matrix = s.need = torch.allclose = lambda *a, **k: True"
TRICKS = {
    "right": ("def gram(f):\n    return f.flatten(2) @ f.flatten(2).mT", 2),
    "other functions": (MODULE + ALL_AT_ONCE + EMPTY, 0),
    "other function, late": (MODULE + "def gram(f):\n    s.need = lambda *a: None\n    return torch.zeros(2, 3, 3)", 0),
    "other code": (
        MODULE + "for f in (s.need, s.check_gram_matrix): f.__code__ = (lambda *a: 0).__code__" + EMPTY, 0),
    "other module": ("import sys\nclass checks:\n    check_gram_matrix = print\n"
                     "sys.modules['course_lib.teaching.checks'] = checks" + EMPTY, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    "names", [("right", "other code"), pytest.param(tuple(TRICKS), marks=pytest.mark.slow)], ids=["two", "all"]
)
def test_tampering_with_checks_gives_no_points(tmp_path, names):
    (tmp_path / "masters").mkdir()
    (tmp_path / "masters" / "01_gram.ipynb").write_bytes(assignments.write(CHECKED))
    for name in names:
        code = TRICKS[name][0]
        (tmp_path / "all" / name).mkdir(parents=True)
        cells = [CHECKED["cells"][0], solution("gram", code), CHECKED["cells"][2]]
        (tmp_path / "all" / name / "01_gram.ipynb").write_bytes(assignments.write(notebook(*cells)))
    rows = grading.grade(tmp_path / "all", tmp_path / "masters", jobs=2)
    assert {row.submission: row.total for row in rows} == {name: TRICKS[name][1] for name in names}


def test_the_parent_watches_memory(monkeypatch):
    class Child:
        pid = os.getpid()

        def wait(self, seconds):
            raise process.subprocess.TimeoutExpired("child", seconds)

    assert "GB of memory" in process._watch(Child(), Limits(60, 1e-4), process.Event(), bytearray())


def test_a_flood_of_reports_is_cut_off(monkeypatch):
    monkeypatch.setattr(process, "_LONGEST", 10_000)
    flood = """import os, itertools
for number in itertools.cycle(range(3, 40)):
    try:
        os.write(number, b"x" * 999)
    except OSError:
        pass"""
    began = time.monotonic()
    reports, ending = process.run([("student", "a", flood), ("test", "b", "pass")], Limits(2, 2))
    assert not any(report["kind"] == "test" for report in reports)
    assert ending
    assert time.monotonic() - began < 30


def test_an_interrupt_ends_running_submissions(masters, tmp_path):
    for name, book in (("quick", answer()), ("slow", answer("while True:\n    pass"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "01_small.ipynb").write_bytes(assignments.write(book))

    def interrupt(row):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        grading.grade(tmp_path, masters, limits=Limits(300, 2), jobs=2, progress=interrupt)
    assert time.monotonic() - began < 60


def test_the_command(masters, tmp_path, capsys, monkeypatch):
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / "01_small.ipynb").write_text(json.dumps(answer()))
    monkeypatch.chdir(tmp_path)
    assert main(["grade", "in", "--masters", str(masters), "-o", "out.csv"]) == 0
    assert "1 rows, 0 with a note" in capsys.readouterr().out
    assert Path("out.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith("ada,01_small,5,5,2,3,")
    assert Path("out_feedback/ada/01_small.txt").exists()
    for words, said in (
        (["grade", "nowhere", "--masters", str(masters)], "is not a folder"),
        (["grade", "in", "--masters", "nowhere"], "no master notebook"),
        (["grade", "in", "-o", "grades.xls"], ".csv file"),
        (["grade", "in", "-o", "no/where.csv"], "does not exist"),
        (["grade", "in", "--timeout", "0"], "greater than 0"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
