"""What all kinds of clips share, whether a video file, an animation or a folder: a frame, a source of frames, a place.

`data.frames` has the functions to call; `data.animations` and `data.video_files` know the formats.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.atomic import is_full, obstacle, room_for
from course_lib.image_checks import ImageError
from course_lib.images import Size, resized_shape

_LONGEST_NAME = 255  # bytes
_STEP = Fraction(1, 1000)  # seconds between two frames whose times are equal, or in the wrong order


class VideoError(ImageError):
    """A clip that cannot be read or written; the message says what to do."""


class Frame(NamedTuple):
    """One picture of a clip, with its place in time."""

    image: Tensor
    """(1, 3, H, W), float32, in [0, 1]"""
    time: Fraction
    """seconds since the beginning of the clip"""
    duration: Fraction
    """seconds until the next frame"""


@dataclass(frozen=True)
class Frames(Iterable[Frame]):
    """The frames of a clip, in order. Each is read when it is needed, and reading may begin again at any time."""

    path: Path
    height: int
    """of the frames that are returned, in pixels"""
    width: int
    rate: Fraction
    """frames a second; the mean, if their distances differ"""
    count: int
    """of the frames that the file announces; fewer are returned if it is damaged"""
    begin: Callable[[], Iterator[Frame]]
    """starts reading, from the first frame"""

    def __iter__(self) -> Iterator[Frame]:
        return self.begin()


def with_durations(
    pictures: Iterable[tuple[Tensor, Fraction]], last: Callable[[], Fraction], start: Fraction, stop: Fraction | None
) -> Iterator[Frame]:
    """Frames from pictures with their times, from `start` until before `stop`; the time `start` becomes 0.

    Every frame is kept until the next one is known. Times that do not increase are corrected.

    Args:
        pictures: (1, 3, H, W) in [0, 1] and seconds.
        last: the duration of the last frame in seconds; called at the end.
        start, stop: in seconds; None: until the end.
    """
    held: tuple[Tensor, Fraction] | None = None
    for image, time in pictures:
        if held is None:
            held = image, time
            continue
        time = max(time, held[1] + _STEP)
        yield Frame(held[0], held[1] - start, time - held[1])
        held = image, time
    if held is not None:
        duration = last() if stop is None else min(last(), max(stop - held[1], _STEP))
        yield Frame(held[0], held[1] - start, duration)


def shape_for(shape: tuple[int, int], size: Size | None) -> tuple[int, int]:
    """(H, W) of frames of that shape after ``size=``, as `images.resize` makes them."""
    return shape if size is None else resized_shape(torch.empty(1, 3, *shape, device="meta"), size)


def seconds(name: str, value: object) -> Fraction:
    """A time of at least 0 as an exact number.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, Fraction) and value >= 0:
        return value
    return Fraction(arguments.nonnegative(name, value)).limit_denominator(10**9)


def frame_rate(value: object) -> Fraction:
    """Frames a second as an exact number: 23.976 means 24000/1001.

    Raises:
        ValueError: not a number above 0.

    >>> frame_rate(25), frame_rate(29.97)
    (Fraction(25, 1), Fraction(30000, 1001))
    """
    exact = value if isinstance(value, Fraction) else Fraction(arguments.positive("rate", value))
    if exact <= 0:
        raise ValueError(f"rate must be a finite number greater than 0, got {value!r}")
    television = Fraction(round(exact * 1001 / 1000) * 1000, 1001)
    if exact.denominator != 1 and abs(television - exact) < exact / 10_000:
        return television
    return exact.limit_denominator(1001)


class Place:
    """A file that grows under a temporary name beside its target, and gets its own name at the end.

    What was at the target stays until then. A part of a clip replaces nothing: it gets a name of its own, such as
    ``out_part.mp4``, if there is already a file at the target.

    Raises:
        VideoError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.target = Path(os.path.realpath(path))  # a link stays, and the file it points to is replaced
        if problem := obstacle(self.target):
            raise VideoError(f"{path} {problem}.")
        self.temporary = self.target.with_name(f".{self.target.stem[:40]}.{secrets.token_hex(4)}.tmp")

    def keep(self, complete: bool) -> Path:
        """Give the file its name.

        Args:
            complete: whether it may replace a file that is already there.

        Returns:
            Where it is now.
        """
        final, number = self.target, 1
        while not complete and final.exists():
            final = self._part(f"_part{number if number > 1 else ''}{self.target.suffix}")
            number += 1
        os.replace(self.temporary, final)
        return final

    def _part(self, ending: str) -> Path:
        """The target with another ending; if that is too long a name, with fewer letters."""
        stem = self.target.stem
        while len(os.fsencode(stem + ending)) > _LONGEST_NAME:
            stem = stem[:-1]
        return self.target.with_name(stem + ending)

    def discard(self) -> None:
        """Remove what was written; the target is not touched."""
        with suppress(OSError):
            self.temporary.unlink()

    def could_not_write(self, error: OSError) -> VideoError:
        """What to say if writing failed."""
        size = self.temporary.stat().st_size if self.temporary.exists() else 0
        advice = room_for(size, self.target.parent) if is_full(error) else "Choose another folder."
        reason = error.strerror or str(error)
        return VideoError(f"{self.target} could not be written completely ({reason}). {advice}")
