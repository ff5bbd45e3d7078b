"""What paints a frame in ``video``: a network for one painting, for several by name, or AdaIN for any painting."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import arguments
from course_lib.cli.arguments import given, picture_file, style_shares
from course_lib.cli.stylize_in_one_pass import LONGEST
from course_lib.cli.trained import kind_for, load_for
from course_lib.images import ImageError, load_image, resize
from course_lib.methods import adain
from course_lib.picture_files import did_you_mean

_SEVERAL = ("multi_style",)  # kinds of networks that have learned several paintings
_ANY = ("adain",)  # kinds that take any painting


@dataclass(frozen=True)
class FramePainter:
    """A function that paints a frame, (1, 3, H, W) in [0, 1], and what messages and results say of it."""

    name: str  # of the painting or the network, for the name of a result
    paint: Callable[[Tensor], Tensor]
    settings: Any  # the network's `Config`
    sources: list[Path]  # files that the result must not overwrite


def chosen(options: argparse.Namespace) -> FramePainter:
    """The painter that ``--model`` and ``--style`` ask for.

    Raises:
        ImageError: a painting that cannot be read, or is too small.
        ModelError: a model that cannot be read, or does not paint.
        ValueError: an option that has no effect with this painter, an unknown style, or invalid weights.
    """
    kind = "adain" if options.model is None else kind_for("stylize", options.model)
    if kind in _ANY:
        return _any_painting(options)
    if options.alpha is not None:
        raise ValueError(f"--alpha has no effect with --model {options.model}; leave it out")
    return _named_paintings(options) if kind in _SEVERAL else _one_painting(options)


def _one_painting(options: argparse.Namespace) -> FramePainter:
    for name in ("style", "weights"):
        if getattr(options, name):
            raise ValueError(f"--{name} has no effect with --model {options.model}, which has learned one painting")
    method, model = load_for("stylize", options.model)
    how = given(options, "tile", "device", "precision")
    return FramePainter(
        Path(options.model).stem, lambda frame: method.stylize(frame, model, **how).image, model.config, []
    )


def _named_paintings(options: argparse.Namespace) -> FramePainter:
    method, model = load_for("stylize", options.model)
    names = options.style or []
    known = f"{options.model} has {', '.join(model.styles)}"
    if not names:
        raise ValueError(f"no style was given; name one with --style: {known}")
    for name in names:
        if name not in model.styles:
            raise ValueError(f"there is no style {name!r}.{did_you_mean(name, list(model.styles))} {known}")
    shares = dict(zip(names, style_shares(options, names) or [1.0] * len(names), strict=True))
    how = given(options, "tile", "device", "precision")
    return FramePainter(
        "+".join(names), lambda frame: method.stylize(frame, model, shares, **how).image, model.config, []
    )


def _any_painting(options: argparse.Namespace) -> FramePainter:
    if not options.style:
        raise ValueError(f"{options.model} paints like any painting; name one with --style")
    if options.alpha is not None:
        arguments.fraction("alpha", options.alpha)
    files = [picture_file(word) for word in options.style]
    shares = style_shares(options, options.style)
    try:
        paintings = [_painting(file) for file in files]
    except ImageError as error:
        raise ImageError(f"--style: {error}") from None
    model = adain.published() if options.model is None else load_for("stylize", options.model)[1]
    how = given(options, "alpha", "tile", "device", "precision")
    return FramePainter(
        "+".join(file.stem for file in files),
        lambda frame: adain.stylize(frame, paintings, model, weights=shares, **how).image,
        model.config,
        files,
    )


def _painting(file: Path) -> Tensor:
    """A painting, (1, 3, h, w), no larger than AdaIN needs it."""
    painting = load_image(file)
    return resize(painting, min(LONGEST, max(painting.shape[-2:])))
