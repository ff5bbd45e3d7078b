"""What the commands' arguments have in common, and how a command speaks."""

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
        commands: what `argparse` calls subparsers.
        name: the word on the command line.
        run: takes the parsed options.
        text: one line of help.
        relief: the option to make smaller where the memory is too small.

    Returns:
        The command's own parser.
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
    """An argument that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given, by name; the others are left to the method's defaults."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def size_of(count: int) -> str:
    """Bytes for a reader: ``"1.6 MB"``, ``"480 kB"``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Seconds for a reader: ``"12.5 s"``, ``"3 min"``."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def say(text: str) -> None:
    """One line on standard error, where it does not mix with results."""
    print(f"course_lib: {text}", file=sys.stderr)
