"""Checks of experiments: predictions that are filled in, measurements that are what they claim, figures that speak."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import CheckFailed, attempt, need, random, tensor
from course_lib.teaching.figures import Figure

_WORDS = 8  # of an alternative text that tells a finding


def check_predictions(answers: Callable[[], Any] | Any, questions: Mapping[str, Sequence[Any]]) -> None:
    """Check that every question has one of its possible answers; which one is nobody's business yet."""
    given = attempt(answers) if callable(answers) else answers
    if not isinstance(given, Mapping):
        raise CheckFailed(f"the predictions must be a dictionary, question → answer, got {type(given).__name__}")
    missing = [name for name in questions if given.get(name) is None]
    need(not missing, f"without a prediction: {', '.join(missing)}. A guess is welcome, an empty place is not")
    for name, options in questions.items():
        need(
            given[name] in options, f"{name}: {given[name]!r} is not among the answers {', '.join(map(repr, options))}"
        )
    print(f"✓ {len(questions)} predictions, written down before the measurement")


def check_measurements(values: Any, keys: Sequence[Any], *, low: float, high: float, what: str) -> dict[Any, float]:
    """Check a dictionary with one finite number a key, within [low, high]; returns it as plain numbers."""
    if callable(values):
        values = attempt(values)
    if not isinstance(values, Mapping):
        raise CheckFailed(f"{what}: expected a dictionary, got {type(values).__name__}")
    missing = [str(key) for key in keys if key not in values]
    need(not missing, f"{what}: nothing was measured for {', '.join(missing)}")
    found = {}
    for key in keys:
        value = values[key]
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CheckFailed(f"{what}: for {key} expected one number, got {type(value).__name__}")
        need(math.isfinite(value), f"{what}: the number for {key} is not finite")
        need(
            low <= value <= high,
            f"{what}: {value:.4g} for {key} lies outside {low:g} to {high:g}; in which unit is it?",
        )
        found[key] = float(value)
    print(f"✓ {what}: " + ", ".join(f"{value:.3g} for {key}" for key, value in found.items()))
    return found


def check_trend(values: Sequence[float], direction: str, what: str, *, slack: float = 0.0) -> None:
    """Check that a row of measurements rises or falls throughout; `slack` is the step back that noise may take."""
    sign = {"rises": 1, "falls": -1}[direction]
    wrong = [(a, b) for a, b in pairwise(values) if sign * (b - a) < -slack]
    need(
        not wrong and sign * (values[-1] - values[0]) > 0,
        f"{what}: measured {', '.join(f'{value:.3g}' for value in values)}, in which something goes the other way. Did "
        "one thing change from run to run, and only that?",
    )
    print(f"✓ {what}: {', '.join(f'{value:.3g}' for value in values)}")


def check_optimization(function: Callable[[VGGFeatures, Tensor, Tensor, int], Any]) -> None:
    """Check ``function(network, target features, start, steps) -> (picture, losses)``, a reconstruction by descent."""
    network = VGGFeatures("vgg19", ("relu2_1",), weights=None)
    target, start = network(random(1, 3, 32, 32))["relu2_1"], 0.4 + 0.2 * random(1, 3, 32, 32, seed=1)
    kept = start.clone()
    answer = attempt(function, network, target, start, 20, copies=False)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise CheckFailed(f"the function must return the picture and the list of losses, got {type(answer).__name__}")
    picture, losses = tensor(answer[0]), [float(value) for value in answer[1]]
    need(picture.shape == start.shape, f"the picture must have the start's shape, got {tuple(picture.shape)}")
    need(len(losses) == 20, f"twenty steps make twenty losses, got {len(losses)}")
    need(
        all(map(math.isfinite, losses)), "a loss is not finite: the steps are too large, or something was divided by 0"
    )
    need(losses[-1] != losses[0], "the loss stays exactly what it was: does the gradient reach the picture?")
    need(
        losses[-1] < losses[0],
        f"the loss rises from {losses[0]:.4g} to {losses[-1]:.4g}; is the sign of the step right?",
    )
    need(
        losses[-1] < 0.7 * losses[0],
        f"after 20 steps the loss is still {losses[-1] / losses[0]:.0%} of its start; are old gradients in the way, or "
        "is the step too small?",
    )
    need(
        bool(picture.min() >= -1e-6 and picture.max() <= 1 + 1e-6),
        f"the picture must stay in [0, 1], got values from {picture.min():.3g} to {picture.max():.3g}",
    )
    need(
        bool((start.detach() == kept).all()) and not start.requires_grad,
        "the start itself was changed; work on a copy, its owner may need it again",
    )
    print("✓ a reconstruction that descends and stays a picture")


def check_figure(figure: Any) -> None:
    """Check a figure of `course_lib.teaching.figures`: that it is one, and that its words say what was found."""
    if callable(figure):
        figure = attempt(figure)
    if not isinstance(figure, Figure):
        raise CheckFailed(f"expected a figure of course_lib.teaching.figures, got {type(figure).__name__}")
    need(len(figure.caption.split()) >= _WORDS, "the caption is too short to say what is shown and what to notice")
    words = len(figure.alt.split())
    need(
        words >= _WORDS,
        f"the alternative text has {words} words; somebody who cannot see the figure must learn from it what was found",
    )
    need(
        figure.alt != figure.caption,
        "the alternative text repeats the caption; it is for those who do not see the rest",
    )
    print("✓ a figure that says what it shows")
