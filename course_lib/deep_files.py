"""PNG and TIFF files with 16 bits for each color, which Pillow cannot write: levels in, bytes out.

A result is a tensor of float32 until it is saved. 256 levels are enough to look at it; an editor that lightens a
shadow or stretches a sky shows steps between them, and 65,536 levels leave it room. Both formats are written here with
`zlib` alone, a few rows at a time, so that no second copy of a large picture is needed. Layout of the bytes: PNG
Specification (Third Edition), Sections 5 and 11; TIFF 6.0, Sections 2, 14 and 18.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

_ROWS_OF = 2**20  # bytes that are compressed at once
_LEVEL = 6  # of zlib: smaller files take longer
_BYTE, _TEXT, _SHORT, _LONG, _RATIO, _ANY = 1, 2, 3, 4, 5, 7  # types of a TIFF's fields
_CODES = {_BYTE: "B", _TEXT: "B", _SHORT: "H", _LONG: "I", _RATIO: "I", _ANY: "B"}


def write_png(stream: BinaryIO, levels: np.ndarray, note: str | None = None) -> None:
    """Write a PNG of 16 bits, marked as sRGB.

    Args:
        stream: open for writing.
        levels: (H, W, 3), or (H, W, 4) with the opacity, uint16.
        note: a text for the chunk called ``course_lib``, ASCII; see `course_lib.picture_notes`.

    >>> from io import BytesIO
    >>> stream = BytesIO()
    >>> write_png(stream, np.zeros((1, 2, 3), np.uint16))
    >>> stream.getvalue()[12:26], stream.getvalue()[-8:-4]
    (b'IHDR\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x01\\x10\\x02', b'IEND')
    """
    height, width, channels = levels.shape
    stream.write(b"\x89PNG\r\n\x1a\n")
    _chunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0))
    _chunk(stream, b"sRGB", b"\0")  # perceptual
    if note is not None:
        _chunk(stream, b"tEXt", b"course_lib\0" + note.encode("latin-1"))
    packer, above = zlib.compressobj(_LEVEL), np.zeros((1, width * channels * 2), np.uint8)
    for rows in _rows(levels):
        plain = rows.astype(">u2").view(np.uint8).reshape(len(rows), -1)
        up = plain - np.concatenate((above, plain[:-1]))  # filter 2: the difference to the row above, modulo 256
        filtered = np.concatenate((np.full((len(rows), 1), 2, np.uint8), up), 1)
        _chunk(stream, b"IDAT", packer.compress(filtered.tobytes()))
        above = plain[-1:]
    _chunk(stream, b"IDAT", packer.flush())
    _chunk(stream, b"IEND", b"")


def write_tiff(stream: BinaryIO, levels: np.ndarray, profile: bytes, note: str | None = None) -> None:
    """Write a TIFF of 8 or 16 bits, packed without loss.

    Args:
        stream: open for writing, at its beginning; it can be moved back.
        levels: (H, W, 3), or (H, W, 4) with the opacity, uint8 or uint16.
        profile: the ICC profile of its colors.
        note: a text for the field ``ImageDescription``, ASCII.
    """
    height, width, channels = levels.shape
    stream.write(struct.pack("<2sHI", b"II", 42, 0))  # the last number is the place of the fields, written at the end
    offsets, counts = [], []
    for rows in _rows(levels):
        change = rows.copy()
        change[:, 1:] -= rows[:, :-1]  # predictor 2: the difference to the pixel before, modulo the number of levels
        data = zlib.compress(change.astype(levels.dtype.newbyteorder("<")).tobytes(), _LEVEL)
        offsets.append(stream.tell())
        counts.append(len(data))
        stream.write(data)
    bits = 8 * levels.dtype.itemsize
    fields: list[tuple[int, int, list[int] | bytes]] = [
        (256, _LONG, [width]), (257, _LONG, [height]), (258, _SHORT, [bits] * channels),
        (259, _SHORT, [8]),  # deflate
        (262, _SHORT, [2]),  # RGB
        *([(270, _TEXT, note.encode("ascii") + b"\0")] if note is not None else []),
        (273, _LONG, offsets), (277, _SHORT, [channels]), (278, _LONG, [_step(levels)]), (279, _LONG, counts),
        (282, _RATIO, [72, 1]), (283, _RATIO, [72, 1]), (284, _SHORT, [1]), (296, _SHORT, [2]), (317, _SHORT, [2]),
        *([(338, _SHORT, [2])] if channels == 4 else []),  # the fourth is opacity; colors are not multiplied with it
        (34675, _ANY, profile),
    ]  # fmt: skip
    _write_fields(stream, fields)


def _write_fields(stream: BinaryIO, fields: list[tuple[int, int, list[int] | bytes]]) -> None:
    """The directory of a TIFF behind its strips, and its place in the header."""
    entries, more = [], b""
    start = stream.tell() + stream.tell() % 2
    after = start + 2 + 12 * len(fields) + 4
    for tag, kind, values in fields:
        data = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        count = len(values) // 2 if kind == _RATIO else len(values)
        if len(data) > 4:  # it stands behind the directory, at an even place
            place = struct.pack("<I", after + len(more))
            more += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", tag, kind, count) + place)
    stream.write(b"\0" * (start - stream.tell()))
    stream.write(struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0) + more)
    stream.seek(4)
    stream.write(struct.pack("<I", start))


def _chunk(stream: BinaryIO, name: bytes, data: bytes) -> None:
    stream.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))


def _step(levels: np.ndarray) -> int:
    """How many rows are compressed at once."""
    return int(min(len(levels), max(1, _ROWS_OF // levels[0].nbytes)))


def _rows(levels: np.ndarray) -> Iterator[np.ndarray]:
    step = _step(levels)
    return (levels[top : top + step] for top in range(0, len(levels), step))
