"""Video files, read with PyAV, whose wheels bring FFmpeg (``pip install 'course_lib[video]'``).

Frames are turned and mirrored as the file asks for, get square pixels, and are converted to RGB by the matrix that the
file names. Colors of HDR videos are not converted; a warning says so. Interlaced lines are not separated.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.data.clip_files import Frames, VideoError, shape_for, with_durations
from course_lib.images import Size, resize
from course_lib.picture_files import existing_file

_NOTE = re.compile(r"course_lib (\d+)x(\d+)")  # the size of a picture with an odd side
_HDR = (16, 18)  # transfer functions PQ and HLG, ITU-T H.273, Table 3
_UNKNOWN = 2  # a matrix that is not specified, in H.273
_HD = 720  # from this height on, untagged colors are those of Rec. 709, below those of Rec. 601


def library() -> Any:
    """PyAV.

    Raises:
        VideoError: it is not installed.
    """
    try:
        return import_module("av")
    except ImportError as error:
        raise VideoError(
            "video files are read and written with PyAV, which is not installed: pip install 'course_lib[video]'. "
            "Folders of frames, .gif, .webp and .apng need nothing more."
        ) from error


def open_video(path: Path, size: Size | None, start: Fraction, stop: Fraction | None) -> Frames:
    """The frames of a video file, turned as it asks for, with square pixels.

    Raises:
        ImageError: there is no such file.
        VideoError: PyAV is missing, the file is no video, or no frame can be read.
    """
    existing_file(path)
    with opened(path) as container:
        stream = _stream(container, path)
        origin, rate = origin_of(container), Fraction(stream.average_rate or stream.guessed_rate or 25)
        note = _NOTE.search(" ".join(container.metadata.values()))
        first = next(_decoded(container, stream, path, []), None)
        if first is None:
            raise VideoError(f"{path} has no frame that can be read; it is empty, cut short or damaged.")
        if first.color_trc in _HDR:
            warnings.warn(f"{path} is an HDR video, and is read as if it were not: colors will look pale", stacklevel=3)
        shape = (int(note[2]), int(note[1])) if note else None
        how = _Shown(shape, Fraction(stream.sample_aspect_ratio or 1))
        shown = how.levels(first)
    height, width = shape_for((shown.shape[0], shown.shape[1]), size)
    count = _count(path, origin, start, stop)
    if not count:
        raise VideoError(f"{path} has no frames from {float(start):g} s on; give an earlier start.")
    own_length = [1 / rate]  # of the last frame

    def pictures() -> Iterator[tuple[Tensor, Fraction]]:
        problems: list[str] = []
        with opened(path) as container:
            stream = _stream(container, path)
            if start:
                container.seek(int((start + origin) * 1_000_000))  # to a frame before it that needs no other
            end, done = Fraction(0), 0
            for number, frame in enumerate(_decoded(container, stream, path, problems)):
                time = number / rate if frame.pts is None else frame.pts * frame.time_base - origin
                if stop is not None and time >= stop:
                    break
                if time < start:
                    continue
                image = as_tensor(how.levels(frame))
                own_length[0] = frame.duration * frame.time_base if frame.duration else 1 / rate
                end, done = time + own_length[0], done + 1
                yield (image if size is None else resize(image, (height, width))), time
            else:
                announced = _announced(stream)
                if stop is None and end + start < announced * Fraction(9, 10):
                    problems.append(f"it announces {float(announced):.1f} s and ends after {float(end):.1f} s")
        if problems:
            warnings.warn(
                f"{path} is damaged: {'; '.join(problems[:2])}. The {done} frames that could be read are used",
                stacklevel=2,
            )

    return Frames(
        path, height, width, rate, count, lambda: with_durations(pictures(), lambda: own_length[0], start, stop)
    )


def as_tensor(levels: np.ndarray) -> Tensor:
    """(H, W, 3) in 0–255 → (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(levels)).permute(2, 0, 1)[None].float().div_(255).contiguous()


