"""What the commands that train have in common: files beside the model, a progress bar with previews, and Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.atomic import obstacle
from course_lib.cli.arguments import duration
from course_lib.cli.terminal import bar as progress_bar
from course_lib.cli.terminal import complain, in_options, report, say, what_happened
from course_lib.data.crops import Crops
from course_lib.images import save_image
from course_lib.runtime import Progress
from course_lib.training import checkpoints, fingerprints
from course_lib.training.checkpoints import CheckpointError, OtherRun
from course_lib.training.distributed import is_first
from course_lib.training.locks import only_run
from course_lib.training.rescue import save_somewhere


@dataclass(frozen=True)
class Files:
    """The model that a training writes, and what lies beside it."""

    model: Path
    checkpoint: Path
    preview: Path


def run(output: str, train: Callable[[Files], int]) -> int:
    """Check the names of the files and train; no other run can use the same files meanwhile.

    Args:
        output: the word after ``-o``.
        train: does the work and returns the exit code.

    Raises:
        ValueError: another suffix, or a place where nothing can be written.
    """
    model = Path(output)
    if model.suffix != ".safetensors":
        raise ValueError(f"the name of a model file must end in .safetensors, got {model}")
    files = Files(model, model.with_suffix(".checkpoint"), model.with_suffix(".preview.jpg"))
    if not is_first():
        return train(files)
    for file in (files.model, files.preview, files.checkpoint):
        if reason := obstacle(file):
            raise ValueError(f"{file} {reason}")
    with only_run(files.checkpoint):
        return train(files)


def crops(folder: str, word: str, config: Any, **more: Any) -> Crops:
    """The training photos of a folder, with a bar while it is looked through.

    Args:
        folder: what the user gave.
        word: what the option or the argument is called, for the message.
        config: its ``image_size`` and ``seed`` are those of the crops.
        more: as for `Crops`.

    Raises:
        ValueError: no folder, or one without a usable photo.
    """
    if not folder.strip() or not Path(folder).is_dir():
        raise ValueError(f"{folder or 'an empty word'} is not a folder; {word} needs a folder with pictures")
    with progress_bar(desc="looking through the photos", unit="photo", leave=False, delay=1) as bar:

        def looked(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        return Crops(folder, size=config.image_size, seed=config.seed, progress=looked, **more)


def finish(
    options: argparse.Namespace, files: Files, num_steps: int | None, fit: Callable[..., Any],
    save: Callable[[Any, Path], None], words: Mapping[str, str],
) -> int:  # fmt: skip
    """Train with a progress bar, and save the model; after Ctrl-C or a kill, the same command resumes.

    Args:
        options: of the command.
        files: from `run`.
        num_steps: for the bar; None: the method tells.
        fit: trains and returns the model; it gets ``callback``, ``checkpoint`` and ``resume``.
        save: writes a model to a path.
        words: the options by the names of the configuration's fields.

    Returns:
        The exit code.
    """
    before = _stamp(files.checkpoint)
    with progress_bar(total=num_steps, unit="step") as bar:
        watch = Watch(bar, files.preview, options.preview_every)
        try:
            with watch.interrupts():
                model = fit(callback=watch, checkpoint=files.checkpoint, resume=not options.fresh)
        except OtherRun as error:
            raise CheckpointError(_other_run(error, words)) from None
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(checkpoints.ADVICE, "--fresh starts over")) from None
        except KeyboardInterrupt:
            bar.close()
            complain(
                _stopped(watch.steps, files.checkpoint, options.fresh, _stamp(files.checkpoint) != before), code=130
            )
            return 130
    if model.stopped and not model.facts["steps"]:
        raise ValueError(f"{model.stopped}; nothing was saved")
    if not is_first():
        return 0
    place = save_somewhere(lambda path: save(model, path), files.model, files.checkpoint, model.facts["steps"])
    history = model.facts.get("history", {})
    report(
        f"{place}: {model.facts['steps']} steps in {duration(model.facts['seconds'])}",
        file=place, steps=model.facts["steps"], seconds=model.facts["seconds"], device=model.facts.get("device"),
        losses={name: values[-1] for name, values in history.items() if values and name != "seconds"},
        settings=model.config, stopped=model.stopped,
    )  # fmt: skip
    if model.stopped:
        say(in_options(model.stopped, options))
    return 0 if place == files.model else 1


class Watch:
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
        self.steps, self.bar.total = progress.step, progress.num_steps
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


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced."""
    return (found.st_ino, found.st_mtime_ns) if file.exists() and (found := file.stat()) else None


def _other_run(error: OtherRun, words: Mapping[str, str]) -> str:
    """The message of the library, with options for fields."""
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
