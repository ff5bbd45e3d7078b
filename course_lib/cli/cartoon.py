"""``cartoon``: draw photos as cartoons by a filter, for pictures to train with or to compare with."""

from __future__ import annotations

import argparse
import time
from typing import Any

from course_lib import arguments
from course_lib.cli.arguments import add_command, add_pictures, add_results, number, positive

_NUMBERS = ("colors", "smooth", "line", "ink")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "draw photos as cartoons by a filter: flat colors and dark lines (Winnemöller et al., 2012)"
    command = add_command(commands, "cartoon", run, text, "--size")
    add_pictures(command, "IN", "the photos")
    add_results(command, "cartoon")
    command.add_argument(
        "--colors", type=positive, default=10, metavar="N", help="colors of each cartoon (default: 10)"
    )
    command.add_argument(
        "--smooth", type=number, default=1.0, metavar="X",
        help="blur in pixels before the colors are chosen; more gives larger areas, 0 blurs nothing (default: 1)",
    )  # fmt: skip
    command.add_argument(
        "--line", type=number, default=0.7, metavar="X", help="width of the lines in pixels, above 0 (default: 0.7)"
    )
    command.add_argument(
        "--ink", type=number, default=1.0, metavar="X", help="from 0, no lines, to 1, black ones (default: 1)"
    )
    command.add_argument("--size", type=positive, metavar="N", help="long side in pixels (default: that of IN)")


def run(options: argparse.Namespace) -> int:
    """Draw pictures by `data.cartoon.cartoon`; transparency is kept.

    Raises:
        ValueError: a number out of range.
    """
    from course_lib.cli import batch
    from course_lib.data.cartoon import cartoon

    arguments.nonnegative("smooth", options.smooth)
    arguments.positive("line", options.line)
    arguments.fraction("ink", options.ink)
    work = batch.plan_for(options, options.pictures, "cartoon")
    numbers = {name: getattr(options, name) for name in _NUMBERS}

    def draw(job: batch.Job, picture: batch.Picture) -> batch.Made:
        image, alpha = picture
        height, width = image.shape[-2:]
        batch.check(job, height, width)
        began = time.perf_counter()
        drawn = cartoon(image, **numbers)
        seconds = time.perf_counter() - began
        about = {"seconds": seconds, "settings": numbers}
        return batch.Made(drawn, alpha, f"{width} × {height} px in {seconds:.1f} s", about)

    return batch.run(work, draw, options, load=lambda job: batch.load(job, options.size))
