"""How the tables of answers are read: wrong ones fail with a message that names what is wrong, right ones pass."""

import re
from collections import Counter

import pytest

from course_lib.teaching.checks import CheckFailed

# what would solve an exercise, and so must not stand in a message
_SOLUTIONS = (
    r"requires_grad|\.std\(|\.var\(|detach|padding_mode|Sigmoid|clamp|zero_grad|bmm|einsum|matmul|\.mT|transpose\("
    r"|flatten\(|view\(|\.sum\(|\.mean\(|\*\* ?2|F\.relu|nn\.ReLU"
)


def parameters(table, slow=()):
    """(check, name, answer, message) → parameters of a test; message None: the answer is right.

    Of the rows in `slow`, whose checks run large networks, every third is always tested.
    """
    late = {id(row) for k, row in enumerate(slow) if k % 3}
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(*row, id=f"{row[0].__name__}: {row[1]}", marks=marks[id(row) in late]) for row in table]


def judge(check, answer, said, capsys):
    """Run a check on one answer and compare its verdict with what is expected."""
    if said is None:
        check(answer)
        assert capsys.readouterr().out.startswith("✓ ")
        return
    with pytest.raises(CheckFailed) as caught:
        check(answer)
    message = str(caught.value)
    assert re.search(re.sub(r"([()\[\]])", r"\\\1", said), message), message
    assert "✓" not in capsys.readouterr().out
    assert not re.search(_SOLUTIONS, message.split("stopped with")[0]), message


def enough(table, right=6, wrong=10):
    """Checks with fewer right or wrong answers than that."""
    counts = Counter((row[0].__name__, row[3] is None) for row in table)
    names = {name for name, _ in counts}
    return {name for name in names if counts[name, True] < right or counts[name, False] < wrong}
