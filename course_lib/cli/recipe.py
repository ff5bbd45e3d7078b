"""What a picture was painted with: stored in its file, read again by ``--like``.

A picture keeps the version of the program, the options that were given, the seed, and for each file that was read its
name, without its folder, and a digest. Nothing else: no folder, no user, no time. ``--no-settings`` leaves it out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from course_lib import __version__
from course_lib.cli.arguments import picture_file
from course_lib.cli.terminal import say
from course_lib.image_checks import ImageError
from course_lib.picture_notes import LONGEST, read_note
from course_lib.samples import sample_names, sample_path
from course_lib.training import model_files
from course_lib.training.model_files import ModelError

_OPTIONS = (  # that are stored as they were given
    "method", "weights", "transform", "alpha", "keep_colors", "patches", "photorealistic", "size", "tile", "steps",
    "scales", "style_weight", "style_scale", "style_layers", "layer_weights", "content_layers", "start", "optimizer",
    "history", "precision", "seed",
)  # fmt: skip
_DIGITS = 16  # of a digest: enough that two files do not share them


class Kept:
    """What the pictures of one command have in common; `note` adds the photo.

    Args:
        options: of ``stylize``, with the weights of styles in ``weights``.
        paintings: the files of STYLE and ``--style``, if these are pictures.
        fine: the file of ``--fine-style``, or none.
    """

    def __init__(self, options: argparse.Namespace, paintings: Sequence[Path], fine: Sequence[Path]) -> None:
        self.wanted = not options.no_settings
        if not self.wanted:
            return
        chosen = {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
        about: dict[str, Any] = {"program": f"course_lib {__version__}", "command": "stylize", "options": chosen}
        about["seed"] = options.seed or 0
        about["device"] = options.device
        if options.model is not None:
            about["model"] = _entry(model_files.model_path(options.model), options.model)
        if paintings:
            about["styles"] = [_entry(path) for path in paintings]
        elif options.style:
            about["style names"] = options.style
        if fine:
            about["fine_style"] = _entry(fine[0])
        if options.mask is not None:
            about["mask"] = _entry(picture_file(options.mask))
            about["style_mask"] = [_mask(word) for word in options.style_mask or []]
        self.about = about

    def note(self, photo: Path) -> str | None:
        """The text for a picture made of this photo; None without settings, or if it would be too long."""
        if not self.wanted:
            return None
        text = json.dumps({**self.about, "photo": _entry(photo)})
        return text if len(text) <= LONGEST else None


def apply(options: argparse.Namespace, painted: Path) -> None:
    """Fill in the options that were not given from those that a picture was painted with.

    Args:
        options: of ``stylize``; the words for pictures are photos only, and may be missing.
        painted: the picture after ``--like``.

    Raises:
        ValueError: it has no settings, a file is missing, or is another one than the picture was painted with.
    """
    about = _read(painted)
    if about["program"] != f"course_lib {__version__}":
        say(f"{painted} was painted by {about['program']}; this is {__version__}, whose results may differ a little")
    find = _Finder(painted)
    if not options.pictures:
        options.pictures = [find(about["photo"], "photo")]
    if "model" in about and options.model is None:
        options.model = find(about["model"], "model")
    if "styles" in about:
        first, *more = (find(entry, "painting") for entry in about["styles"])
        options.pictures = [*options.pictures, first]
        options.style = more or None
    elif options.style is None:
        options.style = about.get("style names")
    if options.fine_style is None and "fine_style" in about:
        options.fine_style = find(about["fine_style"], "painting of its strokes")
    if options.mask is None and "mask" in about:
        options.mask = find(about["mask"], "mask")
        options.style_mask = [
            each if isinstance(each, str) else find(each, "mask of a painting") for each in about["style_mask"]
        ]
    for name, value in about["options"].items():
        if name in _OPTIONS and getattr(options, name) is None:
            setattr(options, name, value)


def _read(painted: Path) -> dict[str, Any]:
    note = read_note(painted)
    about: Any = None
    with suppress(TypeError, ValueError):  # no note, or one of another program
        about = json.loads(note or "")
    if not isinstance(about, dict) or about.get("command") != "stylize" or not isinstance(about.get("options"), dict):
        raise ValueError(
            f"{painted} does not say what it was painted with: another program wrote it last, or it was made with "
            "--no-settings; give the photo, the painting and the options instead"
        )
    return about


class _Finder:
    """Finds the files that a picture names: in the working folder, beside the picture, or in the package."""

    def __init__(self, painted: Path) -> None:
        self.painted = painted

    def __call__(self, entry: Any, what: str) -> str:
        """The word for a file of the command line.

        Args:
            entry: as `_entry` makes it.
            what: the file is, for messages.

        Raises:
            ValueError: there is no such file, or another one.
        """
        name, digest = str(entry.get("name")), entry.get("sha256")
        places = [Path(name), self.painted.parent / name]
        with suppress(ImageError, ModelError):
            places += [_own_picture(name)] if what != "model" else [model_files.model_path(name)]
        there = [place for place in places if place.is_file()]
        for place in there:
            if _digest(place) == digest:
                return str(place)
        if there:
            raise ValueError(
                f"{there[0]} is not the {what} that {self.painted} was made with: its digest is {_digest(there[0])} in "
                f"place of {digest}; put the old file there, or leave --like out"
            )
        raise ValueError(
            f"{self.painted} was made with the {what} {name}, which is neither in the working folder nor beside it; "
            "put it there, or leave --like out"
        )


def _own_picture(name: str) -> Path:
    """The project's own picture that has this name as a file."""
    stem = Path(name).stem
    return sample_path(stem) if stem in sample_names() else Path(name)


def _mask(word: str) -> Any:
    """A painting's mask: a file, or the word for a color."""
    with suppress(ImageError):
        if (path := picture_file(word)).is_file():
            return _entry(path)
    return word


def _entry(path: Path, name: str | None = None) -> dict[str, str]:
    """The name and the digest of a file, without its folder."""
    return {"name": Path(name or path.name).name, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    """The first digits of the SHA-256 of a file; empty if it cannot be read, which is reported elsewhere."""
    with suppress(OSError), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    return ""
