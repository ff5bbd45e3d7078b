"""``train-style``: train a network that paints any photo like one painting."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from course_lib import runtime
from course_lib.atomic import obstacle
from course_lib.cli.arguments import add_command, add_device, add_output, duration, given, picture_file, positive
from course_lib.cli.terminal import in_options, say, what_happened
from course_lib.data.crops import Crops
from course_lib.images import load_image, save_image
from course_lib.methods import johnson
from course_lib.runtime import Progress
from course_lib.training import checkpoints, fingerprints
from course_lib.training.checkpoints import CheckpointError, OtherRun
from course_lib.training.distributed import is_first
from course_lib.training.locks import only_run
from course_lib.training.rescue import save_somewhere

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
    train.add_argument("--start", metavar="MODEL", help="a trained network to start from: a file or a name")
    train.add_argument(
        "--preview", metavar="PHOTO", help="photo for the preview (default: the first crop of the batch)"
    )
    train.add_argument(
        "--preview-every", type=positive, default=200, metavar="N", help="steps between previews (default: 200)"
    )
    train.add_argument(
        "--fresh", action="store_true",
        help="start over instead of resuming; the first new checkpoint replaces the old one",
    )  # fmt: skip
    add_device(train)
    train.add_argument("--seed", type=int, metavar="N", help="random seed of weights and crops (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Train a network for one painting; after Ctrl-C or a kill, the same command resumes from the checkpoint."""
    output = Path(options.output)
    if output.suffix != ".safetensors":
        raise ValueError(f"the name of a model file must end in .safetensors, got {output}")
    checkpoint, preview = output.with_suffix(".checkpoint"), output.with_suffix(".preview.jpg")
    if not is_first():
        return _train(options, output, checkpoint, preview)
    for file in (output, preview, checkpoint):
        if reason := obstacle(file):
            raise ValueError(f"{file} {reason}")
    with only_run(checkpoint):
        return _train(options, output, checkpoint, preview)


def _train(options: argparse.Namespace, output: Path, checkpoint: Path, preview: Path) -> int:
    painting = picture_file(options.style)
    style = load_image(painting)
    chosen = {_FIELDS.get(word, word): value for word, value in given(options, *_TRAINING).items()}
    config = replace(_configuration(options.config), **chosen)
    photo = None if options.preview is None else load_image(picture_file(options.preview), _PREVIEW_SIZE)
    start = None if options.start is None else johnson.load(options.start)
    device = runtime.pick_device(config.device)
    photos = None if options.photos is None else _crops(options.photos, config).near(device)
    before = _stamp(checkpoint)
    with tqdm(total=config.num_steps, unit="step", disable=None) as bar:
        watch = _Watch(bar, preview, options.preview_every)
        try:
            with watch.interrupts():
                model = johnson.train(
                    style, photos, config, start=start, callback=watch, checkpoint=checkpoint,
                    resume=not options.fresh, preview=photo,
                )  # fmt: skip
        except OtherRun as error:
            raise CheckpointError(_other_run(error)) from None
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(checkpoints.ADVICE, "--fresh starts over")) from None
        except KeyboardInterrupt:
            bar.close()
            say(_stopped(watch.steps, checkpoint, options.fresh, _stamp(checkpoint) != before))
            return 130
    if model.stopped and not model.facts["steps"]:
        raise ValueError(f"{model.stopped}; nothing was saved")
    if not is_first():
        return 0
    model = replace(model, facts={"style": painting.stem, **model.facts})
    place = save_somewhere(lambda path: johnson.save(model, path), output, checkpoint, model.facts["steps"])
    print(f"{place}: {model.facts['steps']} steps in {duration(model.facts['seconds'])}")
    if model.stopped:
        say(in_options(model.stopped, options))
    return 0 if place == output else 1


class _Watch:
    """The callback of a training: a progress bar, a preview now and then, and Ctrl-C between two steps."""

    def __init__(self, bar: Any, preview: Path, every: int) -> None:
        self.bar, self.preview, self.every = bar, preview, every
        self.steps = 0  # done
        self.asked = False  # to stop after the current step
        self.unseen = False  # the latest preview failed

    def __call__(self, progress: Progress) -> None:
        if self.steps == 0 and progress.step > 1:
            self.bar.initial = self.bar.n = self.bar.last_print_n = progress.step - 1
            self.bar.write(f"resuming at step {progress.step}")
        self.steps = progress.step
        if self.bar.update():  # it was redrawn; reading the loss at every step would slow the device down
            self.bar.set_postfix(loss=f"{progress.losses['total']:.3g}")
        if progress.step % self.every == 0:
            self._show(progress)
        if self.asked:
            raise KeyboardInterrupt

    def _show(self, progress: Progress) -> None:
        try:
            save_image(progress.image(), self.preview)
        except Exception as error:  # painting and writing may raise anything; no such error may end a training
            if not self.unseen:
                say(f"step {progress.step}: no preview ({what_happened(error).rstrip('.')}); training continues")
            self.unseen = True
        else:
            self.unseen = False

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Inside the ``with``, the first Ctrl-C ends the training after a step, with a checkpoint; a second at once."""

        def first(*_: object) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if self.steps == 0:
                raise KeyboardInterrupt
            self.asked = True
            say("stopping after this step; Ctrl-C again stops at once")

        ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not ours or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, first)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


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


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced."""
    return (found.st_ino, found.st_mtime_ns) if file.exists() and (found := file.stat()) else None


def _other_run(error: OtherRun) -> str:
    """The message of the library, with options for fields."""
    words = {_FIELDS.get(word, word): f"--{word.replace('_', '-')}" for word in _TRAINING}
    about = fingerprints.describe(error.changes, words)
    return (
        f"{error.file} belongs to a run with another configuration: {about}; give the old values to resume it, or "
        "--fresh to start over"
    )


def _stopped(steps: int, checkpoint: Path, fresh: bool, written: bool) -> str:
    """What Ctrl-C leaves behind."""
    done = f"stopped after step {steps}" if steps else "stopped"
    if not checkpoint.exists():
        return f"{done}; no checkpoint was written yet, so the same command starts over"
    if fresh and not written:
        return f"{done}; the old checkpoint is still there, and the same command without --fresh resumes it"
    return f"{done}; the same command{' without --fresh' * fresh} resumes from the last checkpoint, {checkpoint}"
