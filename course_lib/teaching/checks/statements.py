"""Statements that the book makes about its own numbers: `holds` prints each, marked as true or false here.

A reader may change any setting of a notebook, and then a statement may be false. That is a finding, not a fault: it is
printed with a cross and the numbers behind it, and the notebook goes on. Where the book checks itself, a false
statement is an error. `book_checks_itself` says which of the two applies.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

STRICT = "COURSE_LIB_STRICT"
_MOST = 8  # numbers of one name that a line shows


def book_checks_itself() -> bool:
    """Whether a false statement stops the notebook: the environment sets ``COURSE_LIB_STRICT=1``.

    ``make book``, ``make test``, ``pytest --nbval`` and the stored runs set it: `conftest.py`, `scripts.execute` and
    `scripts.paper_queue.cells`.
    """
    return os.environ.get(STRICT, "") not in ("", "0")


def holds(statement: str, condition: bool | Tensor) -> None:
    """Print a statement of the book, with ✓ if it is true on this machine and with these settings, otherwise with ✗.

    After ✗, the line gives the numbers that the condition compares, if they have names.

    Args:
        statement: the sentence to print, the same on every machine.
        condition: whether it holds; a tensor must have a single element.

    Raises:
        AssertionError: the statement does not hold, and the book checks itself.

    >>> holds("two is less than three", 2 < 3)
    ✓ two is less than three
    """
    if bool(condition):
        print(f"✓ {statement}")
        return
    numbers = "; ".join(_numbers(sys._getframe(1)))
    said = f"does not hold here: {statement}" + (f" ({numbers})" if numbers else "")
    if book_checks_itself():
        raise AssertionError(said)
    print(f"✗ {said}")


def _numbers(frame: FrameType) -> Iterator[str]:
    """``name = 0.2, 0.3`` for each name in the condition of the call that `frame` makes."""
    call, cell = _call(frame)
    values = [word.value for word in call.keywords if word.arg == "condition"] if call else []
    waiting: list[ast.AST] = [*(call.args[1:2] if call else []), *values]
    seen: set[str] = set()
    while waiting:
        for name in _names(waiting.pop(0)):
            if name in seen:
                continue
            seen.add(name)
            value = frame.f_locals.get(name, frame.f_globals.get(name))
            if text := _text(value):
                yield f"{name} = {text}"
            elif _is_truth(value) and cell is not None:  # a condition with a name: the numbers are where it was made
                waiting += _made(name, cell)


def _made(name: str, cell: ast.Module) -> list[ast.expr]:
    """The expression that a cell assigns to `name`, the last one if there are several; at most one."""
    made = [node for node in ast.walk(cell) if isinstance(node, ast.Assign)]
    named = [node for node in made if any(isinstance(x, ast.Name) and x.id == name for x in node.targets)]
    return [node.value for node in named[-1:]]


def _call(frame: FrameType) -> tuple[ast.Call | None, ast.Module | None]:
    """The call that a frame is in, and the cell around it; None where the source is not known."""
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    try:
        cell = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None, None
    where = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    for node in ast.walk(cell):
        if isinstance(node, ast.Call) and (node.lineno, node.end_lineno) == where[:2] and node.col_offset == where[2]:
            return node, cell
    return None, None


def _names(tree: ast.AST) -> list[str]:
    """The names that an expression reads, in the order in which they are written."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return [node.id for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset))]


def _text(value: Any) -> str:
    """A number, or a few of them, in words; "" for what is neither."""
    if isinstance(value, Mapping):
        pairs = ((str(key), _number(item)) for key, item in value.items())
        texts = [f"{key} {text}" for key, text in pairs if text]
    elif isinstance(value, list | tuple):
        texts = [text for item in value if (text := _number(item))]
    else:
        return _number(value)
    return ", ".join(texts[:_MOST]) + (" …" if len(texts) > _MOST else "")


def _number(value: Any) -> str:
    """One number, or the range of a tensor's; "" for anything else."""
    if _is_truth(value) or not isinstance(value, int | float | Tensor | np.generic | np.ndarray):
        return ""
    try:
        numbers = torch.as_tensor(value).detach().flatten().double()
    except (TypeError, ValueError, RuntimeError):  # objects, and integers that do not fit
        return ""
    if not len(numbers):
        return ""
    if len(numbers) <= 4:
        return ", ".join(f"{number:.4g}" for number in numbers.tolist())
    return f"{numbers.min().item():.4g} to {numbers.max().item():.4g}"


def _is_truth(value: Any) -> bool:
    """Whether a value is True or False, also as a tensor or an array of one element."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")
