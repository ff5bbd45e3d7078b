"""The pictures of one command: which files go in, where each result goes, and what happens to one that fails.

One picture becomes one file. A folder, several pictures, or a pattern that several files match become a folder of
results with the same names. Whatever can be checked in advance is refused before anything is computed. One bad picture
or target among many is skipped and reported at the end; the exit code is then 1.
"""

from __future__ import annotations

import glob
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm.std import tqdm

from course_lib.atomic import obstacle
from course_lib.cli.arguments import picture_file
from course_lib.cli.terminal import in_options, out_of_memory, say, what_happened
from course_lib.images import Size, check_writable, load_image, load_with_alpha, save_image
from course_lib.optimize.start import check_memory
from course_lib.picture_files import FORMATS, pictures_in

_CASE_IS_NO_DIFFERENCE = sys.platform in ("win32", "darwin")  # A.png and a.png are one file there, mostly
_BYTES_PER_PIXEL = 45  # of a result: as floats, clamped and scaled copies of it, and as a PIL picture


@dataclass(frozen=True)
class Job:
    """One picture: the file that is read, and the file that is written."""

    source: Path
    target: Path
    ending: str = ""  # of the result's name, where a picture becomes several


@dataclass(frozen=True)
class Plan:
    """All pictures of a command; `folder` is None where a single one goes into the file that ``-o`` names."""

    jobs: list[Job]
    folder: Path | None


def plan(
    words: Sequence[str], output: str, *, recursive: bool = False, others: Sequence[Path] = (),
    endings: Sequence[str] = ("",),
) -> Plan:  # fmt: skip
    """Find the pictures and name the results.

    Args:
        words: files, folders, patterns such as ``'*.jpg'``, names of the project's own pictures.
        output: the file, or for several pictures the folder, of the results. It gets the subfolders of an
            input folder. ``.png`` is added to a name with a suffix that cannot be written.
        recursive: also the pictures in subfolders.
        others: other files that the command reads; they must not be overwritten either.
        endings: of the names of the results, where each picture becomes several: with ``_dusk``, the name of
            ``street.png`` becomes ``street_dusk.png``.

    Raises:
        ValueError: no picture; two with one target; a target that is an input; a file where a folder is needed.
    """
    check_name(output)
    found: dict[Path, Path] = {}  # the file → its name below the output folder
    folders: list[Path] = []
    for word in words:
        for path in _matches(word):
            if os.path.isdir(path):
                folders.append(path)
                found |= {file: file.relative_to(path) for file in _pictures(path, recursive)}
            else:
                found[path] = Path(path.name)
    out = Path(output)
    to_folder = os.path.isdir(out) or output.endswith(("/", os.sep))
    to_folder |= any(map(_is_pattern, words)) and not out.suffix  # a pattern that happens to match one file
    to_folder |= len(endings) > 1
    if not folders and len(found) == 1 and not to_folder:
        (source,) = found
        job = Job(source, out, *endings)
        keep_inputs([job], [*found, *others])
        check_writable(out)
        return Plan([job], None)
    results = len(found) * len(endings)
    count = f"{results} picture{'s' * (results != 1)}"
    if os.path.exists(out) and not os.path.isdir(out):
        raise ValueError(f"{out} is a file, and {count} need a folder; give the name of a folder after -o")
    if out.suffix.lower() in FORMATS and not os.path.exists(out):
        raise ValueError(f"{count} need a folder, and {out} is the name of a picture; give a folder after -o")
    _check_folder(out)
    inside = [file for file in found if folders and out.resolve() in file.resolve().parents]
    if not any(os.path.isdir(out) and out.samefile(folder) for folder in folders):
        found = {file: name for file, name in found.items() if file not in inside}  # results of an earlier run
    several = len(endings) > 1
    jobs = [
        Job(file, out / _name_of_result(name, ending * several), ending)
        for file, name in found.items()
        for ending in endings
    ]
    if not jobs:
        raise ValueError(f"{folders[0]} has no pictures except those in {out}; give another folder")
    keep_inputs(jobs, [*found, *others])
    return Plan(jobs, out)


def plan_new(count: int, output: str, sheet: str) -> Plan:
    """Name the results of a command that makes pictures without reading any.

    Args:
        count: of the pictures; they are called 01.png, 02.png, …
        output: the folder; for a single picture, the file.
        sheet: the option that puts all pictures into one file, for the message.

    Raises:
        ValueError: a file where a folder is needed, or a place where nothing can be written.
    """
    check_name(output)
    out = Path(output)
    is_folder = os.path.isdir(out) or output.endswith(("/", os.sep))
    if count == 1 and not is_folder:
        check_writable(out)
        return Plan([Job(out, out)], None)
    if not is_folder and (os.path.exists(out) or out.suffix.lower() in FORMATS):
        what = "a file" if os.path.exists(out) else "the name of a picture"
        raise ValueError(f"{count} pictures need a folder, and {out} is {what}; give a folder after -o, or add {sheet}")
    _check_folder(out)
    digits = len(str(count))
    targets = [out / f"{k:0{digits}}.png" for k in range(1, count + 1)]
    return Plan([Job(target, target) for target in targets], out)


def check_name(output: str) -> None:
    """Refuse an empty word after ``-o``.

    Raises:
        ValueError: there is nothing but spaces.
    """
    if not output.strip():
        raise ValueError("the word after -o is empty; name the file or the folder for the result")


