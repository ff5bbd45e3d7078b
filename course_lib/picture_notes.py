"""A note inside a picture file: a text that says how the picture was made, where other programs leave it alone.

In PNG it is a text chunk called ``course_lib``, in JPEG and WebP the ``UserComment`` of the EXIF data, in TIFF the
``ImageDescription``. All three take plain ASCII; `json.dumps` writes every other letter as ``\\u…``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from course_lib.picture_files import existing_file

KEY = "course_lib"
_EXIF, _COMMENT, _DESCRIPTION = 0x8769, 0x9286, 270  # the EXIF block, and the fields for texts in it and in a TIFF
_ASCII = b"ASCII\0\0\0"  # how a comment's letters are coded: its first eight bytes
LONGEST = 60_000  # letters: the EXIF data of a JPEG ends at 64 kB


def options_for(kind: str, note: str) -> dict[str, Any]:
    """What Pillow's `save` takes to write a note.

    Args:
        kind: "PNG", "JPEG" or "WEBP".
        note: ASCII, at most `LONGEST` letters.

    Raises:
        ValueError: other letters, or more of them.
    """
    if not note.isascii() or len(note) > LONGEST:
        raise ValueError(f"a note in a picture is at most {LONGEST:,} letters of ASCII, got {len(note):,} letters")
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text(KEY, note)
        return {"pnginfo": info}
    exif = Image.Exif()
    exif.get_ifd(_EXIF)[_COMMENT] = _ASCII + note.encode()
    return {"exif": exif}


def read_note(path: str | Path) -> str | None:
    """The note of a picture file; None if there is none, or the file is no picture.

    Args:
        path: a picture file.

    Raises:
        ImageError: the path does not exist, or is a folder or an empty file.
    """
    source = existing_file(path)
    try:
        with open(source, "rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(file, formats=("PNG", "JPEG", "WEBP", "TIFF")) as pil:
                return _note_in(pil)
    except Exception:  # decoders raise anything on damaged data
        return None


def _note_in(pil: Image.Image) -> str | None:
    if pil.format == "PNG":
        found = pil.info.get(KEY)
    elif pil.format == "TIFF":
        found = pil.getexif().get(_DESCRIPTION)
    else:
        found = pil.getexif().get_ifd(_EXIF).get(_COMMENT)
    if isinstance(found, bytes):
        found = found.removeprefix(_ASCII).decode("ascii")
    return found if isinstance(found, str) else None
