"""The pictures of one command: what is made of each, and what happens to one that fails.

`plans` says which files go in and where each result goes. One bad picture or target among many is skipped and reported
at the end; the exit code is then 1. Of several pictures, one is loaded and one is saved while another is computed
(`overlap`).
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.atomic import is_full
from course_lib.cli.overlap import overlapped
from course_lib.cli.plans import Job as Job
from course_lib.cli.plans import Plan as Plan
from course_lib.cli.plans import check_name as check_name
from course_lib.cli.plans import keep_inputs as keep_inputs
from course_lib.cli.plans import plan as plan
from course_lib.cli.plans import plan_for as plan_for
from course_lib.cli.plans import plan_new as plan_new
from course_lib.cli.terminal import bar, complain, in_options, out_of_memory, report, say, what_happened
from course_lib.images import Size, load_image, load_with_alpha, save_image
from course_lib.optimize.start import check_memory
from course_lib.picture_files import FORMATS, check_writable
from course_lib.runtime import Callback, Progress

_BYTES_PER_PIXEL = 45  # of a result: as floats, clamped and scaled copies of it, and as a PIL picture


@dataclass(frozen=True)
class Made:
    """What a command computed of one picture, and what it tells of it; `run` writes it."""

    image: Tensor  # (1, 3, H, W) in [0, 1]
    alpha: Tensor | None  # (1, 1, H, W), or None: opaque
    line: str  # for people, after the name of the file
    facts: dict[str, Any] = field(default_factory=dict)  # for programs, see `terminal.report`
    note: str | None = None  # a text for the file


def run(
    work: Plan, make: Callable[..., Made], options: Namespace | None = None, *, load: Callable[[Job], Any] | None = None
) -> int:
    """Make every picture, write it and report it.

    Args:
        work: from `plan`.
        make: computes one picture: of a job and, with `load`, of what that returned.
        options: of the command, for the words of messages.
        load: reads one picture; of several, the next one is read while one is computed.

    Returns:
        The exit code: 0, or 1 if some of the pictures were skipped.

    Raises:
        ValueError: all of several pictures failed. A picture that is the only one raises what it raises.
    """
    compute = make if load is not None else lambda job, _: make(job)
    read = load or (lambda job: None)
    if not work.jobs:
        report(f"{work.folder or 'the result'}: there already" + f", {work.there} pictures" * (work.folder is not None))
        return 0
    if work.folder is None:
        (job,) = work.jobs
        _write(job, compute(job, read(job)), among=False)
        return 0
    skipped = _run_several(work, compute, read, options or Namespace())
    done = len(work.jobs) - len(skipped)
    if not done:
        raise ValueError(f"none of the {len(work.jobs)} pictures could be made")
    more = (f", {len(skipped)} skipped" if skipped else "") + (f", {work.there} there already" if work.there else "")
    report(f"{work.folder}: {done} picture{'s' * (done != 1)}{more}")
    return 1 if skipped else 0


def _run_several(
    work: Plan, compute: Callable[[Job, Any], Made], read: Callable[[Job], Any], options: Namespace
) -> dict[Job, str]:
    """Make the pictures of a folder; those that were skipped, with the reasons. A full disk ends the run."""
    finished: list[Job] = []
    skipped: dict[Job, str] = {}
    untried: dict[Job, str] = {}
    folders: list[Path] = []  # that were made for the results

    def make(job: Job, loaded: Any) -> Made:
        _make_folders(job.target.parent, folders)
        return compute(job, loaded)

    with bar(total=len(work.jobs), unit="picture", leave=False) as shown:

        def done(job: Job, error: Exception | None) -> None:
            shown.update()
            if error is None:
                finished.append(job)
            elif len(work.jobs) == 1 or (reason := _why_skipped(error)) is None:
                raise error
            else:
                skipped[job] = in_options(reason, options)
                cause = error.__cause__ or error
                if isinstance(cause, OSError) and is_full(cause):
                    raise _FullError

        try:
            overlapped(work.jobs, read, make, lambda job, made: _write(job, made, among=True), done)
        except (KeyboardInterrupt, SystemExit):
            count = f"{len(finished)} of {len(work.jobs)} pictures were done before that; they are in {work.folder}"
            complain(count if finished else "no picture was done before that")
            raise
        except _FullError:
            others = [*dict.fromkeys(work.jobs).keys() - {*finished, *skipped}]
            again = "; after you made room, --skip-existing goes on with them" * hasattr(options, "skip_existing")
            complain(f"the disk is full, so {len(others)} more pictures were not tried{again}")
            untried = dict.fromkeys(others, "not tried")
        finally:
            for empty in reversed(folders):
                with suppress(OSError):  # it holds a picture
                    empty.rmdir()
            for job, reason in skipped.items():
                named = str(job.source) in reason or str(job.target) in reason
                complain(f"skipped: {'' if named else f'{job.source}: '}{reason}", source=job.source)
    return skipped | untried


class _FullError(Exception):
    """The disk is full: the pictures that are left would be computed in vain."""


def _why_skipped(error: Exception) -> str | None:
    """Why a picture among others is left out; None: the error is no fault of the picture."""
    if isinstance(error, (ValueError, OSError, MemoryError)):
        return what_happened(error)
    return out_of_memory(error) if isinstance(error, RuntimeError) else None


def _write(job: Job, made: Made, *, among: bool) -> None:
    """Write a result and report it."""
    save(job, made.image, made.alpha, made.note)
    height, width = made.image.shape[-2:]
    facts = {"source": job.source, "width": width, "height": height, **made.facts}
    report(f"{job.target}: {made.line}", among=among, file=job.target, **facts)


Picture = tuple[Tensor, Tensor | None]


def load(job: Job, size: Size | None = None, *, most: int | None = None) -> Picture:
    """Colors (1, 3, H, W) and opacity (1, 1, H, W) of a job's picture; None if opaque or, for JPEG, blended with white.

    Args:
        job: its source is read.
        size: long side in pixels, or (H, W); None: its own.
        most: the longest side that is not reduced to this one, in pixels.

    Raises:
        ImageError: as for `load_image`.
    """
    image, alpha = load_with_alpha(job.source, size)
    if most is not None and max(image.shape[-2:]) > most:
        return load(job, most)
    if alpha is not None and FORMATS.get(job.target.suffix.lower()) == "JPEG":
        name = job.source.name
        say(f"{job.target}: JPEG has no transparency, so {name} was blended with white; .png and .webp keep it")
        return load_image(job.source, size), None
    return image, alpha


def check(job: Job, height: int, width: int) -> None:
    """Check that a result of this size can be held and written, before it is computed.

    Raises:
        ImageError: as for `check_writable`.
        MemoryError: names the largest result that fits.
    """
    check_writable(job.target, (height, width))
    check_room(job, height, width)


def check_room(job: Job, height: int, width: int) -> None:
    """Check that a result of this size can be held.

    Raises:
        MemoryError: names the largest result that fits.
    """
    try:
        check_memory(lambda h, w: _BYTES_PER_PIXEL * h * w, height, width, torch.device("cpu"))
    except MemoryError as error:
        raise MemoryError(f"{job.target}: {error}") from None


@contextmanager
def tiles_bar(job: Job) -> Iterator[Callback]:
    """Inside the ``with``, a callback that shows how much of a picture is computed, for the library's tiles.

    The bar appears with the first report: a picture in one piece has none.
    """
    shown: list[Any] = []

    def watch(progress: Progress) -> None:
        if not shown:
            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            shown.append(bar(total=progress.num_steps, desc=job.source.name, leave=False, bar_format=form))
        shown[0].update(progress.step - shown[0].n)

    try:
        yield watch
    finally:
        for each in shown:
            each.close()


def save(job: Job, image: Tensor, alpha: Tensor | None, note: str | None = None) -> None:
    """Write the result of a job, with its opacity and a note."""
    quality = {} if job.writing.quality is None else {"quality": job.writing.quality}
    save_image(image, job.target, alpha=alpha, bits=job.writing.bits, note=note, **quality)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; the new ones are added to `made`, outermost first."""
    missing: list[Path] = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir()
        made.append(place)
