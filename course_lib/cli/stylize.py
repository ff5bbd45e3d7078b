"""``stylize``: paint a photo like any painting by optimization, or in one pass of a network trained for a painting."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.std import tqdm

from course_lib.cli import batch
from course_lib.cli.arguments import (
    add_command,
    add_device,
    add_output,
    add_pictures,
    add_tile,
    given,
    picture_file,
    positive,
)
from course_lib.cli.terminal import in_options, say
from course_lib.cli.trained import load_for
from course_lib.images import FORMATS, load_image
from course_lib.methods import gatys
from course_lib.runtime import Progress

_GATYS_ONLY = ("steps", "style_weight", "start", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "paint a photo in the style of a painting (Gatys et al., 2016), or in one pass of a trained network"
    stylize = add_command(commands, "stylize", run, text, "--size or --tile")
    stylize.usage = (
        "python -m course_lib stylize CONTENT... STYLE -o OUT [options]\n"
        "       python -m course_lib stylize CONTENT... --model MODEL -o OUT [options]"
    )
    add_pictures(stylize, "CONTENT... STYLE", "the photos, then the painting (none with --model)")
    add_output(stylize, "where to save (.png, .jpg, .webp); for several photos, a folder")
    stylize.add_argument("--model", help="a trained network: a file, or a name that `models` lists (default: none)")
    stylize.add_argument(
        "--size", type=positive, metavar="N", help="long side in pixels (default: 256; with --model the photo's own)"
    )
    add_tile(stylize, "384 if one piece does not fit")
    stylize.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="loss evaluations at the final size; twice as many at each smaller one before it (default: 60)",
    )
    stylize.add_argument(
        "--style-weight", type=float, metavar="X",
        help="higher: closer to the painting; lower: closer to the photo "
        f"(default: {gatys.Config.fast().style_weight:g})",
    )  # fmt: skip
    stylize.add_argument(
        "--start", choices=("noise", "content", "style", "mixed"), help="the first picture (default: content)"
    )
    add_device(stylize)
    stylize.add_argument("--seed", type=int, metavar="N", help="random seed of the noise (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Paint photos like any painting by optimization, or in one pass of a network trained for a painting."""
    contents, style = _contents_and_style(options)
    unused = ("tile",) if options.model is None else _GATYS_ONLY
    for name in unused:
        if getattr(options, name) is not None:
            word, other = name.replace("_", "-"), "without" if options.model is None else "with"
            raise ValueError(f"--{word} has no effect {other} --model; leave it out")
    work = batch.plan(contents, options.output, recursive=options.recursive, others=[style] if style else [])
    if style is None:
        return batch.run(work, _in_one_pass(options), options)
    config, painting = configuration(options), load_image(style)
    return batch.run(work, lambda job: _optimize(job, painting, config, options), options)


def _contents_and_style(options: argparse.Namespace) -> tuple[list[str], Path | None]:
    """The photos and, without a trained network, the painting."""
    words = options.pictures
    if options.model is None:
        if len(words) == 1:
            raise ValueError("no style was given; give a painting (STYLE) or a trained network (--model)")
        return words[:-1], picture_file(words[-1])
    if len(words) == 2 and Path(options.output).suffix.lower() in FORMATS and not os.path.isdir(options.output):
        raise ValueError("give a painting (STYLE) or --model, not both: a trained network has learned its painting")
    return words, None


def _in_one_pass(options: argparse.Namespace) -> Callable[[batch.Job], str]:
    method, model = load_for("stylize", options.model)

    def paint(job: batch.Job) -> str:
        content, alpha = batch.load(job, options.size)
        batch.check(job, *content.shape[-2:])
        result = method.stylize(content, model, tile=options.tile, device=options.device)
        batch.save(job, result.image, alpha)
        return f"{job.target}: one pass in {result.history['seconds'][-1]:.1f} s"

    return paint


def _optimize(job: batch.Job, style: Tensor, config: gatys.Config, options: argparse.Namespace) -> str:
    """Optimize one picture, showing loss and remaining time; Ctrl-C saves the current picture."""
    content, alpha = batch.load(job, options.size or 256)
    batch.check(job, *content.shape[-2:])
    latest: list[Progress] = []
    with tqdm(total=config.num_steps, unit="step", disable=None, leave=None) as bar:

        def watch(progress: Progress) -> None:
            latest[:] = [progress]
            bar.total = progress.num_steps  # of all sizes
            bar.set_postfix(loss=f"{progress.losses['total']:.3g}", refresh=False)
            bar.update()

        try:
            result = gatys.stylize(content, style, config, callback=watch)
        except KeyboardInterrupt:
            if not latest:
                raise
            bar.close()
            batch.save(job, latest[0].image(), alpha)
            say(f"stopped after step {latest[0].step}; saved {job.target}")
            raise SystemExit(130) from None
    batch.save(job, result.image, alpha)
    for note in (result.stopped, result.advice):
        if note:
            say(in_options(note, options))
    seconds = f"{result.history['seconds'][-1]:.1f} s" if result.history else "0 s"
    return f"{job.target}: {len(result.history.get('total', []))} steps in {seconds}"


def configuration(options: argparse.Namespace) -> gatys.Config:
    """The method's settings for these options; what was not given is our best engine's, from the photo."""
    chosen = given(options, "style_weight", "start", "device", "seed")
    return replace(gatys.Config.fast(), num_steps=options.steps or 60, **{"start": "content", **chosen})
