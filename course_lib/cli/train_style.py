"""``train-style``: train a network that paints any photo like one painting."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from course_lib.cli import train_options
from course_lib.cli.arguments import add_command, picture_file

if TYPE_CHECKING:
    from course_lib.cli import training

_PREVIEW_SIZE = 512
_TRAINING = ("steps", "size", "batch", "style_weight", "device", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "train a network that paints any photo like one painting in one pass (Johnson et al., 2016)"
    train = add_command(commands, "train-style", run, text, "--size or --batch")
    train.add_argument("style", metavar="STYLE", help="the painting: a file, or a name such as great_wave")
    train_options.add_model(train)
    train.add_argument(
        "--photos", metavar="FOLDER",
        help="training photos, any number; files that are not pictures, or are smaller than a crop, are left out with "
        "a warning (default: those of the package)",
    )  # fmt: skip
    train.add_argument(
        "--config", choices=("fast", "quick", "paper", "released"), default="fast",
        help="settings to begin with: fast (the default; about half an hour on two CPU cores), quick (a minute; best "
        "with --start), paper (as printed) or released (the authors' code), both hours on a GPU",
    )  # fmt: skip
    train_options.add_lengths(
        train, steps="training steps, one batch each", size="side of the training crops in pixels",
        batch="crops per step",
    )  # fmt: skip
    train.add_argument(
        "--style-weight", type=float, metavar="X",
        help="higher: closer to the painting; lower: closer to the photo (default: as --config says)",
    )  # fmt: skip
    train_options.add_run(train, "photo for the preview", "the first crop of the batch", "weights and crops")


def run(options: argparse.Namespace) -> int:
    """Train a network for one painting; after Ctrl-C or a kill, the same command resumes from the checkpoint."""
    from course_lib.cli import training

    return training.run(options.output, lambda files: _train(options, files))


def _train(options: argparse.Namespace, files: training.Files) -> int:
    from course_lib import runtime
    from course_lib.cli import training
    from course_lib.images import load_image
    from course_lib.methods import johnson

    painting = picture_file(options.style)
    style = load_image(painting)
    config = replace(train_options.configuration(johnson, options.config), **train_options.chosen(options, _TRAINING))
    photo = None if options.preview is None else load_image(picture_file(options.preview), _PREVIEW_SIZE)
    start = None if options.start is None else johnson.load(options.start)
    device = runtime.pick_device(config.device)
    photos = None if options.photos is None else training.crops(options.photos, "--photos", config).near(device)

    def fit(**more: Any) -> johnson.Model:
        model = johnson.train(style, photos, config, start=start, preview=photo, **more)
        return replace(model, facts={"style": painting.stem, **model.facts})

    words = train_options.by_field(_TRAINING)
    return training.finish(options, files, config.num_steps, fit, johnson.save, words)
