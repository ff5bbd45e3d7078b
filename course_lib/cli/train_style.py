"""``train-style``: train a network that paints any photo like one painting."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from course_lib.cli.arguments import add_command, add_device, add_output, duration, given, positive, say
from course_lib.images import ImageError, check_writable, load_image, save_image
from course_lib.methods import johnson
from course_lib.runtime import Progress
from course_lib.samples import sample_image, sample_names
from course_lib.training.checkpoints import CheckpointError

_PREVIEW_SIZE = 512
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
    train.add_argument("--start", metavar="MODEL", help="a trained network to start from: a file or a name")
    train.add_argument(
        "--preview", metavar="PHOTO", help="photo for the preview (default: the first crop of the batch)"
    )
    train.add_argument(
        "--preview-every", type=positive, default=200, metavar="N", help="steps between previews (default: 200)"
    )
    train.add_argument("--fresh", action="store_true", help="start again instead of resuming from the checkpoint")
    add_device(train)
    train.add_argument("--seed", type=int, metavar="N", help="random seed of weights and crops (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Train a network for one painting; after Ctrl-C or a kill, the same command resumes from the checkpoint."""
    output = Path(options.output)
    checkpoint, preview = output.with_suffix(".checkpoint"), output.with_suffix(".preview.jpg")
    _check_model_place(output, preview)
    name, style = _painting(options.style)
    fields = {"steps": "num_steps", "size": "image_size", "batch": "batch_size"}
    chosen = {fields.get(word, word): value for word, value in given(options, *_TRAINING).items()}
    config = replace(_configuration(options.config), **chosen)
    photo = None if options.preview is None else load_image(options.preview, _PREVIEW_SIZE)
    if options.photos is not None and not Path(options.photos).is_dir():
        raise ValueError(f"{options.photos} is not a folder; --photos needs a folder with pictures (.jpg, .png, .webp)")
    start = None if options.start is None else johnson.load(options.start)
    if options.fresh:
        checkpoint.unlink(missing_ok=True)
    latest: list[Progress] = []
    with tqdm(total=config.num_steps, unit="step", disable=None) as bar:

        def watch(progress: Progress) -> None:
            if not latest and progress.step > 1:
                bar.initial = bar.n = bar.last_print_n = progress.step - 1
                bar.write(f"resuming at step {progress.step}")
            latest[:] = [progress]
            if bar.update():  # the bar was redrawn; reading the loss at every step would slow the device down
                bar.set_postfix(loss=f"{progress.losses['total']:.3g}")
            if progress.step % options.preview_every == 0:
                save_image(progress.image(), preview)

        try:
            model = johnson.train(
                style, options.photos, config, start=start, callback=watch, checkpoint=checkpoint, preview=photo
            )
        except CheckpointError as error:
            raise CheckpointError(f"{error}; --fresh does so") from None
        except KeyboardInterrupt:
            bar.close()
            done = f"stopped after step {latest[0].step}" if latest else "stopped"
            more = "no checkpoint was written yet, so the same command starts again"
            if checkpoint.exists():
                more = f"the same command resumes from the last checkpoint, {checkpoint}"
            say(f"{done}; {more}")
            raise SystemExit(130) from None
    if model.stopped and not model.facts["steps"]:
        raise ValueError(f"{model.stopped}; nothing was saved")
    johnson.save(replace(model, facts={"style": name, **model.facts}), output)
    checkpoint.unlink(missing_ok=True)
    print(f"{output}: {model.facts['steps']} steps in {duration(model.facts['seconds'])}")
    if model.stopped:
        say(model.stopped)


def _configuration(word: str) -> johnson.Config:
    makers: dict[str, Callable[[], johnson.Config]] = {
        "fast": johnson.Config.fast,
        "quick": johnson.Config.quick,
        "paper": johnson.Config,
        "released": johnson.Config.released,
    }
    return makers[word]()


def _painting(word: str) -> tuple[str, Any]:
    """Name and picture of a file or, if there is no such file, of one of the project's paintings."""
    if not Path(word).exists() and word in sample_names():
        return word, sample_image(word)
    try:
        return Path(word).stem, load_image(word)
    except ImageError:
        if Path(word).exists() or Path(word).suffix:
            raise
        known = ", ".join(sample_names("style"))
        raise ImageError(
            f"there is no file {word} and no painting of that name in the project; its paintings are {known}"
        ) from None


def _check_model_place(output: Path, preview: Path) -> None:
    """Refuse a path where the model could not be written, before hours of work."""
    if output.suffix != ".safetensors":
        raise ValueError(f"the name of a model file must end in .safetensors, got {output}")
    if output.is_dir():
        raise ValueError(f"{output} is a folder; give the name of a file")
    check_writable(preview)  # in the same folder as the model
