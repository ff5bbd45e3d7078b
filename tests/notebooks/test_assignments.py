"""The assignments: copies follow from masters, masters are right, and an untouched copy has nothing."""

import ast
import importlib
import re
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch

from course_lib import VGGFeatures
from course_lib.teaching import assignments

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks" / "assignments"
MASTERS = sorted((FOLDER / "masters").glob("*.ipynb"))
LIGHT = (  # these need no pretrained VGG
    "04_transformer_net", "05_patchgan", "08_any_style", "09_color_and_place", "10_there_and_back",
    "11_one_layer_many_styles", "12_lost_label", "13_warp_and_mask",
)  # fmt: skip
LONG = ("06_predict_then_run", "07_reproduce_a_figure")  # whole runs with the real VGG


def generator():
    return importlib.import_module("scripts.assignments")


def run(notebook, master, light=False):
    """Runs a notebook as it would be graded, but in this process; grade_id → what went wrong, or None.

    With `light` the VGG is a small random one, and the test that measures the real one is left out.
    """
    names, found = {"__name__": "__main__"}, {}
    for kind, name, code in assignments.for_grading(master, notebook):
        if name == "bootstrap" or (light and name == "test_together"):
            continue  # a magic, and for Colab only
        try:
            exec(compile(code, f"<{name}>", "exec"), names)
            error = None
            if light and name == "imports":
                names["VGGFeatures"] = partial(VGGFeatures, weights=None)
        except (Exception, NotImplementedError) as caught:
            error = f"{type(caught).__name__}: {caught}"
        if kind == "test" or (kind == "given" and error and notebook is master):
            found[name] = error
    return found


def test_there_are_enough_and_each_gives_ten_points():
    assert len(MASTERS) >= 6
    for path in MASTERS:
        tasks = assignments.tasks(assignments.read(path))
        assert sum(task.points for task in tasks) == 10
        assert len(tasks) >= 3
        assert all(task.title for task in tasks)


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_a_copy_says_what_a_class_took_or_that_none_was_timed(path):
    first = assignments.source(assignments.read(FOLDER / path.name)["cells"][0])
    assert re.search(rf" minutes \({re.escape(generator().measured(path.stem))}\) · after chapters? ", first)


def test_the_minutes_of_classes_come_from_the_table(tmp_path):
    table = tmp_path / "times.csv"
    table.write_text("assignment,students,minutes\n01_gram,24,45\n02_more,x,9\n01_gram,30,52\n", encoding="utf-8")
    words = "an estimate; a class of 24 took 45, a class of 30 took 52"
    assert generator().measured("01_gram", table) == words
    assert "not measured" in generator().measured("03_other", table)
    with pytest.raises(assignments.NotebookError, match="whole and positive"):
        generator().measured("02_more", table)


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_a_master_is_made_as_it_should_be(path):
    master = assignments.read(path)
    assert not list(assignments.problems(master))
    number = int(path.stem[:2])
    first = assignments.source(master["cells"][0])
    assert first.startswith(f"# Assignment {number}. ")
    assert f"blob/main/notebooks/assignments/{path.name})" in first
    assert "**The story.**" in first
    assert "**You will learn**" in first or number >= 6
    for cell in master["cells"]:
        code = assignments.source(cell)
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "masters are kept without outputs"
        if assignments.is_test(cell):
            kept = assignments.source(assignments.student_copy({"cells": [cell]})["cells"][0])
            assert re.search(r"checks\.check_|assert ", kept), "every test shows a student something to run"
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.Assert):
                    assert node.msg is not None, f"a test says why it fails: {ast.unparse(node)}"


def test_the_page_for_teachers_lists_them_all():
    page = (ROOT / "book" / "teachers.md").read_text(encoding="utf-8")
    for path in MASTERS:
        points = [f"{task.points:g}" for task in assignments.tasks(assignments.read(path))]
        (row,) = re.findall(rf"^\| {int(path.stem[:2])} \| [^|]+ \| \d+ \| .*$", page, re.MULTILINE)
        assert row.endswith(f"| {' + '.join(points)} |"), f"{path.stem}: {row}"
        assert f"blob/main/notebooks/assignments/{path.name})" in page
        assert f"<../notebooks/assignments/{path.name}>" in page
    long, short = page.split("## A course in twelve weeks")[1].split("## A course in six weeks")
    for plan, points, numbers in (
        (long, 140, range(1, len(MASTERS) + 1)),  # with the project
        (short.split("### A lab")[0], 60, (1, 3, 5, 8, 10)),
    ):
        assert f"That is {points} points" in plan
        weeks = [line.split("|")[4] for line in plan.splitlines() if re.match(r"\| \d", line)]
        assert sum(int(found) for week in weeks for found in re.findall(r"\((\d+)", week)) == points
        handed_out = sorted(int(found) for week in weeks for found in re.findall(r"assignment (\d+)", week))
        assert handed_out == list(numbers)


