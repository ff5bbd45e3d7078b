"""Picture files: which ones a folder holds, whether one can be read, and whether one can be written."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from course_lib import arguments
from course_lib.atomic import obstacle
from course_lib.image_checks import ImageError

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}  # that are written  # fmt: skip
DEEP = ("PNG", "TIFF")  # the formats that have 16 bits for each color
READABLE = (
    *FORMATS, ".jpe", ".jfif", ".avif", ".heic", ".heif", ".bmp", ".gif", ".tga", ".ppm", ".pgm", ".jp2",
)  # fmt: skip
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # pixels: the formats have no more bits for it
_MAGIC = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP", b"GIF8": "GIF", b"II*": "TIFF", b"MM\0*": "TIFF"}
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")  # the brands of phones' photographs


def pictures_in(folder: str | Path, *, recursive: bool = False, suffixes: Collection[str] = READABLE) -> list[Path]:
    """The pictures of a folder, sorted by path: files with a picture's suffix whose name does not begin with a dot.

    Files whose names begin with a dot are not pictures, whatever their suffix: macOS leaves ``._photo.jpg`` beside
    photo.jpg. A broken link is listed; reading it raises an error.

    Args:
        folder: where to look.
        recursive: also in its subfolders, except those whose names begin with a dot, and those that are links.
        suffixes: in lower case, with the dot.

    Raises:
        ImageError: there is no such folder, or it may not be read.
    """
    root = as_path(folder)
    if not root.is_dir():
        raise ImageError(f"{folder} is not a folder; give a folder of pictures.")
    found: list[Path] = []

    def stop(error: OSError) -> None:
        raise ImageError(f"the folder {error.filename} cannot be read ({error.strerror}).") from error

    for place, folders, names in os.walk(root, onerror=stop):
        folders[:] = [name for name in folders if recursive and not name.startswith((".", "__MACOSX"))]
        found += [Path(place, name) for name in names if _is_picture(name, suffixes)]
    return sorted(found)


def _is_picture(name: str, suffixes: Collection[str]) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes


def as_path(path: object) -> Path:
    """The path of a file, ``~`` expanded.

    Raises:
        ImageError: neither str nor Path, or a text that cannot be one.
    """
    if not isinstance(path, (str, Path)):
        raise ImageError(f"A path is str or Path, got {type(path).__name__}; from_pil takes open PIL pictures.")
    try:
        return arguments.path(path, "a picture")
    except ValueError as error:
        raise ImageError(f"{error}.") from None


def existing_file(path: str | Path) -> Path:
    """The path of a file that can be opened, ``~`` expanded.

    Raises:
        ImageError: it does not exist, or is a folder, empty, a broken link, or not a regular file.
    """
    source = as_path(path)
    try:
        if source.is_dir():
            names = [file.name for file in pictures_in(source)]
            count = f"{len(names)} picture{'s' * (len(names) != 1)}"
            example = f", for example {names[0]!r}" if names else ""
            raise ImageError(f"{path} is a folder with {count}{example}. Pass one picture.")
        if not source.exists():
            raise ImageError(f"{path} {_why_missing(source)}")
        if not source.is_file() or source.stat().st_size == 0:
            raise ImageError(f"{path} is empty (0 bytes) or not a regular file. Download or copy it again.")
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}.") from error
    return source


def _why_missing(source: Path) -> str:
    if source.is_symlink():
        return f"is a link to {os.readlink(source)}, which does not exist. Link it again, or give the picture itself."
    if not source.parent.is_dir():
        return f"does not exist, nor does its folder {source.parent}. Check the path."
    near = did_you_mean(source.name, [p.name for p in source.parent.iterdir()]) or " No name there is similar."
    own = "" if source.suffix else " For the project's own pictures, use sample_image(name)."
    return f"does not exist.{near}{own}"


def check_writable(path: str | Path, size: tuple[int, int] | None = None) -> Path:
    """Check before hours of work that `save_image` will be able to write a file.

    Args:
        path: the file to write.
        size: (H, W) of the picture, where it is known already.

    Returns:
        The file itself, with symbolic links resolved.

    Raises:
        ImageError: an unknown suffix, a folder, a missing folder, a read-only file or folder, too long a name, or more
            pixels on a side than the format can hold.
    """
    given = as_path(path)
    if given.suffix.lower() not in FORMATS:
        raise ImageError(f"{path}: unknown suffix {given.suffix!r}; use one of {', '.join(FORMATS)}.")
    kind = FORMATS[given.suffix.lower()]
    if size is not None and max(size) > LONGEST_SIDE.get(kind, max(size)):
        raise ImageError(
            f"{path}: the picture will be {size[1]:,} x {size[0]:,}, and {given.suffix} can hold at most "
            f"{LONGEST_SIDE[kind]:,} pixels on a side. Use .png, or make the picture smaller."
        )
    target = Path(os.path.realpath(given))  # a link stays, and the file it points to is replaced
    if problem := obstacle(target):
        raise ImageError(f"{path} {problem}.")
    return target


def did_you_mean(name: str, names: list[str]) -> str:
    """A question for the end of an error message, ``" Did you mean 'great_wave'?"``; empty if no name is similar."""
    spelled = {n.lower(): n for n in names}
    close = [repr(spelled[n]) for n in get_close_matches(name.lower(), list(spelled))]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def no_picture(path: str | Path, start: bytes) -> str:
    """What to say about a file that Pillow cannot identify, from its first bytes.

    >>> no_picture("a.jpg", b"<!DOCTYPE html>").partition(". ")[0]
    "a.jpg is not a picture in a known format, whatever its name says: it begins with b'<!DOCTYPE html>'"
    """
    if is_heif(start):
        return (
            f"{path} is a HEIC picture, as phones take them. Install pillow-heif (pip install pillow-heif), or "
            "export it as JPEG."
        )
    if start[4:12] in (b"ftypavif", b"ftypavis"):
        return (
            f"{path} is an AVIF picture, which this version of Pillow cannot read. Update Pillow, or export it as PNG."
        )
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return f"{path} begins as a {kind} picture but is damaged. Download, copy or export it again."
    return (
        f"{path} is not a picture in a known format, whatever its name says: it begins with {start!r}. "
        "If that is text, a web page was saved instead; otherwise export the picture as PNG or JPEG."
    )


def is_heif(start: bytes) -> bool:
    """Whether a file that begins so is a HEIC picture, whatever its name says."""
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF


def with_heif() -> None:
    """Let Pillow read HEIC pictures if the package pillow-heif is installed (the extra `heic`)."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
