"""Grading: every submission gets a row, tests come from the master, and a failing cell costs only its own points."""

import csv
import errno
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
DAEMON = """import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "98765"])
    os._exit(0)
os.wait()"""
MANY = "import subprocess, time\n[subprocess.Popen(['sleep', '98765']) for _ in range(80)]\ntime.sleep(60)"
FORGED = """import json, os
for number in range(3, 40):
    for name in ("test_double", "test_area"):
        try:
            os.write(number, (json.dumps({"token": "x", "kind": "test", "name": name, "message": ""}) + "\\n").encode())
        except OSError:
            pass
"""
NO_ALARM = "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\ntime.sleep(60)"
THREAD = """import threading, time
def busy():
    while True:
        time.sleep(0.1)
threading.Thread(target=busy).start()"""
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
    "leaves a daemon": (answer(RIGHT_DOUBLE, RIGHT_AREA, DAEMON), FULL, ""),
    "a crowd": (answer(RIGHT_DOUBLE, MANY), [2, 0], "at 64 processes|does not end"),
    "closes its pipes": (answer(RIGHT_DOUBLE, "import os\nos.closerange(0, 256)"), [2, 0], "ended its own process"),
    "no more alarms": (answer(RIGHT_DOUBLE, NO_ALARM), [2, 0], "stopped after 6 s"),
    "a thread that goes on": (answer(RIGHT_DOUBLE, RIGHT_AREA, THREAD), FULL, ""),
    "a huge number": (answer(RIGHT_DOUBLE, f"x = {'9' * 5000}"), [2, 0], "SyntaxError"),
    "brackets": (answer(RIGHT_DOUBLE, "x = " + "(" * 5000), [2, 0], "Error|memory"),
    "json patched": (answer(RIGHT_DOUBLE, "import json\njson.dumps = lambda *a: '{}'"), [2, 0], "NameError"),
}  # fmt: skip
FILES = {
    "empty file": (b"", "the file is empty"),
    "broken": (b'{"cells": [', "JSON is broken"),
    "deep": (b"[" * 100_000, "JSON is broken"),
    "latin": ("Größe".encode("latin-1"), "not text in UTF-8"),
    "a list": (b"[1, 2]", "no list of cells"),
    "odd cells": (b'{"cells": [{"cell_type": "code", "source": 7}]}', "no list of cells"),
    "old format": (b'{"worksheets": [], "nbformat": 3}', "the old format 3; open it in Jupyter"),
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
    (folder / "a folder" / "01_small.ipynb").mkdir(parents=True)
    (folder / "a pipe").mkdir()
    os.mkfifo(folder / "a pipe" / "01_small.ipynb")
    for hidden in (".DS_Store", "._ada", ".git/x", "__MACOSX/ada"):  # what archives and editors leave behind
        (folder / hidden).mkdir(parents=True)
        (folder / hidden / "01_small.ipynb").write_text(json.dumps(answer()))
    (folder / "right" / "._01_small.ipynb").write_bytes(b"\0\1")
    (folder / "right" / ".ipynb_checkpoints").mkdir()
    (folder / "right" / ".ipynb_checkpoints" / "01_small-checkpoint.ipynb").write_text(json.dumps(COPY))
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


def test_what_is_not_a_file_is_not_read_and_hidden_files_do_not_count(graded):
    assert [graded[name].note for name in ("a folder", "a pipe")] == ["this is not a file"] * 2
    assert set(graded) == {*CASES, *FILES, "nothing", "a folder", "a pipe", "link", "=cmd()"}
    assert graded["right"].note == ""


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


@pytest.mark.parametrize("blocked", ["grades.csv", "grades_feedback"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, blocked):
    """Whoever the user is: root may write anywhere, and a full disk or a read-only one shows in no permission."""
    monkeypatch.setattr(grading, "grade", lambda *_, **__: pytest.fail("hours of grading"))
    (tmp_path / "grades_feedback").mkdir()
    opened = Path.open

    def full(path, *words, **options):
        inside = path.parent.name == "grades_feedback"
        if inside == (blocked == "grades_feedback"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *words, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(assignments.NotebookError, match=rf"{blocked} cannot be written \(No space left"):
        grading.grade_into(tmp_path / "submissions", tmp_path / "grades.csv")


def test_a_table_in_no_folder_is_refused(tmp_path):
    with pytest.raises(assignments.NotebookError, match=r"grades\.csv cannot be written, because .*nowhere does not"):
        grading.grade_into(tmp_path / "submissions", tmp_path / "nowhere" / "grades.csv")


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
    "settings": ("torch.set_grad_enabled(False)\ntorch.set_default_dtype(torch.float64)\n"
                 "def gram(f):\n    return f.flatten(2) @ f.flatten(2).mT", 2),
    "other module": ("import sys\nclass checks:\n    check_gram_matrix = print\n"
                     "sys.modules['course_lib.teaching.checks'] = checks" + EMPTY, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    "names", [("settings", "other code"), pytest.param(tuple(TRICKS), marks=pytest.mark.slow)], ids=["two", "all"]
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


GIVEN = notebook(
    solution("double", DOUBLE),
    cell("runs", "TURNS = 3\nruns = [double(turn) for turn in range(TURNS)]"),
    cell("test_runs", "assert runs[:TURNS] == [0, 2, 4], 'wrong runs'", grade=True, points=2),
)
OWN_RUNS = "runs = [0, 2, 4]"


@pytest.mark.parametrize(
    ("double", "points"),
    [
        (RIGHT_DOUBLE, 2),
        (WRONG.format("double"), 0),
        ("def double(x):\n    raise ValueError", 0),  # the given cell stops, but `runs` is there all the same
    ],
)
def test_what_a_given_cell_makes_cannot_be_replaced(double, points):
    """A student may try things with the same names; the test sees what the master's cells made."""
    given, test = GIVEN["cells"][1:]
    book = notebook(solution("double", double), given, own(OWN_RUNS + "\nTURNS = 1"), test)
    row = grading.Row("ada", "runs", assignments.tasks(GIVEN), {"test_runs": 0.0})
    grading._run_into(row, assignments.for_grading(GIVEN, book), Limits(20, 2), process.Event())
    assert row.total == points, row.messages


@pytest.mark.parametrize(
    ("code", "limits", "said"),
    [
        ("import time\ntime.sleep(9)", Limits(1, 2), "stopped after 1 s"),
        ("x = bytearray(10**9)", Limits(20, 0.5), "more memory"),
        ("import a_module_that_is_not_there", Limits(20, 2), "No module named"),
    ],
)
def test_nobody_gets_nothing_because_the_machine_is_too_small(tmp_path, code, limits, said):
    """The master itself must get full points within the limits, before any submission is run."""
    (tmp_path / "masters").mkdir()
    (tmp_path / "in" / "ada").mkdir(parents=True)
    slow = notebook(cell("wait", code), *MASTER["cells"][1:])
    (tmp_path / "masters" / "01_small.ipynb").write_bytes(assignments.write(slow))
    (tmp_path / "in" / "ada" / "01_small.ipynb").write_bytes(assignments.write(slow))
    rows = []
    with pytest.raises(assignments.NotebookError, match="01_small cannot be graded here: its own solution") as caught:
        grading.grade(tmp_path / "in", tmp_path / "masters", limits=limits, progress=rows.append)
    assert said in str(caught.value)
    assert rows == []


@pytest.mark.parametrize(
    "wrong", [0, -1, float("inf"), float("nan"), 1e300, 1e6, 10**400, True, "300", None, [300]], ids=str
)
def test_a_limit_that_could_not_be_kept_is_refused(wrong):
    with pytest.raises(ValueError, match=r"the time limit \(seconds\) must be a number from 1 to 86,400, got "):
        Limits(seconds=wrong)
    with pytest.raises(ValueError, match=r"the memory limit \(GB\) must be a number from 0.5 to 1,?000, got "):
        Limits(memory=wrong)


def test_a_system_that_cannot_limit_a_notebook_is_named(masters, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "_CAN_LIMIT", False)
    with pytest.raises(assignments.NotebookError, match="in ways that Windows lacks; grade on Linux or macOS"):
        grading.grade(tmp_path, masters)


@pytest.mark.parametrize("wrong", [0, -3, 65, 1.5, "2", True])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(masters, tmp_path, wrong):
    with pytest.raises(ValueError, match="jobs must be a whole number from 1 to 64, got "):
        grading.grade(tmp_path, masters, jobs=wrong)


@pytest.mark.parametrize(
    ("file", "student"),
    [
        ("s1234567_01_small.ipynb", "s1234567"),
        ("1234567_01_small.ipynb", "1234567"),
        ("01_small_7654321.ipynb", "7654321"),
        ("01_small.ipynb", "(no name)"),
        ("01_small (2).ipynb", "(no name)"),
        ("ada_01_small (2).ipynb", "ada"),
        ("ada_01_small-Copy1.ipynb", "ada"),
        ("ada_01_small - Copy.ipynb", "ada"),
        ("ada_01_small-1.ipynb", "ada"),
        ("ada lovelace_01 Small.ipynb", "ada lovelace"),
        ("Ada Lovelace_77_assignsubmission_file_01_small.ipynb", "Ada Lovelace_77_assignsubmission_file"),
        ("lovelaceada_LATE_12_345_01_small-2.ipynb", "lovelaceada_LATE_12_345"),
        ("Ada_01_SMALL.ipynb", "Ada"),
        ("müller_01_small.ipynb", "müller"),
    ],
)
def test_the_student_of_a_flat_file(tmp_path, file, student):
    """Two students whose names differ in digits only must not become one."""
    (tmp_path / file).write_bytes(b"")
    submissions, others = grading._submissions(tmp_path, ["01_small"])
    assert [name for name, _ in submissions] == [student]
    assert others == []


def test_a_notebook_saved_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(b"\xef\xbb\xbf" + assignments.write(answer()))
    assert assignments.read(tmp_path / "a.ipynb") == json.loads(assignments.write(answer()))


def test_each_row_has_a_feedback_file_of_its_own(tmp_path):
    rows = [grading.Row(name, "", note=f"note {k}") for k, name in enumerate(["a?b", "a*b", "A_b", "ada", "ada"])]
    grading.write_feedback(rows, tmp_path)
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.txt")]
    assert sorted(re.findall(r"note \d", " ".join(texts))) == [f"note {k}" for k in range(5)]
    assert len({str(path).casefold() for path in tmp_path.rglob("*.txt")}) == 5


def test_the_parent_watches_memory(monkeypatch):
    class Child:
        pid = os.getpid()

        def wait(self, seconds):
            raise process.subprocess.TimeoutExpired("child", seconds)

    monkeypatch.setattr(process, "_memory", lambda number: 0.7e9)
    assert "GB of memory" in process._watch(Child(), Limits(60, 0.5), process.Event(), bytearray())


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
    Path("taken_feedback").touch()
    Path("folder.csv").mkdir()
    assert main(["grade", "in", "--masters", str(masters), "-o", "out.csv"]) == 0
    assert "1 rows, 0 with a note" in capsys.readouterr().out
    assert Path("out.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith("ada,01_small,5,5,2,3,")
    assert Path("out_feedback/ada/01_small.txt").exists()
    for words, said in (
        (["grade", "nowhere", "--masters", str(masters)], "is not a folder"),
        (["grade", "in", "--masters", "nowhere"], "no master notebook"),
        (["grade", "in", "-o", "grades.xls"], ".csv file"),
        (["grade", "in", "-o", "no/where.csv"], "does not exist"),
        (["grade", "in", "-o", "in/grades.csv"], "would mistake its feedback for a student's folder"),
        (["grade", "in", "-o", "taken.csv"], "taken_feedback is a file"),
        (["grade", "in", "-o", "folder.csv"], "must be a .csv file"),
        (["grade", "in", "--timeout", "0"], "from 1 to 86,400, got 0.0"),
        (["grade", "in", "--timeout", "inf"], "from 1 to 86,400, got inf"),
        (["grade", "in", "--timeout", "1e300"], "from 1 to 86,400, got 1e+300"),
        (["grade", "in", "--timeout", "nan"], "from 1 to 86,400, got nan"),
        (["grade", "in", "--memory", "inf"], "from 0.5 to 1,000, got inf"),
        (["grade", "in", "--memory", "-4"], "from 0.5 to 1,000, got -4.0"),
        (["grade", "in", "--jobs", "65"], "from 1 to 64, got 65"),
    ):
        assert main([*words, "--masters", str(masters)] if "--masters" not in words else words) == 2
        assert said in capsys.readouterr().err
    for wrong in (["--jobs", "0"], ["--jobs", "-1"], ["--jobs", "1.5"], ["--timeout", "long"], ["--memory", ""]):
        with pytest.raises(SystemExit, match="2"):
            main(["grade", "in", *wrong])
        assert f"argument {wrong[0]}: " in capsys.readouterr().err


def test_the_command_finds_the_home_folder(masters, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / "01_small.ipynb").write_text(json.dumps(answer()))
    assert main(["grade", "~/in", "--masters", str(masters), "--output=~/out.csv"]) == 0
    assert (tmp_path / "out.csv").exists()
