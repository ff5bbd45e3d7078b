"""Checks of experiments: predictions, measurements, trends and figures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from course_lib.arguments import is_number, plain
from course_lib.teaching.checks.base import CheckFailed, attempt, need
from course_lib.teaching.figures import Figure

_WORDS, _DIFFERENT = 8, 6  # the least for a caption or an alternative text that tells a finding


def check_predictions(answers: Callable[[], Any] | Any, questions: Mapping[str, Sequence[Any]]) -> None:
    """Check that every question has been answered with one of its options; whether it is right is not checked.

    Args:
        answers: question → answer, or a function that returns this mapping.
        questions: question → its options.

    Raises:
        CheckFailed: an answer is missing, or is not among the options.
    """
    given = attempt(answers) if callable(answers) else answers
    if not isinstance(given, Mapping):
        raise CheckFailed(f"the predictions must be a dictionary, question → answer, got {type(given).__name__}")
    missing = [name for name in questions if given.get(name) is None]
    need(not missing, f"no prediction for {', '.join(missing)}; a guess is fine, an empty answer is not")
    for name, options in questions.items():
        need(
            any(isinstance(plain(given[name]), type(option)) and plain(given[name]) == option for option in options),
            f"{name}: {given[name]!r} is not one of the options {', '.join(map(repr, options))}",
        )
    print(f"✓ {len(questions)} predictions, written down before the measurement")


def check_measurements(values: Any, keys: Sequence[Any], *, low: float, high: float, what: str) -> dict[Any, float]:
    """Check that a dictionary holds one finite number in [low, high] for each key.

    Args:
        values: key → number or tensor of one element, or a function that returns this mapping.
        keys: the keys that must be there.
        low, high: the range that makes sense, in the unit of the measurement.
        what: what was measured, for the message.

    Returns:
        key → plain number, in the order of `keys`.

    Raises:
        CheckFailed: a number is missing, not finite, or out of range.
    """
    if callable(values):
        values = attempt(values)
    if not isinstance(values, Mapping):
        raise CheckFailed(f"{what}: expected a dictionary, got {type(values).__name__}")
    missing = [str(key) for key in keys if key not in values]
    need(not missing, f"{what}: nothing was measured for {', '.join(missing)}")
    numbers = {}
    for key in keys:
        value = _number(values[key])
        if value is None:
            raise CheckFailed(f"{what}: for {key} expected one number, got {type(values[key]).__name__}")
        need(math.isfinite(value), f"{what}: the number for {key} is not finite")
        need(
            low <= value <= high,
            f"{what}: {value:.4g} for {key} is not between {low:g} and {high:g}; which unit did you use?",
        )
        numbers[key] = float(value)
    print(f"✓ {what}: " + ", ".join(f"{value:.3g} for {key}" for key, value in numbers.items()))
    return numbers


def check_trend(values: Collection[float], direction: str, what: str, *, slack: float = 0.0) -> None:
    """Check that a series of measurements rises or falls throughout.

    Args:
        values: the measurements, in order.
        direction: ``"rises"`` or ``"falls"``.
        what: what was measured, for the message.
        slack: the largest step in the other direction that counts as noise, in the unit of `values`.

    Raises:
        CheckFailed: a step goes the other way.
    """
    sign = {"rises": 1, "falls": -1}[direction]
    numbers = [number for value in values if (number := _number(value)) is not None]
    need(len(numbers) == len(list(values)) >= 2, f"{what}: expected at least two numbers, got {list(values)!r}")
    need(all(map(math.isfinite, numbers)), f"{what}: a value is not finite")
    wrong = [(a, b) for a, b in pairwise(numbers) if sign * (b - a) < -slack]
    need(
        not wrong and sign * (numbers[-1] - numbers[0]) > 0,
        f"{what}: the values {', '.join(f'{value:.3g}' for value in numbers)} do not all go in the expected direction. "
        "Did exactly one thing change from run to run?",
    )
    print(f"✓ {what}: {', '.join(f'{value:.3g}' for value in numbers)}")


def check_figure(figure: Any) -> None:
    """Check that a figure has a caption and an alternative text of useful length.

    Args:
        figure: a `course_lib.teaching.figures.Figure`, or a function that returns one.

    Raises:
        CheckFailed: it is not such a figure, or its texts are too short or the same.
    """
    if callable(figure):
        figure = attempt(figure)
    if not isinstance(figure, Figure):
        raise CheckFailed(f"expected a figure of course_lib.teaching.figures, got {type(figure).__name__}")
    caption, alt = (re.findall(r"\w+", text.casefold()) for text in (figure.caption, figure.alt))
    need(
        len(caption) >= _WORDS and len(set(caption)) >= _DIFFERENT,
        "the caption is too short to say what is shown and what to notice",
    )
    need(
        len(alt) >= _WORDS and len(set(alt)) >= _DIFFERENT,
        f"the alternative text has only {min(len(alt), len(set(alt)))} words; it must tell the finding to somebody who "
        "cannot see the figure",
    )
    need(
        alt != caption,
        "the alternative text repeats the caption; it should describe the figure to those who cannot see it",
    )
    print("✓ a figure that says what it shows")


def _number(value: Any) -> float | None:
    """A student's number as Python's, also from NumPy or from a tensor of one element; None if it is none."""
    if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    value = plain(value)
    return value if is_number(value) else None
