"""Clips: video files, animations and folders of frames, read and written one frame at a time.

However long a clip is, a few of its frames are in memory. `read_frames` returns an iterable of frames with their times;
`FrameWriter` takes frames and their times. The suffix says what kind of clip it is:

- .mp4, .mov, .mkv and .webm, and to be read all that FFmpeg knows: with PyAV (`course_lib.data.video_files`)
- .gif, .webp and .apng: with Pillow alone (`course_lib.data.animations`)
- a folder: one picture a frame, read in the order of the numbers in their names

A clip that was interrupted can be played as far as it was written; a folder is also resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.data.animations import ANIMATIONS, AnimationFile, is_picture_file, open_animation
from course_lib.data.clip_files import Frame as Frame
from course_lib.data.clip_files import Frames as Frames
from course_lib.data.clip_files import Place, frame_rate, seconds
from course_lib.data.clip_files import VideoError as VideoError
from course_lib.data.frame_folders import RATE, FrameFolder, open_folder
from course_lib.data.video_files import open_video
from course_lib.data.video_writer import ENCODERS, VideoFile
from course_lib.image_checks import check_pictures
from course_lib.images import Size
from course_lib.picture_files import as_path

SUFFIXES = (*ENCODERS, *ANIMATIONS)  # that are written
QUALITY = {**dict.fromkeys(ENCODERS, 65), ".webp": 80}  # if none is given; the others are exact, or have none


def read_frames(
    path: str | Path, size: Size | None = None, *, start: float | Fraction = 0, stop: float | Fraction | None = None,
    rate: float | Fraction | None = None,
) -> Frames:  # fmt: skip
    """Open a clip; its frames are read while you iterate over it.

    Args:
        path: a video, an animation, or a folder of pictures.
        size: None keeps the size; otherwise each frame is resized as by `images.resize(frame, size)`.
        start, stop: use only the frames from `start` until before `stop`, in seconds. Times are counted from `start`.
        rate: of a folder, in frames a second; if None, the one that a folder written here has noted, else 25.

    Returns:
        An iterable of `Frame`: image (1, 3, H, W) float32 in [0, 1], time and duration in seconds. It also has
        `height`, `width`, `rate` and `count`. What is damaged is left out, and a warning says so at the end.

    Raises:
        ImageError: the path does not exist.
        VideoError: not a clip, a single picture, no frame that can be read, or PyAV is needed and missing.
        ValueError: a size, a time or a rate out of range.
    """
    place = as_path(path)
    begin, end = seconds("start", start), None if stop is None else seconds("stop", stop)
    if end is not None and end <= begin:
        raise ValueError(f"stop must be after start, got {float(end):g} s and {float(begin):g} s")
    if place.is_dir():
        return open_folder(place, size, begin, end, rate)
    if rate is not None:
        raise ValueError(f"rate is for folders of frames, and {path} is a file, which has its own; leave it out")
    opened = open_animation if is_picture_file(place) else open_video
    return opened(place, size, begin, end)


def load_clip(path: str | Path, size: Size | None = None, **options: Any) -> Tensor:
    """All frames of a short clip in memory, (T, 3, H, W) float32 in [0, 1].

    Args:
        path, size, options: as for `read_frames`.

    Raises:
        ImageError, VideoError, ValueError: as for `read_frames`.
    """
    return torch.cat([frame.image for frame in read_frames(path, size, **options)])


def save_clip(clip: Tensor, path: str | Path, *, rate: float | Fraction = RATE, quality: int | None = None) -> None:
    """Write a clip that is in memory.

    Args:
        clip: (T, 3, H, W) in [0, 1].
        path, rate, quality: as for `FrameWriter`.

    Raises:
        ImageError: not a batch of pictures.
        VideoError, ValueError: as for `FrameWriter`.
    """
    check_pictures(clip, "the clip")
    with FrameWriter(path, rate=rate, quality=quality) as writer:
        for image in clip:
            writer.add(image[None])


class FrameWriter:
    """Write a clip frame by frame, in a ``with``.

    A file appears under its name when the ``with`` ends. If that is because of an error or of Ctrl-C, the file holds
    the frames until then, and can be played; a complete file that was there before stays, and the part gets a name of
    its own, such as ``out_part.mp4``. `path` is where the clip is at last, and `count` the number of its frames so far.

    Args:
        path: its suffix decides the kind: one of `SUFFIXES`; without a suffix, a folder with frames 000001.png, ….
        rate: frames a second, where frames have no times of their own.
        quality: 1, the smallest file, to 100; of videos and .webp. None: 65 for videos, 80 for .webp.
        sound: a file whose sound is copied until the last frame ends, without encoding it again; only into videos.
        start: the time in that file at which the clip begins, in seconds.
        resume: continue a folder after the frames that are there; `count` begins with their number.
        about: what a folder should remember of how its frames are made. If it differs, the folder is not continued.

    Raises:
        VideoError: an unknown suffix, a place where nothing can be written, no PyAV, no encoder, a sound that the
            format cannot hold, or a folder that already has frames, or was begun with other settings.
        ValueError: a number out of range.

    >>> import tempfile
    >>> name = f"{tempfile.mkdtemp()}/clip.gif"
    >>> with FrameWriter(name, rate=20) as writer:
    ...     for level in (0.0, 0.5, 1.0):
    ...         writer.add(torch.full((1, 3, 8, 12), level))
    >>> [(float(frame.time), round(float(frame.image.mean()), 1)) for frame in read_frames(name)]
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0)]
    """

    def __init__(
        self, path: str | Path, *, rate: float | Fraction = RATE, quality: int | None = None,
        sound: str | Path | None = None, start: float | Fraction = 0, resume: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.path = as_path(path)
        self.rate, self.count = frame_rate(rate), 0
        self.suffix = "" if self.path.is_dir() else self.path.suffix.lower()
        if self.suffix and self.suffix not in SUFFIXES:
            raise VideoError(
                f"{path}: unknown suffix {self.path.suffix!r}; use one of {', '.join(SUFFIXES)}, or a name without a "
                "suffix for a folder of frames."
            )
        if quality is not None and self.suffix not in QUALITY:
            raise ValueError(f"quality has no effect on {path}; it is for {', '.join(QUALITY)}")
        chosen = arguments.whole("quality", QUALITY.get(self.suffix, 100) if quality is None else quality, 1, 100)
        if sound is not None and self.suffix not in ENCODERS:
            raise ValueError(f"{path} cannot hold sound; use one of {', '.join(ENCODERS)}, or leave the sound out")
        if resume and self.suffix:
            raise ValueError(f"only a folder of frames can be resumed, and {path} is a file")
        if self.suffix == ".gif" and self.rate > 50:
            raise VideoError(f"{path}: GIF shows at most 50 frames a second, and this clip has {float(self.rate):g}.")
        self._size: tuple[int, int] | None = None
        self._end = Fraction(0)
        self._place: Place | None = None
        self._file: VideoFile | AnimationFile | FrameFolder
        if not self.suffix:
            self._file = FrameFolder(self.path, self.rate, resume, about or {})
            self.count = self._file.count
            return
        self._place = Place(self.path)
        if self.suffix in ENCODERS:
            source = None if sound is None else as_path(sound)
            begin = seconds("start", start)
            self._file = VideoFile(self._place, self.suffix, self.rate, chosen, source, begin)
        else:
            self._file = AnimationFile(self._place, self.suffix, chosen)

    def add(
        self, image: Tensor, time: float | Fraction | None = None, duration: float | Fraction | None = None
    ) -> None:
        """Add the next frame.

        Args:
            image: (1, 3, H, W) in [0, 1]; all of one size.
            time: when it appears, in seconds from the beginning; None: as `rate` says.
            duration: how long it is shown, in seconds; None: as `rate` says.

        Raises:
            ImageError: not a single picture.
            VideoError: another size than the first frame, or it cannot be written.
        """
        check_pictures(image, "the frame", single=True)
        size = (image.shape[-2], image.shape[-1])
        if self._size is not None and size != self._size:
            old, new = (f"{width}×{height}" for height, width in (self._size, size))
            raise VideoError(f"the frames of a clip have one size; the first has {old} px, and this one {new} px")
        self._size = size
        when = self.count / self.rate if time is None else seconds("time", time)
        lasts = 1 / self.rate if duration is None else seconds("duration", duration)
        self._file.add(image, when, lasts)
        self.count += 1
        self._end = when + lasts

    def close(self, *, complete: bool = True) -> None:
        """Finish the clip; the ``with`` does this.

        Args:
            complete: whether all frames were added. If not, no file is replaced.

        Raises:
            VideoError: no frame was added, or the file cannot be written.
        """
        try:
            self._file.close(self._end)
        except VideoError:
            self._settle(complete=False)
            raise
        self._settle(complete)
        if complete and not self.count and self._place is not None:
            raise VideoError(f"{self.path} was not written, because there were no frames")

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close(complete=kind is None)
        except VideoError:
            if kind is None:
                raise

    def _settle(self, complete: bool) -> None:
        if self._place is not None and self.count:
            final = self._place.keep(complete)
            self.path = self.path if final == self._place.target else self.path.with_name(final.name)
        elif self._place is not None:
            self._place.discard()
