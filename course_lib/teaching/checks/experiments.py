"""Checks of experiments: predictions, measurements, optimizations and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import CheckFailed, attempt, need, random, tensor
from course_lib.teaching.figures import Figure

_WORDS = 8  # the least for a caption or an alternative text that tells a finding


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
            given[name] in options, f"{name}: {given[name]!r} is not one of the options {', '.join(map(repr, options))}"
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
        value = values[key]
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CheckFailed(f"{what}: for {key} expected one number, got {type(value).__name__}")
        need(math.isfinite(value), f"{what}: the number for {key} is not finite")
        need(
            low <= value <= high,
            f"{what}: {value:.4g} for {key} is not between {low:g} and {high:g}; which unit did you use?",
        )
        numbers[key] = float(value)
    print(f"✓ {what}: " + ", ".join(f"{value:.3g} for {key}" for key, value in numbers.items()))
    return numbers


def check_trend(values: Sequence[float], direction: str, what: str, *, slack: float = 0.0) -> None:
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
    wrong = [(a, b) for a, b in pairwise(values) if sign * (b - a) < -slack]
    need(
        not wrong and sign * (values[-1] - values[0]) > 0,
        f"{what}: the values {', '.join(f'{value:.3g}' for value in values)} do not all go in the expected direction. "
        "Did exactly one thing change from run to run?",
    )
    print(f"✓ {what}: {', '.join(f'{value:.3g}' for value in values)}")


def check_optimization(function: Callable[[VGGFeatures, Tensor, Tensor, int], Any]) -> None:
    """Check a reconstruction by gradient descent.

    Args:
        function: ``function(network, target, start, steps)`` → the picture (1, 3, H, W) in [0, 1] and a list of `steps`
            losses, with the target features (1, C, h, w) of the network's one layer and a start (1, 3, H, W).

    Raises:
        CheckFailed: a property does not hold.
    """
    network = VGGFeatures("vgg19", ("relu2_1",), weights=None)
    target, start = network(random(1, 3, 32, 32))["relu2_1"], 0.4 + 0.2 * random(1, 3, 32, 32, seed=1)
    kept = start.clone()
    answer = attempt(function, network, target, start, 20, copies=False)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise CheckFailed(f"the function must return the picture and the list of losses, got {type(answer).__name__}")
    picture, losses = tensor(answer[0]), [float(value) for value in answer[1]]
    need(picture.shape == start.shape, f"the picture must have the start's shape, got {tuple(picture.shape)}")
    need(len(losses) == 20, f"twenty steps must give twenty losses, got {len(losses)}")
    need(all(map(math.isfinite, losses)), "a loss is not finite; the steps are too large, or something is divided by 0")
    need(losses[-1] != losses[0], "the loss does not change at all; does the gradient reach the picture?")
    need(
        losses[-1] < losses[0],
        f"the loss rises from {losses[0]:.4g} to {losses[-1]:.4g}; does the step have the right sign?",
    )
    need(
        losses[-1] < 0.7 * losses[0],
        f"after 20 steps, the loss is still {losses[-1] / losses[0]:.0%} of its first value; do old gradients add up, "
        "or is the step too small?",
    )
    need(
        bool(picture.min() >= -1e-6 and picture.max() <= 1 + 1e-6),
        f"the picture must stay in [0, 1], got values from {picture.min():.3g} to {picture.max():.3g}",
    )
    need(
        bool((start.detach() == kept).all()) and not start.requires_grad,
        "the start itself was changed; work on a copy, since the caller may need it again",
    )
    print("✓ a reconstruction whose loss falls and whose picture stays in [0, 1]")


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
    need(len(figure.caption.split()) >= _WORDS, "the caption is too short to say what is shown and what to notice")
    words = len(figure.alt.split())
    need(
        words >= _WORDS,
        f"the alternative text has only {words} words; it must tell the finding to somebody who cannot see the figure",
    )
    need(
        figure.alt != figure.caption,
        "the alternative text repeats the caption; it should describe the figure to those who cannot see it",
    )
    print("✓ a figure that says what it shows")