def turned(levels: np.ndarray, matrix: tuple[int, ...]) -> np.ndarray:
    """Turn and mirror a picture as the display matrix of its file says.

    A point (x, y) is shown at (a x + c y, b x + d y); what counts of a, b, c and d is which are 0, and the signs.

    Args:
        levels: (H, W, 3).
        matrix: a, b, u, c, d, v, x, y, w, as in the header of a QuickTime track.

    >>> turned(np.array([[[1], [2]], [[3], [4]]]), (0, 1, 0, -1, 0, 0, 0, 0, 1))[..., 0].tolist()  # by 90° to the right
    [[3, 1], [4, 2]]
    """
    a, b, _, c, d = matrix[:5]
    if abs(b) > abs(a):  # x becomes y
        levels, a, d = levels.swapaxes(0, 1), c, b
    return levels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


@dataclass(frozen=True)
class _Shown:
    """How the frames of a video are shown."""

    shape: tuple[int, int] | None  # (H, W) without the row and the column that were added
    aspect: Fraction  # width of a pixel divided by its height

    def levels(self, frame: Any) -> np.ndarray:
        """A decoded frame as it should be shown, (H, W, 3) in 0–255."""
        options: dict[str, Any] = {"format": "rgb24"}
        if frame.colorspace == _UNKNOWN:
            options["src_colorspace"] = "itu709" if frame.height >= _HD else "itu601"
        if Fraction(1, 4) < self.aspect < 4 and self.aspect != 1:
            options["width"] = max(1, round(frame.width * self.aspect))
        levels = frame.to_ndarray(**options)
        if self.shape is not None and levels.shape[:2] == tuple(side + side % 2 for side in self.shape):
            levels = levels[: self.shape[0], : self.shape[1]]
        for data in frame.side_data:
            if data.type.name == "DISPLAYMATRIX":
                levels = turned(levels, struct.unpack("=9i", bytes(data)[:36]))
        return levels


def opened(path: Path) -> Any:
    """A file opened by PyAV. Only this file is read: a playlist cannot name others, or addresses.

    Raises:
        VideoError: PyAV is missing, or the file is no video.
    """
    av = library()
    try:
        container = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(
            f"{path} is not a video that can be read ({reason}); it is in another format, cut short or damaged. "
            "Download or export it again."
        ) from None
    if container.format.name.startswith("image2") or container.format.name.endswith("_pipe"):
        container.close()
        raise VideoError(f"{path} is a single picture, not a video; stylize paints pictures.")
    return container


def _stream(container: Any, path: Path) -> Any:
    """The video of a file that may also have sound, subtitles and a cover."""
    cover = library().stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        raise VideoError(f"{path} has no pictures" + (", only sound" if container.streams.audio else "") + ".")
    streams[0].thread_type = "AUTO"
    return streams[0]


def origin_of(container: Any) -> Fraction:
    """The time at which an opened file begins, in seconds; many cameras do not begin at 0."""
    both = (*container.streams.video, *container.streams.audio)
    starts = [stream.start_time * stream.time_base for stream in both if stream.start_time is not None]
    return max(min(starts, default=Fraction(0)), Fraction(0))


def _decoded(container: Any, stream: Any, path: Path, problems: list[str]) -> Iterator[Any]:
    """All frames that can be decoded; what is wrong is added to `problems`."""
    av = library()
    packets, lost = container.demux(stream), 0
    try:
        while True:
            try:
                packet = next(packets)
                lost += bool(packet.is_corrupt)
            except StopIteration:
                break
            except av.error.FFmpegError as error:
                problems.append(f"it cannot be read to its end ({error.strerror})")
                packet = None  # what the decoder still holds
            try:
                yield from stream.codec_context.decode(packet)
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                lost += not (packet is not None and packet.is_corrupt)
            if packet is None:
                break
    finally:
        if lost:
            problems.append(f"{lost} of its packets cannot be decoded")


def _announced(stream: Any) -> Fraction:
    """How long a video should be, in seconds; 0 if the file does not say."""
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    tag = re.match(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))  # in Matroska
    return 3600 * Fraction(tag[1]) + 60 * Fraction(tag[2]) + Fraction(tag[3]) if tag else Fraction(0)


def _count(path: Path, origin: Fraction, start: Fraction, stop: Fraction | None) -> int:
    """Frames between two times: packets are counted, nothing is decoded."""
    av, count = library(), 0
    with opened(path) as container:
        stream = _stream(container, path)
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    time = start if packet.pts is None else packet.pts * packet.time_base - origin
                    count += start <= time and (stop is None or time < stop)
        except av.error.FFmpegError:
            pass  # `_decoded` says what is wrong
    return count
