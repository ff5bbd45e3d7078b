"""Folders of frames: one picture a frame, in the order of the numbers in their names.

A folder that is written here notes its rate, and how its frames were made, in ``frames.json``.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib.atomic import atomic_write, is_full
from course_lib.data.clip_files import Frames, VideoError, frame_rate, shape_for, with_durations
from course_lib.image_checks import ImageError
from course_lib.images import Size, load_image, resize, save_image
from course_lib.picture_files import pictures_in

RATE = 25  # frames a second of a folder that does not say
_FACTS = "frames.json"


def in_order(names: Path) -> list[int | str]:
    """The sorting key that puts 2.png before 10.png.

    >>> sorted([Path("10.png"), Path("2.png"), Path("a.png")], key=in_order)
    [PosixPath('2.png'), PosixPath('10.png'), PosixPath('a.png')]
    """
    parts = re.split(r"(\d+)", str(names))
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


def open_folder(
    folder: Path, size: Size | None, start: Fraction, stop: Fraction | None, rate: float | Fraction | None
) -> Frames:
    """The frames of a folder.

    Raises:
        ImageError: the folder cannot be read.
        VideoError: it has no pictures, none that can be read, or none in this span.
    """
    files = sorted(pictures_in(folder), key=in_order)
    if not files:
        raise VideoError(f"{folder} has no pictures; a folder of frames needs files such as 000001.png.")
    per_second = _noted_rate(folder) if rate is None else frame_rate(rate)
    numbers = [k for k in range(len(files)) if k / per_second >= start and (stop is None or k / per_second < stop)]
    if not numbers:
        raise VideoError(
            f"{folder} has no frames from {float(start):g} s on; at {float(per_second):g} frames a second it takes "
            f"{float(len(files) / per_second):.1f} s."
        )
    height, width = shape_for(_first_size(files), size)

    def pictures() -> Iterator[tuple[Tensor, Fraction]]:
        damaged: list[str] = []
        for number in numbers:
            try:
                image = load_image(files[number])
            except ImageError as error:
                damaged.append(str(error))
                continue
            if size is not None:
                image = resize(image, size)
            if image.shape[-2:] != (height, width):
                here = f"{image.shape[-1]}×{image.shape[-2]}"
                raise VideoError(
                    f"{files[number]} has {here} px and the first frame {width}×{height} px; a clip has one size"
                )
            yield image, number / per_second
        if damaged:
            warnings.warn(f"{len(damaged)} of {len(numbers)} frames are left out: {damaged[0]}", stacklevel=2)

    return Frames(
        folder, height, width, per_second, len(numbers),
        lambda: with_durations(pictures(), lambda: 1 / per_second, start, stop),
    )  # fmt: skip


def _first_size(files: list[Path]) -> tuple[int, int]:
    """(H, W) of the first picture that can be read."""
    problem = ""
    for file in files:
        try:
            image = load_image(file)
        except ImageError as error:
            problem = problem or str(error)
            continue
        return image.shape[-2], image.shape[-1]
    raise VideoError(f"none of the {len(files)} frames can be read: {problem}")


class FrameFolder:
    """A folder that frames are added to: 000001.png, 000002.png, …. `count` is the number of those that are there.

    Args:
        folder: it is made if necessary.
        rate: frames a second.
        resume: continue a folder that has frames.
        about: what it should remember of how its frames are made; compared when it is resumed.

    Raises:
        VideoError: it cannot be written, it already has frames, or it was begun with other settings.
    """

    def __init__(self, folder: Path, rate: Fraction, resume: bool, about: Mapping[str, Any]) -> None:
        self.folder = folder
        facts = {"rate": str(rate), **about}
        try:
            folder.mkdir(exist_ok=True)
            there = pictures_in(folder)
            if there and not resume:
                raise VideoError(f"{folder} already holds {len(there)} frames; resume it, or give another folder.")
            old = _facts(folder) if there else {}
            different = [name for name in facts if old and old.get(name) != facts[name]]
            if different:
                listed = ", ".join(f"{name} {old.get(name)} in place of {facts[name]}" for name in different)
                raise VideoError(f"{folder} was begun with {listed}; continue with the same, or give another folder.")
            with atomic_write(folder / _FACTS) as file:
                file.write(json.dumps(facts, indent=1).encode())
        except OSError as error:
            advice = "make room there" if is_full(error) else "give another folder"
            raise VideoError(f"{folder} cannot be written ({error.strerror}); {advice}.") from None

        self.count = 0
        while self.name(self.count).exists():
            self.count += 1

    def name(self, number: int) -> Path:
        """The file of frame `number`, counted from 0."""
        return self.folder / f"{number + 1:06d}.png"

    def add(self, image: Tensor, time: Fraction, duration: Fraction) -> None:
        """Add the next frame, (1, 3, H, W) in [0, 1]; files of frames have no times.

        Raises:
            ImageError: it cannot be written.
        """
        save_image(image, self.name(self.count))
        self.count += 1

    def close(self, end: Fraction) -> None:
        """Nothing is left to do."""


def _noted_rate(folder: Path) -> Fraction:
    try:
        return frame_rate(Fraction(_facts(folder).get("rate", RATE)))
    except (ValueError, TypeError, ZeroDivisionError):
        return Fraction(RATE)


def _facts(folder: Path) -> dict[str, Any]:
    """What a folder of frames notes about itself; nothing if it was not written here."""
    try:
        found = json.loads((folder / _FACTS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
