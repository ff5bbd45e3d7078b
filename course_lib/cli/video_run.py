"""Read, paint and write the frames of a video at the same time, with a memory that does not grow with its length.

While one frame is painted, the next one is read and the one before is written, each in a thread of its own.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import arguments, runtime
from course_lib.cli.frame_painters import FramePainter
from course_lib.cli.terminal import bar, complain, report, say
from course_lib.data.animations import is_picture_file
from course_lib.data.frames import Frame, Frames, FrameWriter, read_frames
from course_lib.data.video_writer import ENCODERS
from course_lib.images import load_image
from course_lib.methods import blended_video, stable_painter


def run(options: argparse.Namespace, painter: FramePainter, output: Path) -> int:
    """Paint a clip into `output`.

    Returns:
        The exit code.

    Raises:
        ValueError: the clip cannot be read or written, or would be overwritten.
        KeyboardInterrupt: Ctrl-C, after the frames until then were made into a clip.
    """
    source = Path(options.video)
    for file in (source, *painter.sources):
        if output.exists() and file.exists() and output.samefile(file):
            raise ValueError(f"{file} would be overwritten by the result; give another name after -o")
    if options.stable is not None:
        arguments.fraction("stable", options.stable)
        _check_flow()
        if isinstance(painter.settings, stable_painter.Config):
            say(f"{options.model} was trained to paint the same stroke in the next frame; --stable only adds blur")
    device = runtime.pick_device(options.device)
    clip = read_frames(source, options.size, start=options.start or 0, stop=options.stop, rate=options.rate)
    to_video = output.suffix.lower() in ENCODERS and not output.is_dir()
    has_sound = not (options.no_sound or source.is_dir() or is_picture_file(source))
    writer = FrameWriter(
        output, rate=clip.rate, quality=options.quality, sound=source if to_video and has_sound else None,
        start=options.start or 0, resume=options.resume, about=_about(options),
    )  # fmt: skip
    began, there = time.perf_counter(), writer.count
    try:
        with writer:
            _paint(clip, painter, writer, options)
    except BaseException:
        if writer.count:
            done = f"{writer.count} of {clip.count} frames were done before that"
            complain(f"{done}; they are in {writer.path}" + ("; --resume goes on" if writer.path.is_dir() else ""))
        raise
    seconds, made = time.perf_counter() - began, writer.count - there
    shape = f"{clip.width} × {clip.height} px"
    already = f", {there} there already" if there else ""
    report(
        f"{writer.path}: {made} frames of {shape} in {seconds:.1f} s, {made / seconds:.2g} a second{already}",
        file=writer.path, source=source, width=clip.width, height=clip.height, frames=made, seconds=seconds,
        model=options.model, settings=painter.settings, device=str(device),
    )  # fmt: skip
    return 0


def _paint(clip: Frames, painter: FramePainter, writer: FrameWriter, options: argparse.Namespace) -> None:
    """Paint the frames that are not there yet, and write them."""
    there = writer.count
    times: deque[Frame] = deque()

    def pictures(frames: Iterable[Frame]) -> Iterator[Tensor]:
        for frame in frames:
            times.append(frame)
            yield frame.image

    before = there - 1 if options.stable is not None and there else there  # a blend goes on from the last painting
    frames = pictures(_ahead(islice(clip, before, None)))
    painted: Iterator[Tensor] = map(painter.paint, frames)
    if options.stable is not None:
        paint = painter.paint if before == there else _first_from(writer.path / f"{there:06d}.png", painter)
        config = blended_video.Config(blend=options.stable, preset=options.flow or "fast")
        painted = blended_video.stream(frames, paint, config)
    saving: Future[None] | None = None
    with (
        ThreadPoolExecutor(1, "save") as saver,
        bar(total=clip.count, initial=there, unit="frame", leave=False) as shown,
    ):
        try:
            for number, picture in enumerate(painted, before):
                frame = times.popleft()
                if number < there:
                    continue
                if saving is not None:
                    saving.result()
                saving = saver.submit(writer.add, picture, frame.time, frame.duration)
                shown.update()
        finally:
            if saving is not None:
                saving.result()


def _ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames; while one is used, the next one is read in another thread."""
    with ThreadPoolExecutor(1, "load") as loader:
        coming = loader.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = loader.submit(next, frames, None)
            yield frame


def _first_from(file: Path, painter: FramePainter) -> Any:
    """A painter whose first painting is read from a file: the last frame of the run that is continued."""
    known = [load_image(file)]
    return lambda frame: known.pop() if known else painter.paint(frame)


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """What decides how a frame looks; of files the names, without their folders."""
    named = {"source": Path(options.video).name, "model": options.model and Path(options.model).name}
    numbers = {name: getattr(options, name) for name in ("weights", "alpha", "stable", "flow", "size", "start")}
    return {**named, "style": [Path(word).name for word in options.style or []], **numbers}


def _check_flow() -> None:
    """Say before the work begins that the library for the motion is missing.

    Raises:
        ValueError: it is.
    """
    if find_spec("cv2") is None:
        raise ValueError(
            "--stable estimates the motion with OpenCV, which is not installed: pip install 'course_lib[video]'"
        )
