"""A GAN's `train_step` is short enough to be read beside its paper."""

import ast
from pathlib import Path

import pytest

METHODS = Path(__file__).resolve().parents[2] / "course_lib" / "methods"
STEPS = {
    path.stem: function
    for path in sorted(METHODS.glob("*.py"))
    for function in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(function, ast.FunctionDef) and function.name == "train_step"
}


def length(function: ast.FunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
    return lines


def test_the_gans_have_one() -> None:
    assert {"gan", "pix2pix"} <= STEPS.keys()


@pytest.mark.parametrize("method", STEPS)
def test_a_train_step_has_at_most_thirty_lines(method: str) -> None:
    assert ast.get_docstring(STEPS[method]), "say what it returns"
    assert length(STEPS[method]) <= 30


def test_a_docstring_does_not_count() -> None:
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    x = 1\n    return x').body
    assert isinstance(function, ast.FunctionDef)
    assert length(function) == 3
