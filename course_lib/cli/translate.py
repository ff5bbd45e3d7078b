"""``translate``: turn a label map or a sketch into a picture with a trained generator."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import add_command, add_device, add_output, positive
from course_lib.cli.trained import load_for
from course_lib.data.pairs import nearest
from course_lib.data.sketch import pencil
from course_lib.images import check_writable, load_image, resize, save_image

_MAP_COLORS = 32  # a label map has fewer, a photograph thousands


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "turn a label map or a sketch into a picture with a trained generator (Isola et al., 2017)"
    translate = add_command(commands, "translate", run, text, "--size")
    translate.add_argument("image", metavar="IN", help="the label map or the sketch: a file")
    add_output(translate, "where to save (.png, .jpg, .webp)")
    translate.add_argument("--model", required=True, help="a trained generator: a file, or a name that `models` lists")
    translate.add_argument("--pencil", action="store_true", help="IN is a photo: turn it into a sketch first")
    translate.add_argument(
        "--size", type=positive, metavar="N", help="long side in pixels, rounded to a multiple of the generator's size"
    )
    add_device(translate)
    translate.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the dropout (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Turn a label map or a sketch into a picture with a trained pix2pix generator."""
    check_writable(options.output)
    method, model = load_for("translate", options.model)
    image = load_image(options.image)
    side = model.config.image_size
    scale = (options.size or side) / max(image.shape[-2:])
    height, width = (side * max(1, round(scale * length / side)) for length in image.shape[-2:])
    if options.pencil:
        image = pencil(resize(image, (height, width)))
    elif len(image.mul(255).round().flatten(2)[0].unique(dim=1).T) <= _MAP_COLORS:  # a label map: do not mix its colors
        image = nearest(image, (height, width))
    else:
        image = resize(image, (height, width))
    result = method.translate(image, model, seed=options.seed, device=options.device)
    save_image(result.image, options.output)
    height, width = result.image.shape[-2:]
    print(f"{options.output}: {width} × {height} px in {result.history['seconds'][-1]:.1f} s")
