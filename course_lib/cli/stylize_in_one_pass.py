"""``stylize`` in one pass of a network: for one painting, for several by name, or for any painting.

Each function here checks its options, loads the network and the paintings, and returns a function that paints one
picture of a `batch`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import arguments
from course_lib.cli import batch
from course_lib.cli.arguments import given
from course_lib.cli.trained import load_for
from course_lib.images import ImageError, load_image, resize
from course_lib.methods import adain
from course_lib.picture_files import did_you_mean

LONGEST = 512  # px, long side of a painting, as in the authors' code; a larger one takes longer for a similar picture
_SHORTEST = 17  # px, short side: a patch needs three positions at relu4_1

Paint = Callable[[batch.Job], str]


def one_painting(options: argparse.Namespace) -> Paint:
    """With a network that has learned one painting."""
    method, model = load_for("stylize", options.model)
    return _painter(options, lambda photo: method.stylize(photo, model, tile=options.tile, device=options.device))


def named_paintings(options: argparse.Namespace) -> Paint:
    """With a network that has learned several paintings, in the style of those that ``--style`` names.

    Raises:
        ValueError: no name or an unknown one (the message lists the names), a repeated one, or invalid weights.
    """
    method, model = load_for("stylize", options.model)
    names = options.style or []
    known = f"{options.model} has {', '.join(model.styles)}"
    if not names:
        raise ValueError(f"no style was given; name one with --style: {known}")
    for k, name in enumerate(names):
        if name not in model.styles:
            raise ValueError(f"there is no style {name!r}.{did_you_mean(name, list(model.styles))} {known}")
        if name in names[:k]:
            raise ValueError(f"--style {name} was given twice; name each style once and set its share with --weights")
    shares = dict(zip(names, _shares(options, names) or [1.0] * len(names), strict=True))
    return _painter(
        options, lambda photo: method.stylize(photo, model, shares, tile=options.tile, device=options.device)
    )


def any_painting(options: argparse.Namespace, paintings: Sequence[Path]) -> Paint:
    """With the published decoder of AdaIN or the one of ``--model``, in the style of any paintings.

    Raises:
        ImageError: a painting that cannot be read, or is too small.
        ValueError: a number out of range, or invalid weights.
        WeightsError: a network is neither cached nor available.
    """
    if options.alpha is not None:
        arguments.fraction("alpha", options.alpha)
    shares = _shares(options, [options.pictures[-1], *(options.style or [])])
    styles = [_painting(path) for path in paintings]
    model = adain.published() if options.model is None else load_for("stylize", options.model)[1]
    chosen = given(options, "transform", "alpha", "tile", "device")
    return _painter(
        options,
        lambda photo: adain.stylize(photo, styles, model, weights=shares, keep_colors=options.keep_colors, **chosen),
    )


def _painter(options: argparse.Namespace, stylize: Callable[[Tensor], Any]) -> Paint:
    def paint(job: batch.Job) -> str:
        content, opacity = batch.load(job, options.size)
        batch.check(job, *content.shape[-2:])
        result = stylize(content)
        batch.save(job, result.image, opacity)
        return f"{job.target}: one pass in {result.history['seconds'][-1]:.1f} s"

    return paint


def _shares(options: argparse.Namespace, styles: Sequence[str]) -> list[float] | None:
    """The numbers of ``--weights``, one for each style; None without the option.

    Raises:
        ValueError: the wrong count, a negative or infinite number, only zeros, or a single style.
    """
    weights: list[float] | None = options.weights
    if weights is None:
        return None
    if len(styles) == 1:
        raise ValueError("--weights has no effect with a single style; leave it out, or add styles with --style")
    if len(weights) != len(styles):
        raise ValueError(
            f"--weights needs a number for each of the {len(styles)} styles ({', '.join(styles)}), got {len(weights)}"
        )
    for weight in weights:
        arguments.nonnegative("weights", weight)
    if not 0 < sum(weights) < float("inf"):
        raise ValueError(f"the numbers of --weights must have a finite sum above 0, got {sum(weights):g}")
    return weights


def _painting(path: Path) -> Tensor:
    """Load a painting, no larger than needed.

    Raises:
        ImageError: not a picture, or a picture that is too small.
    """
    painting = load_image(path)
    short, long = sorted(painting.shape[-2:])
    if short < _SHORTEST:
        height, width = painting.shape[-2:]
        raise ImageError(f"{path} has {width} × {height} px; a painting needs sides of at least {_SHORTEST} px")
    return resize(painting, min(long, max(LONGEST, math.ceil(_SHORTEST * long / short))))
