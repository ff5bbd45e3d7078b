"""The command line: ``python -m course_lib COMMAND``. Each command is a module of `course_lib.cli`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from course_lib.cli import fetch, grade, ledger, models, stylize, train_style, translate, upscale
from course_lib.pretrained.weights import WeightsError

COMMANDS = (fetch, stylize, train_style, upscale, translate, models, ledger, grade)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line; None: ``sys.argv``.

    Returns:
        The exit code: 0 for success, 2 for an error (one sentence on standard error), 130 for Ctrl-C.
    """
    options = parsed(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            options.run(options)
        except (WeightsError, ValueError, MemoryError, OSError) as error:
            print(f"course_lib: {error}", file=sys.stderr)
            return 2
        except RuntimeError as error:
            if "memory" not in str(error):  # the message differs between devices
                raise
            reason = str(error).splitlines()[0]
            print(f"course_lib: the memory is too small ({reason}); try a smaller {options.relief}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("course_lib: stopped.", file=sys.stderr)
            return 130
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line, ``run`` among them: the function that runs the command."""
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    if left and getattr(options, "style", "") is None and not left[0].startswith("-"):
        options.style = left.pop(0)  # older versions of argparse miss a STYLE that comes after an option
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course_lib", description="Neural style transfer.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"course_lib: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
