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

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.cli import batch, masks
from course_lib.cli.arguments import given, style_shares
from course_lib.cli.trained import load_for
from course_lib.colors import match_colors, with_colors_of
from course_lib.images import ImageError, load_image, resize
from course_lib.methods import adain, screened_poisson
from course_lib.optimize.start import check_memory
from course_lib.picture_files import did_you_mean
from course_lib.runtime import Callback

LONGEST = 512  # px, long side of a painting, as in the authors' code; a larger one takes longer for a similar picture
_SHORTEST = 17  # px, short side: a patch needs three positions at relu4_1

Paint = Callable[[batch.Job, batch.Picture], batch.Made]
Stylize = Callable[[Tensor, Callback], Any]  # a photo, and who hears of its tiles


def one_painting(options: argparse.Namespace) -> Paint:
    """With a network that has learned one painting."""
    method, model = load_for("stylize", options.model)
    chosen = given(options, "tile", "device", "precision")
    return _painter(options, model, lambda photo, watch: method.stylize(photo, model, callback=watch, **chosen))


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
    shares = dict(zip(names, style_shares(options, names) or [1.0] * len(names), strict=True))
    chosen = given(options, "tile", "device", "precision")
    return _painter(options, model, lambda photo, watch: method.stylize(photo, model, shares, callback=watch, **chosen))


def any_painting(options: argparse.Namespace, paintings: Sequence[Path], work: batch.Plan) -> Paint:
    """With the published decoder of AdaIN or the one of ``--model``, in the style of any paintings.

    Raises:
        ImageError: a painting or a mask that cannot be read, or a painting that is too small.
        ValueError: a number out of range, invalid weights, or masks that do not fit.
        WeightsError: a network is neither cached nor available.
    """
    if options.alpha is not None:
        arguments.fraction("alpha", options.alpha)
    names = [options.pictures[-1], *(options.style or [])]
    shares = style_shares(options, names)
    styles = [_painting(path) for path in paintings]
    regions = masks.regions(options, styles, names, work.jobs)
    if regions is not None and shares is not None:
        raise ValueError(
            "--weights has no effect with AdaIN and --mask, which gives each painting a region; leave it out"
        )
    own = None if regions is None else masks.of_whole_paintings(regions, names)
    model = adain.published() if options.model is None else load_for("stylize", options.model)[1]
    chosen = given(options, "transform", "alpha", "tile", "device", "precision")
    matched = options.keep_colors == "match"

    def stylize(photo: Tensor, watch: Callback) -> adain.Result:
        here = None
        if regions is not None:
            sizes = [(style.shape[-2], style.shape[-1]) for style in styles]
            here = regions.at((photo.shape[-2], photo.shape[-1]), sizes).content[own]
        return adain.stylize(
            photo, styles, model, weights=shares, keep_colors=matched, masks=here, callback=watch, **chosen
        )

    return _painter(options, model, stylize, matched=matched)


def check_photo(photo: Tensor) -> None:
    """Refuse a photo, (1, 3, H, W), that `as_photo` has no memory for: before it is painted.

    Raises:
        MemoryError: names the largest size that fits.
    """
    height, width = photo.shape[-2:]
    check_memory(screened_poisson.memory_needed, height, width, torch.device("cpu"))


def as_photo(painted: Tensor, photo: Tensor) -> Tensor:
    """A painted picture with the gradients of the photo (Mechrez et al. 2017); both (1, 3, H, W) in [0, 1]."""
    return screened_poisson.stylize(photo, painted, screened_poisson.Config.released()).image


def _painter(options: argparse.Namespace, model: Any, stylize: Stylize, *, matched: bool = False) -> Paint:
    """A function that paints one picture; `matched`: the paintings already have its colors."""

    def paint(job: batch.Job, picture: batch.Picture) -> batch.Made:
        content, opacity = picture
        batch.check(job, *content.shape[-2:])
        if options.photorealistic is not None:
            check_photo(content)
        with batch.tiles_bar(job) as watch:
            result = stylize(content, watch)
        image = result.image if options.photorealistic is None else as_photo(result.image, content)
        if options.keep_colors == "luminance":
            image = with_colors_of(image, content).clamp(0, 1)
        elif options.keep_colors == "match" and not matched:
            image = match_colors(image, content).clamp(0, 1)
        seconds = result.history["seconds"][-1]
        about = {"seconds": seconds, "model": options.model, "settings": model.config}
        note = options.kept.note(job.source)
        return batch.Made(image, opacity, f"one pass in {seconds:.1f} s", about, note)

    return paint


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
