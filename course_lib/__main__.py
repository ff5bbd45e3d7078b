"""The command line: ``python -m course_lib COMMAND``. Each command is a module of `course_lib.cli`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from course_lib import __version__

# Modules of course_lib.cli. They import PyTorch, so they are imported where Ctrl-C is caught.
COMMANDS = (
    "fetch", "stylize", "train_style", "upscale", "translate", "train_translation", "cartoon", "generate", "models",
    "ledger", "grade",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line; None: ``sys.argv``.

    Returns:
        The exit code: 0 for success, 1 if some of several pictures failed, 2 for an error (one sentence on standard
        error), 130 for Ctrl-C.
    """
    try:
        from course_lib.cli.terminal import show_any_letter

        show_any_letter()
        return _run(parsed(arguments))
    except KeyboardInterrupt:
        print("course_lib: stopped.", file=sys.stderr)
        return 130


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; one of them, ``run``, is the function that runs the command.

    A ``~`` at the beginning of a word becomes the home folder. A shell replaces it in ``~/a.png``, but not in
    ``--model=~/a.safetensors`` or in quotes.
    """
    asked = parser()
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
    whole = argparse.ArgumentParser(prog="python -m course_lib", description="Neural style transfer.")
    whole.add_argument("--version", action="version", version=f"course_lib {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        import_module(f"course_lib.cli.{command}").add(commands)
    return whole


def _run(options: argparse.Namespace) -> int:
    from course_lib.cli.terminal import in_options, no_reader, out_of_memory, say, what_happened
    from course_lib.pretrained.weights import WeightsError

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
        except (WeightsError, ValueError, MemoryError, OSError) as error:
            say(in_options(what_happened(error), options))
            return 2
        except RuntimeError as error:
            if (reason := out_of_memory(error)) is None:
                raise
            say(f"{reason}; try a smaller {options.relief}")
            return 2


if __name__ == "__main__":
    sys.exit(main())
