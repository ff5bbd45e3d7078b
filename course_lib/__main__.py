"""The command line, ``paint COMMAND`` or ``python -m course_lib COMMAND``: a command is a module of `course_lib.cli`.

The modules of the commands declare their options without PyTorch, which takes seconds to import; what runs a command
imports what it needs. So ``--help``, a mistake in an option and the completion of a word answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from course_lib import __version__

# Modules of course_lib.cli, in the order of --help and of the page about them.
COMMANDS = (
    "stylize", "train_style", "upscale", "train_upscale", "translate", "train_translation", "cartoon", "video",
    "generate", "models", "fetch", "ledger", "grade",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line; None: ``sys.argv``.

    Returns:
        The exit code: 0 for success, 1 if some of several pictures failed, 2 for an error (one sentence on standard
        error), 130 for Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        from course_lib.cli.terminal import complain, show_any_letter, voice

        show_any_letter()
        with voice(quiet="--quiet" in words, json="--json" in words):
            options = parsed(words)
        with voice(quiet=options.quiet, json=options.json):
            try:
                return _run(options)
            except KeyboardInterrupt:
                complain("stopped.", code=130)
                return 130
    except KeyboardInterrupt:
        print("course_lib: stopped.", file=sys.stderr)
        return 130


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; one of them, ``run``, is the function that runs the command.

    A ``~`` at the beginning of a word becomes the home folder. A shell replaces it in ``~/a.png``, but not in
    ``--model=~/a.safetensors`` or in quotes.
    """
    asked = parser()
    if "_ARGCOMPLETE" in os.environ:
        from course_lib.cli.completion import complete

        complete(asked)
    options, left = asked.parse_known_args(arguments)
    if left and hasattr(options, "pictures") and not any(word.startswith("-") for word in left):
        options.pictures += left  # argparse ends a list of words at the first option: IN -o OUT MORE
    elif left:
        asked.error(f"unrecognized arguments: {' '.join(left)}")
    for name, value in vars(options).items():
        if isinstance(value, str):
            setattr(options, name, os.path.expanduser(value))
        elif isinstance(value, list):
            setattr(options, name, [os.path.expanduser(word) if isinstance(word, str) else word for word in value])
    return options


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    called = Path(sys.argv[0]).stem
    whole = Parser(
        prog=called if called in ("paint", "course_lib") else "python -m course_lib",
        description="Neural style transfer and image translation.",
        epilog="COMMAND --help lists the options of a command. Exit codes: 0 done, 1 some of several pictures failed, "
        "2 an error, 130 stopped by Ctrl-C.",
    )
    whole.add_argument(
        "--version", action="version", version=f"course_lib {__version__}", help="print the version and end"
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        import_module(f"course_lib.cli.{command}").add(commands)
    return whole


class Parser(argparse.ArgumentParser):
    """A parser whose errors are also JSON, if ``--json`` asks for that."""

    def error(self, message: str) -> NoReturn:
        from course_lib.cli.terminal import report

        report("", error=message, exit=2)
        super().error(message)


def _run(options: argparse.Namespace) -> int:
    from course_lib.cli.terminal import complain, in_options, no_reader, out_of_memory, say, what_happened

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # on damage inside a file; our own errors say what is lost
        warnings.showwarning = lambda message, *_, **__: say(in_options(str(message), options))
        try:
            code = options.run(options)
            sys.stdout.flush()
            return code or 0
        except BrokenPipeError:
            no_reader()
            return 0
        except (ValueError, MemoryError, OSError) as error:
            complain(in_options(what_happened(error), options), code=2)
            return 2
        except ModuleNotFoundError as error:
            if (error.name or "course_lib").startswith("course_lib"):
                raise
            complain(f"the package {error.name} is not installed; install it, or course_lib again", code=2)
            return 2
        except RuntimeError as error:
            from course_lib.pretrained.weights import WeightsError  # here: it imports PyTorch

            if isinstance(error, WeightsError):
                complain(in_options(what_happened(error), options), code=2)
                return 2
            if (reason := out_of_memory(error)) is None:
                raise
            complain(f"{reason}; try a smaller {options.relief}", code=2)
            return 2


if __name__ == "__main__":
    sys.exit(main())
