"""``video``: paint a video frame by frame, with a network, and copy its sound."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from course_lib.cli.arguments import add_command, add_device, add_precision, add_tile, number, positive
from course_lib.cli.words import BLEND, PRESETS


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "paint a video with a network, frame by frame, and keep its sound (Huang et al., 2017; Ruder et al., 2016)"
    command = add_command(commands, "video", run, text, "--size or --tile")
    command.add_argument(
        "video", metavar="IN", help="a video, an animation (.gif, .webp, .apng), or a folder of frames"
    )
    command.add_argument(
        "-o", "--output", metavar="OUT",
        help="where to save: a video (.mp4, .mov, .mkv, .webm), an animation (.gif, .webp, .apng), or without a suffix "
        "a folder of frames (default: an .mp4 in the working folder, named after IN and the painting)",
    )  # fmt: skip
    command.add_argument("--model", help="a trained network: a file, or a name that `models` lists (default: none)")
    command.add_argument(
        "--style", action="append", metavar="STYLE",
        help="a painting, for AdaIN; with a --model of several paintings: the name of one; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--weights", type=number, nargs="+", metavar="W", help="the share of each style, in order (default: equal)"
    )
    command.add_argument(
        "--alpha", type=number, metavar="X", help="with AdaIN: the strength of the style, from 0 to 1 (default: 1)"
    )
    command.add_argument(
        "--stable", type=number, nargs="?", const=BLEND, metavar="B",
        help="blend each painted frame with the one before, moved along the estimated motion, to calm a painter that "
        f"flickers; B, from 0 to 1, is the share of the one before, {BLEND:g} if left out (default: off)",
    )  # fmt: skip
    command.add_argument(
        "--flow", choices=PRESETS, help="with --stable: how exactly the motion is estimated (default: fast)"
    )
    command.add_argument("--size", type=positive, metavar="N", help="long side in pixels (default: that of IN)")
    command.add_argument("--start", type=number, metavar="S", help="begin at S seconds of IN (default: its beginning)")
    command.add_argument("--stop", type=number, metavar="S", help="end at S seconds of IN (default: its end)")
    command.add_argument(
        "--rate", type=number, metavar="N", help="frames a second of a folder (default: what it notes, else 25)"
    )
    command.add_argument(
        "--quality", type=positive, metavar="N",
        help="1, the smallest file, to 100 (default: 65 for videos, 80 for .webp)",
    )  # fmt: skip
    command.add_argument("--no-sound", action="store_true", help="leave the sound of IN out")
    command.add_argument("--resume", action="store_true", help="continue a folder of frames; those that are there stay")
    add_tile(command, "384, or 512 with AdaIN, if one piece does not fit")
    add_precision(command)
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Paint a video; what was done before Ctrl-C or an error can be played.

    Raises:
        ValueError: options that do not fit together, or a file that cannot be read or written.
    """
    from course_lib.cli import frame_painters, video_run

    _check(options)
    painter = frame_painters.chosen(options)
    output = Path(options.output or f"{Path(options.video).stem}_{painter.name}.mp4")
    return video_run.run(options, painter, output)


def _check(options: argparse.Namespace) -> None:
    """Refuse what has no effect, and what is missing, before anything is loaded.

    Raises:
        ValueError: says what to change.
    """
    if options.output is not None and not options.output.strip():
        raise ValueError("the word after -o is empty; name the file or the folder for the result")
    if options.model is None and not options.style:
        raise ValueError("no style was given; give a trained network (--model) or a painting (--style)")
    if options.flow is not None and options.stable is None:
        raise ValueError("--flow has no effect without --stable; add it, or leave --flow out")
    if options.resume and (options.output is None or Path(options.output).suffix):
        raise ValueError("--resume continues a folder of frames; give a name without a suffix after -o")
