"""The photos of a folder, read when they are needed: however many there are, they take a bounded part of the memory.

Before anything is computed, the size of each photo is read from the first bytes of its file. Files that are too small
or not pictures are left out, and a warning counts them. If a file later turns out to be damaged, the next one replaces
it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import get_worker_info

from course_lib.images import MAX_PIXELS, ImageError, from_pil, load_image, resize
from course_lib.picture_files import pictures_in

Progress = Callable[[int, int], None]  # (photos so far, photos in all)

PHOTO_BYTES = 2_000_000  # of a photo in memory; one with more is reduced
_CACHE = 2**30  # bytes of photos that are kept
_NAMED = 3  # files that a warning names
_REPORT = 100  # photos between two calls of `progress`


class FolderPhotos(Sequence[Tensor]):
    """Photos as uint8 tensors (3, H, W), each of at most 2 MB, or with a short side of `side` if that is more.

    Args:
        folder: its pictures are used, but not those in subfolders, or with a name that begins with a dot.
        side: photos with a shorter side are left out.
        progress: called while the folder is searched.

    Raises:
        ImageError: there is no such folder.
        ValueError: there is no photo in it, or none that can be used.
    """

    def __init__(self, folder: str | Path, side: int, progress: Progress | None = None) -> None:
        self.side = side
        found, known = pictures_in(folder), hashlib.sha256()
        if not found:
            raise ValueError(f"there are no photos in {folder}; a folder needs files such as .jpg, .png or .webp")
        self.files: list[str] = []
        self.nbytes = 0  # of all photos in memory
        left_out: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for number, file in enumerate(found, 1):
                shape, problem = _look(file)
                known.update(f"{file.name}\0{_bytes(file)}\0".encode())
                if not problem and min(shape) < side:
                    problem = f"{file} has {shape[1]}×{shape[0]} px, and a crop of {side} px needs a larger one"
                if problem:
                    left_out.append(problem)
                else:
                    height, width = self._reduced(*shape)
                    self.nbytes += 3 * height * width
                    self.files.append(str(file))
                if progress is not None and (number % _REPORT == 0 or number == len(found)):
                    progress(number, len(found))
        if not self.files:
            raise ValueError(f"none of the {len(found)} photos in {folder} can be used: {left_out[0]}")
        if left_out:
            some = "; ".join(problem.partition(". ")[0].rstrip(".") for problem in left_out[:_NAMED])
            some += "; …" if len(left_out) > _NAMED else ""
            warnings.warn(f"{len(left_out)} of {len(found)} photos in {folder} are left out: {some}", stacklevel=3)
        self.fingerprint = f"{len(found)} photos, {known.hexdigest()[:16]}"
        self.device = torch.device("cpu")  # where photos are kept
        self._kept: dict[int, Tensor] = {}
        self._room = _CACHE
        self._damaged: set[int] = set()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, k: int) -> Tensor:  # type: ignore[override]
        if not 0 <= k < len(self):
            raise IndexError(f"photo {k} of {len(self)}")
        for number in chain(range(k, len(self)), range(k)):
            if number in self._kept:
                return self._kept[number]
            if number not in self._damaged:
                try:
                    return self._keep(number, self._read(number))
                except ImageError as error:
                    self._damaged.add(number)
                    warnings.warn(f"{error} Training continues without it.", stacklevel=2)
        raise ValueError(f"none of the {len(self)} photos in {Path(self.files[0]).parent} can be read completely")

    def keep_on(self, device: torch.device) -> None:
        """Keep all photos on `device`, each from the time when it is first asked for."""
        self._kept.clear()
        self._room, self.device = self.nbytes, torch.empty(0, device=device).device  # with its number

    def _read(self, number: int) -> Tensor:
        photo = self._decoded(self.files[number])
        shape = self._reduced(*photo.shape[-2:])
        if shape != photo.shape[-2:]:
            photo = resize(photo, shape)
        return as_bytes(photo)

    def _decoded(self, file: str) -> Tensor:
        """(1, 3, H, W) in [0, 1]; a large JPEG at a half, a quarter or an eighth of its size, several times faster."""
        with suppress(Exception), Image.open(file) as picture:  # `load_image` words the errors
            height, width = self._reduced(picture.height, picture.width)
            if picture.format in ("JPEG", "MPO") and height < picture.height and picture.draft(None, (width, height)):
                return from_pil(picture)
        return load_image(file)

    def _keep(self, number: int, photo: Tensor) -> Tensor:
        photo = photo.to(self.device)
        workers = get_worker_info()  # each has a copy of this object
        taken = photo.nbytes * (1 if workers is None else workers.num_workers)
        if taken <= self._room:
            self._kept[number], self._room = photo, self._room - taken
        return photo

    def _reduced(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in memory."""
        factor = max((PHOTO_BYTES / (3 * height * width)) ** 0.5, self.side / min(height, width))
        return (height, width) if factor >= 1 else (round(height * factor), round(width * factor))


def as_bytes(photo: Tensor) -> Tensor:
    """(1, 3, H, W) in [0, 1] → uint8 (3, H, W): a quarter of the memory of float32, and the precision of a file."""
    return photo.float().mul(255).round().to(torch.uint8)[0]


def _look(file: Path) -> tuple[tuple[int, int], str]:
    """Height and width as the file's first bytes tell them, and what is wrong with it."""
    try:
        with Image.open(file) as picture:
            shape = picture.height, picture.width
        if shape[0] * shape[1] <= MAX_PIXELS:
            return shape, ""
    except Exception:  # Pillow may raise anything; `load_image` words the problem
        pass
    try:
        photo = load_image(file)
    except ImageError as error:
        return (0, 0), str(error)
    return (photo.shape[-2], photo.shape[-1]), ""


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # a broken link
        return 0
