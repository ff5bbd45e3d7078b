"""Animations: GIF, WebP and APNG, read and written one frame at a time.

Pillow reads them, and it encodes each frame as a picture of its own. Putting these pictures into one file takes a few
bytes around each, which are written here: Pillow's own writer keeps all frames in memory until the last one is known.

Formats: *GIF89a* (CompuServe, 1990); *WebP Container Specification* (Google, "Animation"); *PNG*, third edition
(W3C, 2025), Sections 11.3.6.1–3, acTL, fcTL and fdAT.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from torch import Tensor

from course_lib.data.clip_files import Frames, Place, VideoError, shape_for, with_durations
from course_lib.images import Size, from_pil, resize, to_pil
from course_lib.picture_files import READABLE, existing_file

_SHORTEST = 11  # milliseconds; browsers show a frame of less for a tenth of a second, because old files say 0
_LONGEST = 65_535  # units, in GIF and APNG


def is_picture_file(path: Path) -> bool:
    """Whether the name is that of a picture or an animation, and not that of a video."""
    return path.suffix.lower() in (*READABLE, ".apng")


def open_animation(path: Path, size: Size | None, start: Fraction, stop: Fraction | None) -> Frames:
    """The frames of an animation; transparent pixels are blended with white.

    Raises:
        ImageError: there is no such file.
        VideoError: not an animation, or a single picture.
    """
    existing_file(path)
    try:
        with Image.open(path) as picture:
            total = getattr(picture, "n_frames", 1)
            height, width = shape_for((picture.height, picture.width), size)
            spans = []
            for k in range(total):
                with suppress(EOFError, OSError):
                    picture.seek(k)
                    spans.append(_duration(picture))
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoError(
            f"{path} is not an animation that can be read ({error}); download or export it again."
        ) from None
    if total < 2:
        raise VideoError(f"{path} is a single picture, not a video; stylize paints pictures.")
    times = [sum(spans[:k], Fraction(0)) for k in range(len(spans))]
    wanted = [k for k, time in enumerate(times) if time >= start and (stop is None or time < stop)]
    if not wanted:
        raise VideoError(f"{path} has no frames from {float(start):g} s on; it takes {float(sum(spans)):.1f} s.")

    def pictures() -> Iterator[tuple[Tensor, Fraction]]:
        with Image.open(path) as picture:
            for k in range(wanted[-1] + 1):
                try:
                    picture.seek(k)
                    image = from_pil(picture) if k >= wanted[0] else None
                except (EOFError, OSError, SyntaxError) as error:
                    warnings.warn(
                        f"{path} is damaged ({error}). The {k} of {total} frames that could be read are used",
                        stacklevel=2,
                    )
                    return
                if image is not None:
                    yield (image if size is None else resize(image, (height, width))), times[k]

    return Frames(
        path, height, width, Fraction(len(spans)) / sum(spans), len(wanted),
        lambda: with_durations(pictures(), lambda: spans[wanted[-1]], start, stop),
    )  # fmt: skip


def _duration(picture: Image.Image) -> Fraction:
    """Of the present frame, in seconds."""
    if picture.format == "WEBP":
        picture.load()  # tells the duration
    milliseconds = Fraction(picture.info.get("duration") or 0)
    return Fraction(100 if milliseconds < _SHORTEST else milliseconds) / 1000


class Animation(ABC):
    """A file that frames are added to; `finish` makes it complete, and may be called after any frame.

    Args:
        file: open for writing, and empty.
        height, width: of all frames, in pixels.
        quality: 1 to 100; only WebP uses it.
    """

    unit: int
    """of time, in units a second"""
    longest_side: int = 65_535

    def __init__(self, file: BinaryIO, height: int, width: int, quality: int) -> None:
        self.file, self.height, self.width, self.quality = file, height, width, quality
        self.count = 0
        self._ends = 0  # of the last frame, in units
        self._good = 0  # bytes up to the last complete frame
        if max(height, width) > self.longest_side:
            raise VideoError(
                f"the frames have {width} × {height} px, and this format holds at most {self.longest_side} px on a side"
            )

    def add(self, picture: Image.Image, time: Fraction, duration: Fraction) -> None:
        """Add a frame, an RGB picture that is shown from `time` on for `duration` seconds.

        Rounding to units does not add up: each frame begins at the rounded end of the one before it.
        """
        end = max(round((time + duration) * self.unit), self._ends + 1)
        if not self.count:
            self.head()
        self.frame(picture, min(end - self._ends, _LONGEST))
        self._ends, self._good = end, self.file.tell()
        self.count += 1

    def finish(self) -> None:
        """Make the file complete; of a frame that was written in part, nothing stays."""
        self.file.seek(self._good)
        self.file.truncate()
        self.tail()

    @abstractmethod
    def head(self) -> None:
        """Write what stands before the first frame."""

    @abstractmethod
    def frame(self, picture: Image.Image, units: int) -> None:
        """Write one frame."""

    @abstractmethod
    def tail(self) -> None:
        """Write what stands after the last frame, and correct the counts in the head."""

    def _encoded(self, picture: Image.Image, kind: str, **options: int) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        return stream.getvalue()


class Gif(Animation):
    """256 colors, chosen for each frame, without dithering, whose pattern would flicker."""

    unit = 100

    def head(self) -> None:
        self.file.write(b"GIF89a" + struct.pack("<HHBBB", self.width, self.height, 0x70, 0, 0))
        self.file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # repeat without end

    def frame(self, picture: Image.Image, units: int) -> None:
        few = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        data = self._encoded(few, "GIF")
        flags, place = data[10], 13
        colors = data[place : place + 3 * 2 ** ((flags & 7) + 1)]
        place += len(colors)
        while data[place] == 0x21:  # extensions, each a list of blocks
            place = _after_blocks(data, place + 2)
        self.file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", 4, units, 0, 0))
        self.file.write(data[place : place + 9] + bytes([0x80 | (flags & 7)]) + colors)
        self.file.write(data[place + 10 : _after_blocks(data, place + 11)])

    def tail(self) -> None:
        self.file.write(b"\x3b")


class Webp(Animation):
    """Each frame with losses, at `quality`."""

    unit = 1000
    longest_side = 16_383

    def head(self) -> None:
        canvas = struct.pack("<I", self.width - 1)[:3] + struct.pack("<I", self.height - 1)[:3]
        self.file.write(b"RIFF\0\0\0\0WEBP")
        self._chunk(b"VP8X", b"\x02\0\0\0" + canvas)
        self._chunk(b"ANIM", b"\xff\xff\xff\xff\0\0")  # a white ground; repeat without end

    def frame(self, picture: Image.Image, units: int) -> None:
        data = self._encoded(picture, "WEBP", quality=self.quality)
        place = 12
        while data[place : place + 4] not in (b"VP8 ", b"VP8L"):
            size = struct.unpack_from("<I", data, place + 4)[0]
            place += 8 + size + size % 2
        shape = struct.pack("<I", self.width - 1)[:3] + struct.pack("<I", self.height - 1)[:3]
        self._chunk(b"ANMF", bytes(6) + shape + struct.pack("<I", units)[:3] + b"\x02" + data[place:])

    def tail(self) -> None:
        size = self.file.tell() - 8
        self.file.seek(4)
        self.file.write(struct.pack("<I", size))

    def _chunk(self, name: bytes, content: bytes) -> None:
        self.file.write(name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2))


class Apng(Animation):
    """Exact to 8 bits."""

    unit = 1000

    def head(self) -> None:
        self.file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0))
        self._counts = self.file.tell()
        self._chunk(b"acTL", struct.pack(">II", 0, 0))
        self._chunk(b"sRGB", b"\0")
        self._number = 0  # of the next chunk that has one

    def frame(self, picture: Image.Image, units: int) -> None:
        data = self._encoded(picture, "PNG")
        self._numbered(b"fcTL", struct.pack(">IIIIHHBB", self.width, self.height, 0, 0, units, self.unit, 0, 0))
        place = 8
        while place < len(data):
            size, name = struct.unpack_from(">I4s", data, place)
            if name == b"IDAT":
                content = data[place + 8 : place + 8 + size]
                if self.count:
                    self._numbered(b"fdAT", content)
                else:
                    self._chunk(b"IDAT", content)
            place += 12 + size

    def tail(self) -> None:
        self._chunk(b"IEND", b"")
        self.file.seek(self._counts)
        self._chunk(b"acTL", struct.pack(">II", self.count, 0))

    def _numbered(self, name: bytes, content: bytes) -> None:
        self._chunk(name, struct.pack(">I", self._number) + content)
        self._number += 1

    def _chunk(self, name: bytes, content: bytes) -> None:
        check = zlib.crc32(name + content)
        self.file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", check))


ANIMATIONS: dict[str, type[Animation]] = {".gif": Gif, ".webp": Webp, ".apng": Apng}


class AnimationFile:
    """An animation that frames are added to.

    Args:
        place: where it grows.
        suffix: one of `ANIMATIONS`.
        quality: 1 to 100; only WebP uses it.
    """

    def __init__(self, place: Place, suffix: str, quality: int) -> None:
        self.place, self.kind, self.quality = place, ANIMATIONS[suffix], quality
        self.animation: Animation | None = None

    def add(self, image: Tensor, time: Fraction, duration: Fraction) -> None:
        """Add a frame, (1, 3, H, W) in [0, 1], that is shown from `time` on for `duration` seconds.

        Raises:
            VideoError: it cannot be written.
        """
        try:
            if self.animation is None:
                file = self.place.temporary.open("xb")
                self.animation = self.kind(file, image.shape[-2], image.shape[-1], self.quality)
            self.animation.add(to_pil(image), time, duration)
        except OSError as error:
            raise self.place.could_not_write(error) from None

    def close(self, end: Fraction) -> None:
        """Make the file complete; an animation has no sound that `end` could cut off.

        Raises:
            VideoError: it cannot be written; most programs show the frames that were.
        """
        if self.animation is None:
            return
        try:
            with self.animation.file:
                self.animation.finish()
        except OSError as error:
            raise self.place.could_not_write(error) from None


def _after_blocks(data: bytes, place: int) -> int:
    """The place after a list of blocks of GIF, each with its length before it; a length of 0 ends the list."""
    while data[place]:
        place += data[place] + 1
    return place + 1
