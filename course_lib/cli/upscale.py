"""``upscale``: enlarge a picture by the factor of a trained network."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import (
    add_command,
    add_device,
    add_pictures,
    add_precision,
    add_results,
    add_tile,
    given,
    model_stem,
)


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "enlarge pictures with a trained network (Johnson et al., 2016, super-resolution)"
    upscale = add_command(commands, "upscale", run, text, "--tile")
    add_pictures(upscale, "IN", "the pictures")
    add_results(upscale, "the name of the model")
    upscale.add_argument("--model", required=True, help="a trained network: a file, or a name that `models` lists")
    add_tile(upscale, "192")
    add_precision(upscale)
    add_device(upscale)


def run(options: argparse.Namespace) -> int:
    """Enlarge pictures by the factor of a trained network."""
    from course_lib.cli import batch
    from course_lib.cli.trained import load_for
    from course_lib.images import resample

    work = batch.plan_for(options, options.pictures, model_stem(options.model))
    method, model = load_for("upscale", options.model)

    def enlarge(job: batch.Job, picture: batch.Picture) -> batch.Made:
        image, alpha = picture
        batch.check(job, *(model.config.factor * side for side in image.shape[-2:]))
        with batch.tiles_bar(job) as watch:
            result = method.upscale(
                image, model, callback=watch, device=options.device, **given(options, "tile", "precision")
            )
        height, width = result.image.shape[-2:]
        opacity = None if alpha is None else resample(alpha, height, width)
        seconds = result.history["seconds"][-1]
        about = {"seconds": seconds, "model": options.model, "factor": model.config.factor}
        return batch.Made(result.image, opacity, f"{width} × {height} px in {seconds:.1f} s", about)

    return batch.run(work, enlarge, options, load=batch.load)
