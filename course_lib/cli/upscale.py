"""``upscale``: enlarge a picture by the factor of a trained network."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import add_command, add_device, add_output, add_pictures, add_tile


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "enlarge pictures with a trained network (Johnson et al., 2016, super-resolution)"
    upscale = add_command(commands, "upscale", run, text, "--tile")
    add_pictures(upscale, "IN", "the pictures")
    add_output(upscale, "where to save (.png, .jpg, .webp); for several pictures, a folder")
    upscale.add_argument("--model", required=True, help="a trained network: a file, or a name that `models` lists")
    add_tile(upscale, "192")
    add_device(upscale)


def run(options: argparse.Namespace) -> int:
    """Enlarge pictures by the factor of a trained network."""
    from course_lib.cli import batch
    from course_lib.cli.trained import load_for
    from course_lib.images import resample

    work = batch.plan(options.pictures, options.output, recursive=options.recursive)
    method, model = load_for("upscale", options.model)

    def enlarge(job: batch.Job) -> str:
        image, alpha = batch.load(job)
        batch.check(job, *(model.config.factor * side for side in image.shape[-2:]))
        result = method.upscale(image, model, tile=options.tile, device=options.device)
        height, width = result.image.shape[-2:]
        batch.save(job, result.image, None if alpha is None else resample(alpha, height, width))
        return f"{job.target}: {width} × {height} px in {result.history['seconds'][-1]:.1f} s"

    return batch.run(work, enlarge, options)
