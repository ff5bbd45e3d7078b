"""Which pictures a command works on, and where each result goes; what can be checked in advance is refused here."""

from __future__ import annotations

import glob
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_lib.atomic import obstacle
from course_lib.cli.arguments import picture_file
from course_lib.cli.result_names import AS_USUAL, Writing, of_picture, without_output
from course_lib.picture_files import FORMATS, check_writable, pictures_in

_CASE_IS_NO_DIFFERENCE = sys.platform in ("win32", "darwin")  # A.png and a.png are one file there, mostly


@dataclass(frozen=True)
class Job:
    """One picture: the file that is read, and the file that is written."""

    source: Path
    target: Path
    ending: str = ""  # of the result's name, where a picture becomes several
    writing: Writing = AS_USUAL


@dataclass(frozen=True)
class Plan:
    """All pictures of a command; `folder` is None where a single one goes into the file that ``-o`` names."""

    jobs: list[Job]
    folder: Path | None
    there: int = 0  # results that exist, and stay as they are

    @property
    def sources(self) -> list[Path]:
        """The pictures that are read."""
        return [job.source for job in self.jobs]


def plan_for(
    options: Namespace, words: Sequence[str], what: str, *, others: Sequence[Path] = (), endings: Sequence[str] = ("",)
) -> Plan:
    """`plan` with the options that `arguments.add_results` and `arguments.add_pictures` declare.

    Args:
        what: what the command does, for the names of results without ``-o``; for the other arguments see `plan`.
    """
    return plan(
        words, options.output, what=what, recursive=options.recursive, others=others, endings=endings,
        writing=Writing.of(options),
    )  # fmt: skip


def plan(
    words: Sequence[str], output: str | None, *, what: str = "new", recursive: bool = False,
    others: Sequence[Path] = (), endings: Sequence[str] = ("",), writing: Writing = AS_USUAL,
) -> Plan:  # fmt: skip
    """Find the pictures and name the results.

    Args:
        words: files, folders, patterns such as ``'*.jpg'``, names of the project's own pictures.
        output: the file, or for several pictures the folder, of the results. It gets the subfolders of an
            input folder. ``.png`` is added to a name with a suffix that cannot be written. None: a new name in the
            working folder.
        what: what the command does, for that name.
        recursive: also the pictures in subfolders.
        others: other files that the command reads; they must not be overwritten either.
        endings: of the names of the results, where each picture becomes several: with ``_dusk``, the name of
            ``street.png`` becomes ``street_dusk.png``.
        writing: how results are written.

    Raises:
        ValueError: no picture; two with one target; a target that is an input; a file where a folder is needed; options
            of writing that do not fit the formats.
    """
    if output is not None:
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
    several = bool(folders) or len(found) > 1 or len(endings) > 1
    if output is None:
        output = without_output(list(found), folders, several, what, writing)
    out = Path(output)
    to_folder = several or os.path.isdir(out) or output.endswith(("/", os.sep))
    to_folder |= any(map(_is_pattern, words)) and not out.suffix  # a pattern that happens to match one file
    if not to_folder:
        (source,) = found
        job = Job(source, Path(writing.named(output)), endings[0], writing)
        keep_inputs([job], [*found, *others])
        return _planned([job], None)
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
    jobs = [
        Job(file, out / of_picture(name, ending * (len(endings) > 1), writing.suffix), ending, writing)
        for file, name in found.items()
        for ending in endings
    ]
    if not jobs:
        raise ValueError(f"{folders[0]} has no pictures except those in {out}; give another folder")
    keep_inputs(jobs, [*found, *others])
    return _planned(jobs, out)


def _planned(jobs: list[Job], folder: Path | None) -> Plan:
    """Check how the results are to be written, and leave out those that may stay."""
    writing = jobs[0].writing
    if folder is None:
        check_writable(jobs[0].target)
    writing.check([job.target for job in jobs])
    left = [job for job in jobs if not (writing.skip_existing and job.target.exists())]
    return Plan(left, folder, len(jobs) - len(left))


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
