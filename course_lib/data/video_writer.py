"""Video files, written with PyAV: H.264, or VP9 for .webm, in Rec. 709 and 4:2:0, which every player shows.

That takes even sides. A picture with an odd side gets its last row or column twice, and the file notes the size;
`course_lib.data.video_files` cuts such a file back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from course_lib.data.clip_files import Place, VideoError
from course_lib.data.video_files import library, opened, origin_of
from course_lib.pixels import levels_of

ENCODERS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # FFmpeg's names
_OPTIONS = {
    "libx264": {"preset": "medium", "rc-lookahead": "20"},  # frames that the encoder holds
    "libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},  # b=0: the size follows from crf
}
_WORST = {"libx264": 51, "libvpx-vp9": 63}  # crf, of which 0 is the best
_TICKS = 90_000  # a second, at least, so that times are exact to 6 µs


class VideoFile:
    """A video that frames are added to, in H.264, or VP9 for .webm.

    Args:
        place: where it grows.
        suffix: one of `ENCODERS`.
        rate: frames a second.
        quality: 1, the smallest file, to 100.
        sound: a file whose sound is copied without encoding it again, if it has any.
        start: the time in that file at which the video begins, in seconds.

    Raises:
        VideoError: PyAV or the encoder is missing, or the format cannot hold this sound.
    """

    def __init__(
        self, place: Place, suffix: str, rate: Fraction, quality: int, sound: Path | None, start: Fraction
    ) -> None:
        self.av, self.place, self.rate, self.start = library(), place, rate, start
        self.encoder = ENCODERS[suffix]
        try:
            self.av.codec.Codec(self.encoder, "w")
        except Exception:  # PyAV's UnknownCodecError is a ValueError in some versions
            raise VideoError(
                f"this FFmpeg has no encoder {self.encoder}, with which {suffix} files are written; give another "
                "suffix or a folder for the frames, or install PyAV from its wheel (pip install av)."
            ) from None
        self.crf = round(_WORST[self.encoder] * (1 - quality / 100))
        self.ticks = rate.numerator * -(-_TICKS // rate.numerator)
        self.source: Any = None if sound is None else opened(sound)
        self.audio: Any = None if self.source is None else self.source.streams.best("audio")
        # written in fragments, so that a file without an end can be played; close() makes it an ordinary one
        flags = {"movflags": "hybrid_fragmented+delay_moov"} if suffix in (".mp4", ".mov") else {}
        try:
            self.out = self.av.open(
                f"file:{place.temporary}", "w", format=_CONTAINERS[suffix], options={"flush_packets": "1", **flags}
            )
        except OSError as error:
            raise place.could_not_write(error) from None
        if self.audio is not None:
            kind = self.audio.codec_context.codec.canonical_name
            if not {kind, self.audio.codec_context.name} & self.out.supported_codecs:
                self._release()
                place.discard()
                raise VideoError(
                    f"the sound of {sound} is {kind}, which {suffix} cannot hold; use .mkv, or leave the sound out."
                )
        self.stream: Any = None

    def add(self, image: Tensor, time: Fraction, duration: Fraction) -> None:
        """Add a frame, (1, 3, H, W) in [0, 1], that is shown from `time` on for `duration` seconds.

        Raises:
            VideoError: it cannot be written.
        """
        levels = levels_of(image)
        try:
            if self.stream is None:
                self._begin(*levels.shape[:2])
            odd = [(0, side % 2) for side in levels.shape[:2]]
            levels = np.pad(levels, (*odd, (0, 0)), mode="edge") if any(map(any, odd)) else levels
            frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="itu709", dst_color_range="MPEG")
            frame.time_base = Fraction(1, self.ticks)
            frame.pts = round(time * self.ticks)
            frame.duration = round(duration * self.ticks)
            self.out.mux(self.stream.encode(frame))
            self._copy_sound(time)
        except (OSError, self.av.error.FFmpegError) as error:
            raise self.place.could_not_write(_as_os_error(error)) from None

    def close(self, end: Fraction) -> None:
        """Make the file complete.

        Args:
            end: of the last frame, in seconds; the sound that begins later is left out.

        Raises:
            VideoError: it cannot be written; it can be played up to the last part that was.
        """
        try:
            try:
                if self.stream is not None:
                    self.out.mux(self.stream.encode(None))
                    self._copy_sound(end)
            finally:
                self._release()
        except (OSError, self.av.error.FFmpegError) as error:
            raise self.place.could_not_write(_as_os_error(error)) from None

    def _begin(self, height: int, width: int) -> None:
        options = {"crf": str(self.crf), **_OPTIONS[self.encoder]}
        stream = self.out.add_stream(self.encoder, rate=self.rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, self.ticks)
        context.colorspace = context.color_primaries = context.color_trc = 1  # Rec. 709, in ITU-T H.273
        context.color_range = 1  # 16–235
        if height % 2 or width % 2:
            self.out.metadata["comment"] = f"course_lib {width}x{height}"
        self.stream = stream
        self.packets: Iterator[Any] = iter(())
        self.waiting: Any = None
        if self.audio is not None:
            self.copy = self.out.add_stream_from_template(self.audio)
            self.packets = self._sound()

    def _sound(self) -> Iterator[Any]:
        """The packets of the sound, with times counted from the beginning of the video."""
        origin = self.start + origin_of(self.source)
        if self.start:
            self.source.seek(int(origin * 1_000_000))
        shift = round(origin / self.audio.time_base)
        for packet in self.source.demux(self.audio):
            if packet.pts is None or packet.dts is None or packet.pts * packet.time_base < origin:
                continue
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, self.copy
            yield packet

    def _copy_sound(self, until: Fraction) -> None:
        """Copy the sound that begins before a time."""
        while True:
            if self.waiting is None:
                try:
                    self.waiting = next(self.packets, None)
                except self.av.error.FFmpegError as error:
                    warnings.warn(f"the sound is damaged ({error}); the part before that is kept", stacklevel=3)
                    self.packets = iter(())
            if self.waiting is None or self.waiting.pts * self.waiting.time_base >= until:
                return
            self.out.mux(self.waiting)
            self.waiting = None

    def _release(self) -> None:
        try:
            self.out.close()
        finally:
            if self.source is not None:
                self.source.close()


def _as_os_error(error: Exception) -> OSError:
    """An error of FFmpeg as one of the operating system."""
    return error if isinstance(error, OSError) else OSError(getattr(error, "errno", 0), str(error))
