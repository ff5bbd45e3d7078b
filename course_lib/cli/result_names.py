"""The names of results: from ``-o``, from the pictures, and from what the command does where ``-o`` is missing."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_lib import arguments
from course_lib.picture_files import DEEP, FORMATS


@dataclass(frozen=True)
class Writing:
    """How results are written: what ``--format``, ``--quality``, ``--bits`` and ``--skip-existing`` say."""

    suffix: str | None = None  # of every result, with the dot; None: that of its picture, or of -o
    quality: int | None = None  # of JPEG and WebP; None: the default
    bits: int = 8  # of each color
    skip_existing: bool = False  # results that are there are left as they are

    @classmethod
    def of(cls, options: Namespace) -> Writing:
        """What the options of a command say.

        Raises:
            ValueError: a quality that is not from 1 to 100.
        """
        if options.quality is not None:
            arguments.whole("quality", options.quality, 1, 100)
        suffix = None if options.format is None else f".{options.format}"
        return cls(suffix, options.quality, options.bits or 8, options.skip_existing)

    def check(self, targets: Sequence[Path]) -> None:
        """Refuse options that the formats of the results do not have.

        Raises:
            ValueError: 16 bits for a format with 8, or a quality where nothing depends on it.
        """
        kinds = [FORMATS.get(target.suffix.lower()) for target in targets]
        for target, kind in zip(targets, kinds, strict=True):
            if self.bits == 16 and kind not in DEEP:
                raise ValueError(f"{target}: only PNG and TIFF hold 16 bits; add --format png, or leave --bits 16 out")
        if self.quality is not None and targets and not {"JPEG", "WEBP"} & {*kinds}:
            raise ValueError(
                f"--quality has no effect on {targets[0].suffix}, which loses nothing; leave it out, or add "
                "--format jpg"
            )

    def named(self, output: str) -> str:
        """The word after ``-o`` for a single picture: with the suffix of ``--format`` if it has none of its own.

        Raises:
            ValueError: it has another one.
        """
        own = Path(output).suffix.lower()
        if self.suffix is None or FORMATS.get(own) == FORMATS[self.suffix]:
            return output
        if own in FORMATS:
            raise ValueError(f"-o names a file in {own}, and --format says {self.suffix[1:]}; leave one of the two out")
        return output + self.suffix


AS_USUAL = Writing()


def of_picture(name: Path, ending: str, suffix: str | None) -> Path:
    """What a picture's result is called in a folder: as the picture, with a suffix that can be written.

    >>> of_picture(Path("a/b.bmp"), "", None).as_posix(), of_picture(Path("b.jpg"), "_dusk", ".webp").as_posix()
    ('a/b.bmp.png', 'b_dusk.webp')
    """
    if suffix is None and name.suffix.lower() not in FORMATS:
        name = name.with_name(f"{name.name}.png")
    return name.with_name(f"{name.stem}{ending}{suffix or name.suffix}")


def without_output(files: Sequence[Path], folders: Sequence[Path], several: bool, what: str, writing: Writing) -> str:
    """The word for ``-o`` where none was given: a name in the working folder that does not exist yet.

    A single ``photo.jpg`` becomes ``photo_great_wave.png``, a folder ``photos`` becomes ``photos_great_wave/``. It
    stands where the command was called, and not beside the photo: that place may be a camera's card, an album that
    another program watches, or the package itself. If the name is taken, a number follows; with ``--skip-existing``
    the taken name is meant.

    Args:
        files: the pictures.
        folders: the folders among the words.
        several: whether the results need a folder.
        what: what is done, for the name: that of a painting, or of a model.
        writing: its suffix, and whether a taken name is meant.
    """
    ending = re.sub(r"[^\w.+-]+", "-", what).strip(".-") or "new"
    if several:
        stem = Path(os.path.abspath(folders[0])).name if len(folders) == 1 else "pictures"
        suffix = os.sep
    else:
        stem, suffix = files[0].stem, writing.suffix or ".png"
    number = 1
    while True:
        name = f"{stem}_{ending}{f'_{number}' * (number > 1)}{suffix}"
        if writing.skip_existing or not os.path.lexists(name.rstrip(os.sep)):
            return name
        number += 1
