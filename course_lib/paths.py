"""Where the project's data lies: pictures, stored runs, trained networks, the list of claims.

Three places are known: the folder that ``COURSE_LIB_DATA`` names, the copy inside an installed package, and ``data`` of
the repository. Everything that reads or writes project data asks here.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_places(part: str) -> list[Path]:
    """Where `part` of the data may lie, most likely place first.

    Args:
        part: ``"images"``, ``"models"``, ``"results"`` or ``"claims.yml"``.

    Returns:
        With ``COURSE_LIB_DATA`` in the environment that place alone, otherwise the installed package's and the
        repository's.
    """
    if chosen := os.environ.get("COURSE_LIB_DATA"):
        return [Path(os.path.expanduser(chosen)) / part]
    return [_PACKAGE / "_data" / part, _PACKAGE.parent / "data" / part]


def data_path(part: str) -> Path:
    """The first of `data_places` that exists; the last of them where none does.

    >>> data_path("claims.yml").name
    'claims.yml'
    """
    places = data_places(part)
    return next((place for place in places if place.exists()), places[-1])


def remedy() -> str:
    """What to do where a part of the data was not found, for the end of an error message: a sentence without a period.

    With ``COURSE_LIB_DATA`` in the environment nothing else is searched, so that variable is what to correct.
    """
    if not (chosen := os.environ.get("COURSE_LIB_DATA")):
        return "install course_lib again, or set COURSE_LIB_DATA to the folder `data` of a clone of the repository"
    folder = Path(os.path.expanduser(chosen))
    what = "does not exist" if not folder.exists() else "holds no such data" if folder.is_dir() else "is a file"
    return (
        f"COURSE_LIB_DATA is set to {chosen}, which {what}; unset it, or set it to the folder `data` of a clone of the "
        "repository"
    )