@pytest.mark.parametrize(
    "path", [*MASTERS, *sorted(FOLDER.glob("*.ipynb"))], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_they_are_notebooks_as_the_format_wants_them(path):
    nbformat.validate(nbformat.read(path, as_version=4))


def test_the_copies_are_up_to_date():
    made = generator().copies()
    assert {path.name for path in made} == {path.name for path in FOLDER.glob("*.ipynb")}
    for path, content in made.items():
        assert path.read_bytes() == content, f"{path.name} is not what its master gives: run `make assignments`"


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_a_copy_gives_nothing_away(path):
    copy = assignments.read(FOLDER / path.name)
    text = "\n".join(assignments.source(cell) for cell in copy["cells"])
    assert not re.search(r"### (BEGIN|END|INSTEAD)|HIDDEN|SOLUTION", text)
    master = assignments.read(path)
    for cell in master["cells"]:
        for secret in (*assignments._SOLUTION.findall(assignments.source(cell)),
                       *assignments._HIDDEN.findall(assignments.source(cell))):  # fmt: skip
            for line in secret[1].splitlines():
                if len(line.strip()) > 35:
                    assert line.strip() not in text, f"the copy still says {line.strip()!r}"


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_an_untouched_copy_scores_zero(path):
    """That of the repair runs as it is, so with a light network; its mistakes do not depend on the weights."""
    found = run(assignments.read(FOLDER / path.name), assignments.read(path), light=path.stem == "03_repair")
    assert found
    assert all(found.values()), f"for nothing: {[name for name, error in found.items() if not error]}"


@pytest.mark.real_weights
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in LONG else [])
        for path in MASTERS
        if path.stem not in LIGHT
    ],
)
def test_a_master_scores_full(path, real_network):
    real_network(layers=("relu1_1",))  # says what to do where the weights are missing
    master = assignments.read(path)
    assert {name: error for name, error in run(master, master).items() if error} == {}


@pytest.mark.parametrize("path", [p for p in MASTERS if p.stem in LIGHT], ids=lambda path: path.stem)
def test_a_master_that_needs_no_pretrained_network_scores_full(path):
    master = assignments.read(path)
    assert {name: error for name, error in run(master, master).items() if error} == {}


# --- the repair: each mistake by itself has its own symptom
def repaired(*names):
    """The repair with only these pieces repaired."""
    master = assignments.read(FOLDER / "masters" / "03_repair.ipynb")
    copy = assignments.read(FOLDER / "03_repair.ipynb")
    right = {cell["id"]: cell for cell in master["cells"]}
    cells = [right[cell["id"]] if cell["id"] in names else cell for cell in copy["cells"]]
    return {**copy, "cells": cells}, master


def test_each_of_the_three_mistakes_has_a_symptom_of_its_own():
    pieces = {
        "features_of": ("test_features", "the network gets values from"),
        "channel_statistics": ("test_statistics", "4 times as large, not 2 times"),
        "paint": ("test_paint", "what else is being optimized"),
    }
    broken = run(*repaired(), light=True)
    for piece, (test, said) in pieces.items():
        assert said in broken[test]
        alone = run(*repaired(*(name for name in pieces if name != piece)), light=True)
        assert [name for name, error in alone.items() if error] == [test]


# --- surgery
def cell(name, text, **mark):
    marks = {"grade_id": name, "grade": False, "locked": False, "solution": True, "schema_version": 3, **mark}
    return {"cell_type": "code", "id": name, "metadata": {"nbgrader": marks}, "source": text, "outputs": [1]}


def copied(text, **mark):
    (made,) = assignments.student_copy({"cells": [cell("a", text, **mark)]})["cells"]
    assert made["outputs"] == []
    return assignments.source(made)


def test_what_a_copy_is_made_of():
    region = "def f(x):\n    ### BEGIN SOLUTION\n    y = x\n    return y\n    ### END SOLUTION\n"
    assert copied(region) == "def f(x):\n    raise NotImplementedError  # your code"
    assert copied(region + "    ### INSTEAD: return -x\n") == "def f(x):\n    return -x"
    test = "assert f(1)\n### BEGIN HIDDEN TESTS\nassert f(2)\n### END HIDDEN TESTS"
    assert copied(test, solution=False, locked=True, grade=True, points=1) == "assert f(1)"
    for wrong in ("def f(x):\n    return x", region.replace("### END SOLUTION", ""), region + "### BEGIN SOLUTION\n"):
        with pytest.raises(assignments.NotebookError):
            copied(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grade_id": "b"}, "cell id"),
        ({"grade_id": ""}, "missing"),
        ({"schema_version": 2}, "schema_version"),
        ({"locked": True}, "either a solution or locked"),
        ({"solution": False, "grade": True, "points": 0, "locked": True}, "have points"),
    ],
)
def test_a_master_with_wrong_marks_is_refused(change, said):
    one = cell("a", "pass", **change)
    one["id"] = "a"
    assert any(said in problem for problem in assignments.problems({"cells": [one]}))


def test_cells_without_marks_are_refused():
    one = {"cell_type": "code", "id": "x", "metadata": {}, "source": "1"}
    assert "without nbgrader metadata" in next(assignments.problems({"cells": [one]}))


def test_no_random_state_is_left_behind():
    """Checks seed what they build, and give the student's random state back."""
    from course_lib.teaching import checks

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with pytest.raises(checks.CheckFailed):
        checks.check_residual_block(lambda channels: torch.nn.Conv2d(channels, channels, 3))
    assert torch.equal(torch.rand(3), expected)
