"""Arguments and messages that the commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], text: str, relief: str = "--size"
) -> Any:
    """Declare one command.

    Args:
        commands: the subparsers of `argparse`.
        name: the command's name on the command line.
        run: the function to call with the parsed options.
        text: one line of help.
        relief: the option to reduce if the memory is too small, for the error message.

    Returns:
        The command's parser.
    """
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run, relief=relief)
    return command


def add_output(command: Any, text: str) -> None:
    """Declare ``-o OUT``, which is required."""
    command.add_argument("-o", "--output", required=True, metavar="OUT", help=text)


def add_device(command: Any) -> None:
    """Declare ``--device``."""
    command.add_argument("--device", default="auto", help="auto, cuda, mps, xpu or cpu (default: auto)")


def positive(text: str) -> int:
    """Parse an argument that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given, by name; for the others the method's defaults apply."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def size_of(count: int) -> str:
    """Format a number of bytes: ``"1.6 MB"``, ``"480 kB"``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Format a number of seconds: ``"12.5 s"``, ``"3 min"``."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def say(text: str) -> None:
    """Print one line to standard error, which keeps it apart from results."""
    print(f"course_lib: {text}", file=sys.stderr)
