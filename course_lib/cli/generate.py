"""``generate``: make pictures from noise with a trained generator: each in a file, on one sheet, or as a walk."""

from __future__ import annotations

import argparse
import re
from typing import Any

from course_lib import arguments
from course_lib.cli.arguments import add_command, add_device, add_output, positive

KINDS = ("stylegan", "gan")  # methods whose models make pictures from noise
STEPS = 300  # of the search for the picture of --like
_MOST = 10_000  # pictures


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "make pictures from noise with a trained generator (Goodfellow et al., 2014; Karras et al., 2019, 2020)"
    generate = add_command(commands, "generate", run, text, "--count or --size")
    add_output(
        generate,
        "where to save: a folder; for one picture or --grid, a file (.png, .jpg, .webp); for --walk, .webp or .gif",
    )
    generate.add_argument("--model", required=True, help="a trained generator: a file, or a name that `models` lists")
    generate.add_argument(
        "--count", type=positive, default=16, metavar="N", help="how many pictures, at most 10,000 (default: 16)"
    )
    generate.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the noise (default: 0)")
    generate.add_argument(
        "--truncation", type=float, metavar="X",
        help="pull the styles toward their mean: 1 leaves them as they are, 0 makes every picture the mean one "
        "(default: 0.7)",
    )  # fmt: skip
    generate.add_argument(
        "--mix", type=int, metavar="SEED",
        help="give all pictures some styles of another one, the first that this seed makes (default: off)",
    )  # fmt: skip
    generate.add_argument(
        "--mix-sizes", type=_sizes, metavar="A-B",
        help="with --mix: the sizes in pixels of the feature maps at which the other picture decides: 4-8 for what is "
        "where, 16 up to the generator's own size for colors (default: 4-8)",
    )  # fmt: skip
    generate.add_argument(
        "--like", metavar="PICTURE",
        help=f"make the first picture as much like this one as the generator can, by a search of {STEPS} steps "
        "(default: off)",
    )  # fmt: skip
    ways = generate.add_mutually_exclusive_group()
    ways.add_argument("--grid", action="store_true", help="all pictures on one sheet")
    ways.add_argument(
        "--walk", type=positive, metavar="N",
        help="an animation from each picture to the next, N frames each, and from the last back to the first "
        "(default: off)",
    )  # fmt: skip
    generate.add_argument(
        "--size", type=positive, metavar="N", help="side of each picture in pixels (default: that of the generator)"
    )
    add_device(generate)


def run(options: argparse.Namespace) -> int:
    """Make pictures from noise with a trained generator of StyleGAN or of a GAN.

    Raises:
        ValueError: a number out of range, an option that has no effect with this model, or an output of another kind
            than the pictures need.
        MemoryError: a sheet or an animation that does not fit into the memory.
    """
    _check(options)
    from course_lib.cli.pictures_from_noise import make_pictures

    return make_pictures(options)


def _check(options: argparse.Namespace) -> None:
    """What can be refused before the model is read."""
    arguments.whole("count", options.count, 1, _MOST)
    arguments.seed(options.seed)
    if options.truncation is not None:
        arguments.nonnegative("truncation", options.truncation)
    if options.mix is not None:
        arguments.seed(options.mix, "mix")
    elif options.mix_sizes:
        raise ValueError("--mix-sizes has no effect without --mix; leave it out, or name another picture with --mix")
    if options.walk and options.count == 1:
        raise ValueError("a walk leads from one picture to another; give --count at least 2")


def _sizes(text: str) -> tuple[int, int]:
    """Parse the two sizes of ``--mix-sizes``."""
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected two sizes in pixels such as 4-8, got {text!r}")
    return int(found[1]), int(found[2])
