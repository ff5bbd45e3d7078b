"""The project's own pictures, by name: photographs and paintings whose licenses stand in ``data/images/LEDGER.csv``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.image_checks import ImageError
from course_lib.paths import data_places, remedy
from course_lib.picture_files import did_you_mean

if TYPE_CHECKING:  # names need no PyTorch: the command line completes them
    from torch import Tensor

    from course_lib.images import Size

Seen = tuple[str, tuple[int, int]]
_watchers: list[list[Seen]] = []


def images_folder() -> Path:
    """The folder of the project's pictures, see `course_lib.paths`."""
    places = data_places("images")
    if len(places) == 1:  # COURSE_LIB_DATA may name the pictures' own folder
        places.append(places[0].parent)
    for place in places:
        if (place / "LEDGER.csv").is_file():
            return place
    raise ImageError(f"The project's pictures were not found: no LEDGER.csv in {places[0]} or {places[1]}; {remedy()}.")


def ledger() -> list[dict[str, str]]:
    """Rows of LEDGER.csv, one a picture: file, title, creator, year, licence, source, changes, width, …"""
    file = images_folder() / "LEDGER.csv"
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"{file} cannot be read ({error}); {remedy()}.") from error
    if any(not row.get("file") for row in rows):
        raise ImageError(f"{file} is not the list of this project's pictures: it has no column `file`; {remedy()}.")
    return rows


def sample_names(folder: str | None = None) -> list[str]:
    """Names that `sample_image` knows, sorted; of one folder ("content", "style", …) or of all."""
    folders = _samples()
    if folder is not None and (not isinstance(folder, str) or folder not in folders):
        raise ImageError(f"There is no folder {folder!r} of pictures; there are {', '.join(folders)}.")
    return sorted(name for key, files in folders.items() if folder in (None, key) for name in files)


def sample_image(name: str, size: Size | None = None, *, side: str = "long") -> Tensor:
    """One of the project's own pictures by name, whatever the working folder: `sample_image("great_wave")`.

    Args:
        name: the file's name without folder and suffix; see `sample_names()`.
        size, side: as for `load_image`.

    Returns:
        Tensor (1, 3, H, W), float32, in [0, 1].

    Raises:
        ImageError: an unknown name; the message lists similar names, then all of them by folder.
    """
    from course_lib.images import load_image

    image = load_image(sample_path(name), size, side=side)
    for seen in _watchers:
        seen.append((name, (image.shape[-2], image.shape[-1])))
    return image


def sample_path(name: str) -> Path:
    """The file of one of the project's own pictures.

    Raises:
        ImageError: as `sample_image`.
    """
    if not isinstance(name, str):
        raise ImageError(f"A picture's name must be a string, got {name!r}; sample_names() lists the names.")
    folders = _samples()
    for files in folders.values():
        if name in files:
            return files[name]
    wanted = Path(name).stem.replace(" ", "_").replace("-", "_")
    listing = "\n".join(f"  {folder}: {', '.join(files)}" for folder, files in folders.items())
    raise ImageError(f"No picture is named {name!r}.{did_you_mean(wanted, sample_names())} There are:\n{listing}")


def sample_title(name: str) -> str:
    """What a figure calls one of the project's own pictures: a painting by its title, a photo by what it shows.

    Raises:
        ImageError: as `sample_image`.

    >>> sample_title("great_wave"), sample_title("eilean_donan")
    ('The Great Wave off Kanagawa', 'Eilean Donan')
    """
    file = sample_path(name).relative_to(images_folder()).as_posix()
    (row,) = (row for row in ledger() if row["file"] == file)
    return row.get("called") or row["title"]


def watch() -> list[Seen]:
    """Begin a list that notes the name and the size (H, W) of every picture that `sample_image` reads.

    >>> seen = watch()
    >>> image = sample_image("cat", 64)
    >>> unwatch(seen), seen
    (None, [('cat', (43, 64))])
    """
    seen: list[Seen] = []
    _watchers.append(seen)
    return seen


def unwatch(seen: list[Seen]) -> None:
    """End such a list; it keeps what it has."""
    _watchers[:] = [other for other in _watchers if other is not seen]


def _samples() -> dict[str, dict[str, Path]]:
    root = images_folder()
    folders: dict[str, dict[str, Path]] = {}
    for file in sorted(row["file"] for row in ledger()):
        folders.setdefault(Path(file).parent.name, {})[Path(file).stem] = root / file
    return folders
