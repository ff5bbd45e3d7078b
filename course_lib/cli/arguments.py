"""Arguments that the commands share, and how their values are read and written."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from course_lib import __version__, arguments
from course_lib.image_checks import ImageError
from course_lib.picture_files import as_path, did_you_mean
from course_lib.samples import sample_names, sample_path


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str, relief: str = "--size"
) -> Any:
    """Declare one command.

    Args:
        commands: the subparsers of `argparse`.
        name: the command's name on the command line.
        run: the function to call with the parsed options; it returns the exit code, None for 0.
        text: one line of help.
        relief: the option to reduce if the memory is too small, for the error message.

    Returns:
        The command's parser.
    """
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run, relief=relief)
    common = command.add_argument_group("options of every command")
    common.add_argument("--quiet", action="store_true", help="print errors only, and the lists that were asked for")
    common.add_argument(
        "--json", action="store_true", help="print results and errors as JSON for programs, one object a line"
    )
    common.add_argument(
        "--version", action="version", version=f"course_lib {__version__}", help="print the version and end"
    )
    return command


def add_pictures(command: Any, name: str, text: str, *, least: int = 1) -> None:
    """Declare the pictures to work on, one or more, and ``--recursive``; `batch.plan` reads both.

    Args:
        name: what the usage line calls them, for example ``"IN"``.
        text: what they are; the help adds that each may be a file, a folder or a pattern.
        least: 1, or 0 if the command can do without.
    """
    command.add_argument(
        "pictures", nargs="+" if least else "*", metavar=name,
        help=f"{text}: files, folders of pictures, quoted patterns ('*.jpg'), or names of the project's own pictures",
    )  # fmt: skip
    command.add_argument("--recursive", action="store_true", help="also the pictures in subfolders")


def add_output(command: Any, text: str) -> None:
    """Declare ``-o OUT``, which is required."""
    command.add_argument("-o", "--output", required=True, metavar="OUT", help=text)


def add_results(command: Any, what: str) -> None:
    """Declare ``-o`` and how pictures are written, for a command that turns pictures into pictures; see `batch.plan`.

    Args:
        what: the end of the name of a result without ``-o``, for the help.
    """
    command.add_argument(
        "-o", "--output", metavar="OUT",
        help="where to save (.png, .jpg, .webp, .tif); for several pictures, a folder (default: a new name in the "
        f"working folder that ends in {what})",
    )  # fmt: skip
    command.add_argument(
        "--format", choices=("png", "jpg", "webp", "tif"),
        help="of the results (default: as -o says, in a folder that of each picture; png without -o)",
    )  # fmt: skip
    command.add_argument("--quality", type=positive, metavar="N", help="1 to 100, of JPEG and WebP (default: 95)")
    command.add_argument("--bits", type=int, choices=(8, 16), help="of each color; PNG and TIFF hold 16 (default: 8)")
    command.add_argument("--skip-existing", action="store_true", help="leave results alone that are there already")


def add_device(command: Any) -> None:
    """Declare ``--device``."""
    command.add_argument("--device", default="auto", help="auto, cuda, mps, xpu or cpu (default: auto)")


def add_precision(command: Any) -> None:
    """Declare ``--precision``."""
    command.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"),
        help="number format of the convolutions; auto: the faster one on this device (default: auto)",
    )  # fmt: skip


def add_tile(command: Any, default: str) -> None:
    """Declare ``--tile``; `default` says what happens without it."""
    command.add_argument(
        "--tile", type=positive, metavar="N", help=f"compute in parts of N px, for less memory (default: {default})"
    )


def positive(text: str) -> int:
    """Parse an argument that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def number(text: str) -> float:
    """Parse a number; the command checks its range."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}; put pictures before this option") from None


def picture_file(word: str) -> Path:
    """The file that a word means: a path, or the name of one of the project's own pictures (``great_wave``).

    A file of that name comes first. What does not exist and looks like a path is returned as it is; `load_image` says
    what is wrong with it.

    Raises:
        ImageError: neither a file nor a picture of the project, and no path; an empty word.
    """
    if not word.strip():
        raise ImageError("one of the words for pictures is empty; give a file, a folder, or the name of a picture")
    path, names = as_path(word), []
    with suppress(ImageError):  # a copy of the package without pictures
        names = sample_names()
    if os.path.lexists(path):
        return path
    if word in names:
        return sample_path(word)
    if path.suffix or len(path.parts) > 1:
        return path
    near = did_you_mean(word, names) or f" Its paintings are {', '.join(sample_names('style'))}." * bool(names)
    raise ImageError(f"there is no file {word}, and no picture of the project has that name.{near}")


def weighted(word: str, names: Collection[str] = ()) -> tuple[str, float | None]:
    """A style and its weight, from ``b.jpg:2``; None without one.

    A file or a name that has the colon itself comes first, and so does a drive of Windows.

    Args:
        word: of the command line.
        names: of the styles that a network has learned.

    >>> weighted("b.jpg:2"), weighted("b.jpg"), weighted(r"C:\\b.jpg"), weighted("night:7", ["night:7"])
    (('b.jpg', 2.0), ('b.jpg', None), ('C:\\\\b.jpg', None), ('night:7', None))
    """
    style, colon, text = word.rpartition(":")
    known = not colon or not style or word in names or os.path.lexists(os.path.expanduser(word))
    with suppress(ValueError):
        if not known and not (len(style) == 1 and style not in names and not os.path.lexists(style)):
            return style, float(text)
    return word, None


def model_stem(model: str) -> str:
    """What the results of a model are called: its name, or that of its file without the suffix.

    >>> model_stem("great_wave"), model_stem("mine/wave.safetensors")
    ('great_wave', 'wave')
    """
    return Path(model).stem


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given, by name; for the others the method's defaults apply."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def style_shares(options: argparse.Namespace, styles: Sequence[str]) -> list[float] | None:
    """The numbers of ``--weights``, one for each style; None without the option.

    Raises:
        ValueError: the wrong count, a negative or infinite number, only zeros, or a single style.
    """
    weights: list[float] | None = options.weights
    if weights is None:
        return None
    if len(styles) == 1:
        raise ValueError("--weights has no effect with a single style; leave it out, or add styles with --style")
    if len(weights) != len(styles):
        raise ValueError(
            f"--weights needs a number for each of the {len(styles)} styles ({', '.join(styles)}), got {len(weights)}"
        )
    for weight in weights:
        arguments.nonnegative("weights", weight)
    if not 0 < sum(weights) < float("inf"):
        raise ValueError(f"the numbers of --weights must have a finite sum above 0, got {sum(weights):g}")
    return weights


def size_of(count: int) -> str:
    """Format a number of bytes: ``"1.6 MB"``, ``"480 kB"``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Format a number of seconds: ``"12.5 s"``, ``"3 min"``."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
