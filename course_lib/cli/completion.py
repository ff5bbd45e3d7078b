"""Completion of words in a shell, with the package `argcomplete` (the extra ``completion``).

A shell that is set up for it (``eval "$(register-python-argcomplete paint)"``) runs the program at each press of the
tab key; `complete` then prints what may follow and ends the program. Besides options and files, it knows the names of
the project's own pictures and of the networks that come with the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from course_lib.image_checks import ImageError
from course_lib.paths import data_places
from course_lib.samples import sample_names

_PICTURES = ("pictures", "style", "mask", "style_mask", "fine_style", "like", "preview")  # arguments that take them


def complete(parser: argparse.ArgumentParser) -> None:
    """Print what may follow the words of the command line so far, and end the program; nothing without `argcomplete`.

    Args:
        parser: of all commands.
    """
    with suppress(ImportError):
        import argcomplete

        attach(parser, argcomplete.FilesCompleter())
        argcomplete.autocomplete(parser)


def attach(parser: argparse.ArgumentParser, files: Callable[..., Sequence[str]]) -> None:
    """Give the arguments of all commands that take names of pictures or of networks a function that completes them.

    Args:
        parser: of all commands, or of one.
        files: completes the names of files.
    """
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                attach(command, files)
        elif names := names_for(action.dest, action.metavar):
            action.completer = _both(names, files)  # type: ignore[attr-defined]


def names_for(argument: str, metavar: Any = None) -> Callable[[], list[str]] | None:
    """What lists the names that an argument takes, or None if it takes none.

    >>> names_for("model") is model_names, names_for("steps") is None
    (True, True)
    """
    if argument == "model" or (argument == "start" and metavar == "MODEL"):
        return model_names
    return picture_names if argument in _PICTURES else None


def picture_names() -> list[str]:
    """The names of the project's own pictures; none if this copy of the package has no pictures."""
    with suppress(ImageError):
        return sample_names()
    return []


def model_names() -> list[str]:
    """The names of the networks that come with the package."""
    return sorted({file.stem for place in data_places("models") for file in place.glob("*.safetensors")})


def _both(names: Callable[[], list[str]], files: Callable[..., Sequence[str]]) -> Callable[..., list[str]]:
    def completer(prefix: str = "", **more: Any) -> list[str]:
        return [name for name in names() if name.startswith(prefix)] + list(files(prefix, **more))

    return completer