def run(work: Plan, make: Callable[[Job], str], options: Namespace | None = None) -> int:
    """Make every picture.

    Args:
        work: from `plan`.
        make: reads, computes and writes one picture, and returns one line about it.
        options: of the command, for the words of messages.

    Returns:
        The exit code: 0, or 1 if some of the pictures were skipped.

    Raises:
        ValueError: all of several pictures failed. A picture that is the only one raises what it raises.
    """
    if work.folder is None:
        print(make(work.jobs[0]))
        return 0
    done, skipped = 0, dict[Job, str]()
    made: list[Path] = []
    try:
        for job in tqdm(work.jobs, unit="picture", disable=None, leave=False):
            try:
                _make_folders(job.target.parent, made)
                make(job)
                done += 1
            except (KeyboardInterrupt, SystemExit):
                say(f"{done} of {len(work.jobs)} pictures were done before that; they are in {work.folder}")
                raise
            except (ValueError, OSError, MemoryError) as error:
                if len(work.jobs) == 1:
                    raise
                skipped[job] = in_options(what_happened(error), options or Namespace())
            except RuntimeError as error:
                if (reason := out_of_memory(error)) is None or len(work.jobs) == 1:
                    raise
                skipped[job] = reason
    finally:
        for empty in reversed(made):
            with suppress(OSError):  # it holds a picture
                empty.rmdir()
        for job, reason in skipped.items():
            named = str(job.source) in reason or str(job.target) in reason
            say(f"skipped: {'' if named else f'{job.source}: '}{reason}")
    if not done:
        raise ValueError(f"none of the {len(work.jobs)} pictures could be made")
    print(f"{work.folder}: {done} picture{'s' * (done != 1)}" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if skipped else 0


def load(job: Job, size: Size | None = None) -> tuple[Tensor, Tensor | None]:
    """Colors (1, 3, H, W) and opacity (1, 1, H, W) of a job's picture; None if opaque or, for JPEG, blended with white.

    Raises:
        ImageError: as for `load_image`.
    """
    image, alpha = load_with_alpha(job.source, size)
    if alpha is not None and FORMATS.get(job.target.suffix.lower()) == "JPEG":
        name = job.source.name
        say(f"{job.target}: JPEG has no transparency, so {name} was blended with white; .png and .webp keep it")
        return load_image(job.source, size), None
    return image, alpha


def check(job: Job, height: int, width: int) -> None:
    """Check that a result of this size can be held and written, before it is computed.

    Raises:
        ImageError: as for `check_writable`.
        MemoryError: names the largest result that fits.
    """
    check_writable(job.target, (height, width))
    check_room(job, height, width)


def check_room(job: Job, height: int, width: int) -> None:
    """Check that a result of this size can be held.

    Raises:
        MemoryError: names the largest result that fits.
    """
    try:
        check_memory(lambda h, w: _BYTES_PER_PIXEL * h * w, height, width, torch.device("cpu"))
    except MemoryError as error:
        raise MemoryError(f"{job.target}: {error}") from None


def save(job: Job, image: Tensor, alpha: Tensor | None) -> None:
    """Write the result of a job, with its opacity."""
    save_image(image, job.target, alpha=alpha)


def _matches(word: str) -> list[Path]:
    """The files and folders that a word means, at least one."""
    if _is_pattern(word):
        files = sorted(glob.glob(word, recursive=True))
        if not files:
            raise ValueError(f"no file matches the pattern {word}")
        return [Path(file) for file in files]
    return [picture_file(word)]


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not os.path.lexists(word)


def _pictures(folder: Path, recursive: bool) -> list[Path]:
    files = pictures_in(folder, recursive=recursive)
    if not files:
        below = 0 if recursive else len(pictures_in(folder, recursive=True))
        more = f"; its subfolders have {below}: add --recursive" if below else ""
        raise ValueError(f"{folder} has no pictures{more}")
    return files


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written."""
    place = folder
    while not os.path.isdir(place.parent) and place != place.parent:
        place = place.parent
    if os.path.isdir(place):
        place = place / "x.png"
    elif os.path.exists(place):
        raise ValueError(f"{folder} cannot be made, because {place} is a file; give another folder after -o")
    if problem := obstacle(place):
        raise ValueError(f"{place} {problem}")


def _name_of_result(name: Path, ending: str = "") -> Path:
    if name.suffix.lower() not in FORMATS:
        name = name.with_name(f"{name.name}.png")
    return name.with_name(f"{name.stem}{ending}{name.suffix}")


def keep_inputs(jobs: Sequence[Job], inputs: Sequence[Path]) -> None:
    """Refuse targets that two pictures share, and targets that are inputs themselves.

    Raises:
        ValueError: names the two pictures, or the file that would be overwritten.
    """
    by_target: dict[str, Path] = {}
    for job in jobs:
        name = str(job.target)
        other = by_target.setdefault(name.casefold() if _CASE_IS_NO_DIFFERENCE else name, job.source)
        if other != job.source:
            raise ValueError(
                f"{other} and {job.source} would both become {job.target}; rename one, or give each its own folder"
            )
    known = {_identity(path): path for path in inputs}
    known.pop(None, None)
    for job in jobs:
        if (overwritten := known.get(_identity(job.target))) is not None:
            raise ValueError(f"{overwritten} would be overwritten by a result; give another name after -o")


def _identity(path: Path) -> tuple[int, int] | None:
    """What two names of one file have in common; None if there is no such file."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; the new ones are added to `made`, outermost first."""
    missing: list[Path] = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir()
        made.append(place)
