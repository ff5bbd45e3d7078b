"""``translate``: turn a picture of one domain into one of another with a trained generator."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.cli import batch
from course_lib.cli.arguments import add_command, add_device, add_output, add_pictures, positive
from course_lib.cli.terminal import say
from course_lib.cli.trained import load_for
from course_lib.data.pairs import nearest
from course_lib.data.sketch import pencil
from course_lib.images import load_image, resize, resized_shape
from course_lib.methods.cyclegan import DIRECTIONS

BOTH_WAYS = ("cyclegan",)  # methods whose models hold a generator for each direction
_MAP_COLORS = 32  # a label map has fewer, a photograph thousands
_FAR = 2  # times the generator's own side: in larger pictures its details look too small


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "translate pictures with a trained generator (Isola et al., 2017; Zhu et al., 2017)"
    translate = add_command(commands, "translate", run, text, "--size")
    add_pictures(translate, "IN", "the label maps, sketches or photos")
    add_output(translate, "where to save (.png, .jpg, .webp); for several pictures, a folder")
    translate.add_argument("--model", required=True, help="a trained generator: a file, or a name that `models` lists")
    translate.add_argument(
        "--direction", choices=DIRECTIONS,
        help="from A to B or from B to A, of a model trained without pairs (default: AB)",
    )  # fmt: skip
    translate.add_argument("--pencil", action="store_true", help="IN is a photo: turn it into a sketch first")
    translate.add_argument(
        "--size", type=positive, metavar="N",
        help="long side of the result in pixels (default: that of IN). The generator paints windows and doors at the "
        "size that it learned, so one to two times its own size is best: 128 to 256 for those of the package",
    )  # fmt: skip
    add_device(translate)
    translate.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="random seed of the dropout, of a model trained with pairs (default: 0)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Translate pictures with a trained generator of pix2pix or CycleGAN; size and aspect ratio are kept.

    Raises:
        ValueError: a direction for a generator that was trained with pairs, which has only one.
    """
    work = batch.plan(options.pictures, options.output, recursive=options.recursive)
    method, model = load_for("translate", options.model)
    both_ways = method.KIND in BOTH_WAYS
    if options.direction and not both_ways:
        raise ValueError(
            f"{options.model} is a {method.KIND} model, which translates in one direction only; leave out --direction"
        )
    side, stretch = model.config.image_size, getattr(model.config, "aspect_ratio", 1.0)
    large: list[Path] = []  # results much larger than what the generator learned

    def paint(job: batch.Job) -> str:
        given = load_image(job.source)  # on white: the paper of a sketch may be transparent
        size = resized_shape(given, options.size) if options.size else (given.shape[-2], given.shape[-1])
        batch.check(job, *size)
        is_map = not options.pencil and _is_label_map(given)
        # a generator of squeezed pairs stretches what it paints: it gets the picture squeezed
        squeezed = (size[0], max(1, round(size[1] / stretch)))
        image = _resized(given, squeezed, is_map)
        if options.pencil:
            image = pencil(image)
        more: dict[str, Any] = {"direction": options.direction or DIRECTIONS[0]}
        if not both_ways:
            more = {"padding": "replicate" if is_map else "reflect", "seed": options.seed}
        result = method.translate(image, model, device=options.device, **more)
        batch.save(job, _resized(result.image, size), None)
        if options.size is None and min(size) > _FAR * side:
            large.append(job.target)
        return f"{job.target}: {size[1]} × {size[0]} px in {result.history['seconds'][-1]:.1f} s"

    code = batch.run(work, paint, options)
    if large:
        others = f" and {len(large) - 1} others" * (len(large) > 1)
        say(
            f"the generator learned from pictures of {side} × {side} px, so its details are small in "
            f"{large[0]}{others}; try --size {_FAR * side}"
        )
    return code


def _resized(image: Tensor, size: tuple[int, int], is_map: bool = False) -> Tensor:
    """The picture in a size; the colors of a label map are not mixed."""
    if tuple(image.shape[-2:]) == size:
        return image
    return nearest(image, size) if is_map else resize(image, size)


def _is_label_map(image: Tensor) -> bool:
    """Whether a picture (1, 3, H, W) has few colors; of a large one, some 500 × 500 pixels are counted first."""
    step = max(1, max(image.shape[-2:]) // 500)
    for part in (image[..., ::step, ::step], image):
        levels = part[0].mul(255).round().to(torch.int32)  # (3, H, W)
        if len((levels[0] * 65_536 + levels[1] * 256 + levels[2]).unique()) > _MAP_COLORS:
            return False
    return True
