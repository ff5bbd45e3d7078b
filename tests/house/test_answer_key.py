"""The answers for teachers: every task of every assignment, with messages that checks give at this moment."""

from types import ModuleType

import pytest

from scripts import answer_key
from scripts.slide_deck.prose import plain

NAMES = [path.stem for path in sorted(answer_key.MASTERS.glob("*.ipynb"))]


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_its_points_its_solution_and_wrong_answers(name):
    found = answer_key.tasks(name)
    assert sum(task.points for task in found) == 10
    for task in found:
        assert task.title
        assert "BEGIN" not in task.solution
        assert len(task.wrong) >= 10 or task.title == "Together"  # a task that only runs what the others made
        assert all(wrong.name for wrong in task.wrong)
    assert sum(bool(wrong.code) for task in found for wrong in task.wrong) > 0


def test_broken_code_that_students_get_is_not_shown_as_the_solution():
    assert all("INSTEAD" not in task.solution for task in answer_key.tasks("03_repair"))


def test_the_page_shows_what_a_check_says():
    html = answer_key.document("01_gram_matrix")
    text = plain(html)
    assert html.count("<h2>") == 4
    assert "(accepted)" not in text
    task = answer_key.tasks("01_gram_matrix")[0]
    wrong = next(one for one in task.wrong if one.code)
    assert wrong.message() in text
    assert wrong.name in text


def test_the_code_beside_an_answer_is_its_own():
    """Two tables of one file may give the same name to different answers."""
    tables = (
        "A = [(1, 'twice', lambda x: 2 * x, 'no')]",
        "B = [(1, 'twice', lambda x: x + x, 'no')]",
        "C = {'twice': ('3 * x', 'no')}",
    )
    text = "\n".join(tables)
    module = ModuleType("tables")
    exec(text, vars(module))
    codes = answer_key._codes(module, text)
    assert codes[id(module.A[0])] == "lambda x: 2 * x"
    assert codes[id(module.B[0])] == "lambda x: x + x"
    assert codes[id(module.C["twice"])] == "'3 * x'"


def test_an_unknown_assignment_is_refused(capsys):
    assert answer_key.main(["99"]) == 1
    assert "no assignment 99" in capsys.readouterr().err
