"""A false statement of the book: a finding with its numbers for a reader, an error where the book checks itself."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from course_lib.teaching import checks
from course_lib.teaching.checks import statements
from scripts import execute
from scripts.paper_queue import cells

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def reader(monkeypatch):
    monkeypatch.delenv("COURSE_LIB_STRICT")


def cell(code):
    """Run code as a kernel does: with its source where Python's tracebacks find it."""
    file = "cell"
    statements.linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    exec(compile(code, file, "exec"), {"holds": checks.holds, "checks": checks, "torch": torch})


def test_these_tests_run_where_the_book_checks_itself():
    assert statements.book_checks_itself()


@pytest.mark.parametrize("word", ["", "0"])
def test_what_the_environment_says(monkeypatch, word):
    monkeypatch.setenv("COURSE_LIB_STRICT", word)
    assert not statements.book_checks_itself()


def test_a_true_statement_is_one_line_in_both_modes(capsys, monkeypatch):
    checks.holds("the loss falls", torch.tensor(True))
    monkeypatch.delenv("COURSE_LIB_STRICT")
    checks.holds("the loss falls", torch.tensor(True))
    assert capsys.readouterr().out == "✓ the loss falls\n" * 2


def test_a_false_statement_stops_where_the_book_checks_itself(capsys):
    loss = 3.0
    with pytest.raises(AssertionError, match=r"^does not hold here: the loss falls \(loss = 3\)$"):
        checks.holds("the loss falls", loss < 2)
    assert capsys.readouterr().out == ""


def test_a_reader_sees_a_cross_with_the_numbers_and_goes_on(reader, capsys):
    cell("after, before = 3.25, [1, 2]\nholds('it falls', after < before[0])\nprint('on')")
    assert capsys.readouterr().out == "✗ does not hold here: it falls (after = 3.25; before = 1, 2)\non\n"


@pytest.mark.parametrize(
    ("code", "numbers"),
    [
        ("a = torch.tensor(0.5)\nholds('x', a > 1)", "a = 0.5"),
        ("a = torch.rand(9) * 0 + 2\nholds('x', a.max() < 1)", "a = 2 to 2"),
        ("a = {'old': 1.5, 'new': torch.tensor(2)}\nholds('x', a['old'] > a['new'])", "a = old 1.5, new 2"),
        ("a = list(range(20))\nholds('x', max(a) < 3)", "a = 0, 1, 2, 3, 4, 5, 6, 7 …"),
        ("a, b = 1, 2\nok = a > b\nholds('x', ok)", "a = 1; b = 2"),  # the numbers are where the condition was made
        ("a = 1\nok = a > 2\nsure = ok and True\nholds('x', sure)", "a = 1"),
        ("a = 1\nfor k in range(2):\n    holds(\n        f'x', all(k > n for n in [a]),\n    )", "k = 0; a = 1"),
        ("a, b = 5, 6\nholds('y', a < b), holds('x', b < a)", "b = 6; a = 5"),
        ("a = 1\nholds('x', condition=a > 1)", "a = 1"),
        ("a = [[1, 2], [3]]\nholds('x', len(a) > 5)", ""),
        ("a = 'word'\nholds('x', not a)", ""),
        ("a = torch.tensor([True, False])\nholds('x', a.all())", ""),
        ("a, b = 10**400, 1e400\nholds('x', a > b)", "b = inf"),
        ("holds('x', False)", ""),
    ],
)
def test_the_numbers_are_those_the_condition_compares(reader, capsys, code, numbers):
    cell(code)
    first = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("✗"))
    assert first.partition(" (")[2].rstrip(")") == numbers


def test_without_a_source_there_is_the_statement_alone(reader, capsys):
    exec("a = 1\nholds('x', a > 2)", {"holds": checks.holds})
    assert capsys.readouterr().out == "✗ does not hold here: x\n"


# --- where the book checks itself
def notebook(path, code):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    made.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(made, path)


FALSE = "from course_lib.teaching import checks\nloss = 3\nchecks.holds('the loss falls', loss < 2)"


def test_what_make_book_starts_checks_the_book(monkeypatch):
    monkeypatch.setenv("COURSE_LIB_STRICT", "0")
    assert execute.execute([], {}, in_place=False, workers=1) == 0
    assert statements.book_checks_itself()


@pytest.mark.slow
def test_make_book_stops_at_a_false_statement(tmp_path, monkeypatch, capsys):
    """Whatever the shell says: `scripts.execute` itself makes the kernels strict."""
    monkeypatch.setenv("COURSE_LIB_STRICT", "0")
    monkeypatch.setattr(execute, "EXECUTED", tmp_path / "out")
    (tmp_path / "notebooks").mkdir()
    for name, code in (("01_false", FALSE), ("02_true", FALSE.replace("< 2", "> 2"))):
        notebook(tmp_path / "notebooks" / f"{name}.ipynb", code)
    paths = sorted((tmp_path / "notebooks").glob("*.ipynb"))
    assert execute.execute(paths, {}, in_place=False, workers=2) == 1
    said = capsys.readouterr().out
    assert "01_false: FAILED" in said
    assert "does not hold here: the loss falls (loss = 3)" in said
    assert "02_true: done" in said


@pytest.mark.slow
def test_nbval_stops_at_a_false_statement(tmp_path):
    """`pytest --nbval` at the root, as `make test` and a reader who checks call it: conftest.py makes it strict."""
    notebook(tmp_path / "false.ipynb", "# NBVAL_IGNORE_OUTPUT\n" + FALSE)
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text(encoding="utf-8").replace(
        "ROOT = Path(__file__).parent", f"ROOT = Path({str(ROOT)!r})"), encoding="utf-8")  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key != "COURSE_LIB_STRICT"}
    words = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout
    assert "does not hold here: the loss falls" in done.stdout


def test_a_stored_run_notes_a_false_statement(monkeypatch, capsys):
    monkeypatch.delenv("COURSE_LIB_STRICT")
    monkeypatch.setitem(os.environ, "COURSE_LIB_STRICT", "0")
    (note,) = cells.run(f"# --- cell 1 -\n{FALSE}\n")
    assert "does not hold at this scale" in note


def test_no_notebook_has_a_plain_assert_on_a_setting():
    """An ``assert`` stops a reader who changed a setting, without a number; `checks.holds` says it and goes on."""
    found = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, one in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            code = "".join(one["source"])
            if one["cell_type"] != "code" or code.lstrip().startswith(("%", "import importlib.util")):
                continue
            found += [
                f"{path.name}, cell {number}: {ast.unparse(node)}"
                for node in ast.walk(ast.parse(code))
                if isinstance(node, ast.Assert)
            ]
    assert found == []
