"""``train-style``: train a network that paints any photo like one painting."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from course_lib import runtime
from course_lib.cli import training
from course_lib.cli.arguments import add_command, add_output, given, picture_file, positive
from course_lib.data.crops import Crops
from course_lib.images import load_image
from course_lib.methods import johnson

_PREVIEW_SIZE = 512
_FIELDS = {"steps": "num_steps", "size": "image_size", "batch": "batch_size"}  # options with another name in `Config`
_TRAINING = ("steps", "size", "batch", "style_weight", "device", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "train a network that paints any photo like one painting in one pass (Johnson et al., 2016)"
    train = add_command(commands, "train-style", run, text, "--size or --batch")
    train.add_argument("style", metavar="STYLE", help="the painting: a file, or a name such as great_wave")
    add_output(train, "the model file to write (.safetensors); checkpoint and preview are written next to it")
    train.add_argument("--photos", metavar="FOLDER", help="training photos (default: those of the package)")
    train.add_argument(
        "--config", choices=("fast", "quick", "paper", "released"), default="fast",
        help="settings to begin with: fast (the default; about half an hour on two CPU cores), quick (a minute; best "
        "with --start), paper (as printed) or released (the authors' code), both hours on a GPU",
    )  # fmt: skip
    train.add_argument("--steps", type=positive, metavar="N", help="training steps, one batch each")
    train.add_argument("--size", type=positive, metavar="N", help="side of the training crops in pixels")
    train.add_argument("--batch", type=positive, metavar="N", help="crops per step")
    train.add_argument(
        "--style-weight", type=float, metavar="X", help="higher: closer to the painting; lower: closer to the photo"
    )
    training.add_run(train, "photo for the preview", "the first crop of the batch", "weights and crops")


def run(options: argparse.Namespace) -> int:
    """Train a network for one painting; after Ctrl-C or a kill, the same command resumes from the checkpoint."""
    return training.run(options.output, lambda files: _train(options, files))


def _train(options: argparse.Namespace, files: training.Files) -> int:
    painting = picture_file(options.style)
    style = load_image(painting)
    chosen = {_FIELDS.get(word, word): value for word, value in given(options, *_TRAINING).items()}
    config = replace(_configuration(options.config), **chosen)
    photo = None if options.preview is None else load_image(picture_file(options.preview), _PREVIEW_SIZE)
    start = None if options.start is None else johnson.load(options.start)
    device = runtime.pick_device(config.device)
    photos = None if options.photos is None else _crops(options.photos, config).near(device)

    def fit(**more: Any) -> johnson.Model:
        model = johnson.train(style, photos, config, start=start, preview=photo, **more)
        return replace(model, facts={"style": painting.stem, **model.facts})

    words = {_FIELDS.get(word, word): f"--{word.replace('_', '-')}" for word in _TRAINING}
    return training.finish(options, files, config.num_steps, fit, johnson.save, words)


def _configuration(word: str) -> johnson.Config:
    makers: dict[str, Callable[[], johnson.Config]] = {
        "fast": johnson.Config.fast,
        "quick": johnson.Config.quick,
        "paper": johnson.Config,
        "released": johnson.Config.released,
    }
    return makers[word]()


def _crops(folder: str, config: johnson.Config) -> Crops:
    """The training photos of a folder, with a bar while it is looked through."""
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is not a folder; --photos needs a folder with pictures")
    with tqdm(desc="looking through the photos", unit="photo", disable=None, leave=False, delay=1) as bar:

        def looked(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        return Crops(folder, size=config.image_size, seed=config.seed, progress=looked)
