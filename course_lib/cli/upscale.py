"""``upscale``: enlarge a picture by the factor of a trained network."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import add_command, add_device, add_output, positive
from course_lib.cli.trained import load_for
from course_lib.images import check_writable, load_image, save_image


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "enlarge a picture with a trained network (Johnson et al., 2016, super-resolution)"
    upscale = add_command(commands, "upscale", run, text, "--tile")
    upscale.add_argument("image", metavar="IN", help="the picture: a file")
    add_output(upscale, "where to save (.png, .jpg, .webp)")
    upscale.add_argument("--model", required=True, help="a trained network: a file, or a name that `models` lists")
    upscale.add_argument("--tile", type=positive, metavar="N", help="compute in tiles of N px of IN")
    add_device(upscale)


def run(options: argparse.Namespace) -> None:
    """Enlarge a picture by the factor of a trained network."""
    check_writable(options.output)
    method, model = load_for("upscale", options.model)
    image = load_image(options.image)
    result = method.upscale(image, model, tile=options.tile, device=options.device)
    save_image(result.image, options.output)
    height, width = result.image.shape[-2:]
    print(f"{options.output}: {width} × {height} px in {result.history['seconds'][-1]:.1f} s")
