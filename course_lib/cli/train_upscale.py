"""``train-upscale``: train a network that enlarges pictures."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from course_lib.cli import train_options
from course_lib.cli.arguments import add_command, picture_file
from course_lib.cli.words import FACTORS, LOSSES

if TYPE_CHECKING:
    from torch import Tensor

    from course_lib.cli import training

_PREVIEW_SIZE = 512  # px, the longest side of a preview
_TRAINING = ("factor", "loss", "steps", "size", "batch", "device", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "train a network that enlarges pictures (Johnson et al., 2016, super-resolution)"
    train = add_command(commands, "train-upscale", run, text, "--size or --batch")
    train.add_argument(
        "folder", nargs="?", metavar="FOLDER",
        help="training photos, any number; what they show is what the network enlarges best; files that are not "
        "pictures, or are smaller than a crop, are left out with a warning (default: those of the package)",
    )  # fmt: skip
    train_options.add_model(train)
    train.add_argument("--factor", type=int, choices=FACTORS, help="how many times larger (default: 4)")
    train.add_argument(
        "--loss", choices=LOSSES,
        help="feature: sharper, by a comparison of what a network sees; pixel: fewer errors, but blurred "
        "(default: feature)",
    )  # fmt: skip
    train.add_argument(
        "--config", choices=("fast", "quick", "paper", "released"), default="fast",
        help="settings to begin with: fast (the default; ten minutes or so on two CPU cores), quick (a minute), paper "
        "(as printed) or released (the authors' code), both hours on a GPU",
    )  # fmt: skip
    train_options.add_lengths(
        train, steps="training steps, one batch each", size="side of the training crops in pixels, a multiple of the "
        "factor", batch="crops per step",
    )  # fmt: skip
    train_options.add_run(
        train, "photo for the preview, reduced and enlarged again", "the first crop of the batch", "weights and crops"
    )


def run(options: argparse.Namespace) -> int:
    """Train a network that enlarges pictures; after Ctrl-C or a kill, the same command resumes from the checkpoint.

    Raises:
        ValueError: a word that names no folder, a size that is not a multiple of the factor, or a preview that is too
            small.
    """
    from course_lib.cli import training

    return training.run(options.output, lambda files: _train(options, files))


def _train(options: argparse.Namespace, files: training.Files) -> int:
    from course_lib import runtime
    from course_lib.cli import training
    from course_lib.methods import super_resolution

    config = replace(
        train_options.configuration(super_resolution, options.config), **train_options.chosen(options, _TRAINING)
    )
    device = runtime.pick_device(config.device)
    small = None if options.preview is None else _small(options.preview, config)
    start = None if options.start is None else super_resolution.load(options.start)
    photos = None
    if options.folder is not None:
        photos = training.crops(options.folder, "FOLDER", config, scales=super_resolution.SCALES).near(device)

    def fit(**more: Any) -> super_resolution.Model:
        return super_resolution.train(photos, config, start=start, preview=small, **more)

    words = train_options.by_field(_TRAINING)
    return training.finish(options, files, config.num_steps, fit, super_resolution.save, words)


def _small(word: str, config: Any) -> Tensor:
    """The photo for the preview, reduced as the training photos are, (1, 3, h, w).

    Raises:
        ValueError: it is too small for the network after that.
    """
    from course_lib.images import load_image, resize
    from course_lib.methods.super_resolution import SMALLEST, reduce

    photo = load_image(picture_file(word))
    if max(photo.shape[-2:]) > _PREVIEW_SIZE:
        photo = resize(photo, _PREVIEW_SIZE)
    height, width = (side - side % config.factor for side in photo.shape[-2:])
    least = SMALLEST * config.factor
    if min(height, width) < least:
        raise ValueError(
            f"{word} has {photo.shape[-1]} × {photo.shape[-2]} px; a photo for the preview needs sides of at least "
            f"{least} px, because it is reduced {config.factor} times first"
        )
    return reduce(photo[..., :height, :width], config.factor, config.blur)
