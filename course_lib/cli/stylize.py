"""``stylize``: paint a photo like any painting by optimization, or in one pass of a network trained for a painting."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from course_lib.cli.arguments import add_command, add_device, add_output, given, positive, say
from course_lib.cli.trained import load_for
from course_lib.images import FORMATS, check_writable, load_image, save_image
from course_lib.methods import gatys
from course_lib.runtime import Progress

_GATYS_ONLY = ("steps", "style_weight", "start", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "paint a photo in the style of a painting (Gatys et al., 2016), or in one pass of a trained network"
    stylize = add_command(commands, "stylize", run, text, "--size or --tile")
    stylize.add_argument("content", metavar="CONTENT", help="the photo: a file; with --model also a folder of them")
    stylize.add_argument("style", nargs="?", metavar="STYLE", help="the painting: a file; not with --model")
    add_output(stylize, "where to save (.png, .jpg, .webp); for a folder of photos, a folder")
    stylize.add_argument(
        "--size", type=positive, metavar="N", help="long side in pixels (default: 256; with --model the photo's own)"
    )
    stylize.add_argument("--model", help="a trained network: a file, or a name that `models` lists")
    stylize.add_argument("--tile", type=positive, metavar="N", help="with --model: compute in parts of N px")
    stylize.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="loss evaluations at the final size; twice as many at each smaller one before it (default: 60)",
    )
    stylize.add_argument(
        "--style-weight", type=float, metavar="X", help="higher: closer to the painting; lower: closer to the photo"
    )
    stylize.add_argument(
        "--start", choices=("noise", "content", "style", "mixed"), help="the first picture (default: content)"
    )
    add_device(stylize)
    stylize.add_argument("--seed", type=int, metavar="N", help="random seed of the noise (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Paint a photo like any painting by optimization, or in one pass of a network trained for a painting."""
    if options.model is not None and options.style is not None:
        raise ValueError("give a painting (STYLE) or --model, not both: a trained network has learned its painting")
    if options.model is None and options.style is None:
        raise ValueError("no style was given; give a painting (STYLE) or a trained network (--model)")
    unused = ("tile",) if options.model is None else _GATYS_ONLY
    for name in unused:
        if getattr(options, name) is not None:
            word, other = name.replace("_", "-"), "without" if options.model is None else "with"
            raise ValueError(f"--{word} has no effect {other} --model; leave it out")
    if options.model is None:
        _optimize(options)
    elif Path(options.content).is_dir():
        _paint_folder(options)
    else:
        check_writable(options.output)
        method, model = load_for("stylize", options.model)
        content = load_image(options.content, options.size)
        result = method.stylize(content, model, tile=options.tile, device=options.device)
        save_image(result.image, options.output)
        print(f"{options.output}: one pass in {result.history['seconds'][-1]:.1f} s")


def _optimize(options: argparse.Namespace) -> None:
    """Optimize the picture, showing loss and remaining time; Ctrl-C saves the current picture."""
    check_writable(options.output)  # before minutes of work, not after
    content, style = load_image(options.content, options.size or 256), load_image(options.style)
    config = configuration(options)
    latest: list[Progress] = []
    with tqdm(total=config.num_steps, unit="step", disable=None) as bar:

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
            save_image(latest[0].image(), options.output)
            step = latest[0].step
            say(f"stopped after step {step}; saved {options.output}")
            raise SystemExit(130) from None
    save_image(result.image, options.output)
    seconds = f"{result.history['seconds'][-1]:.1f} s" if result.history else "0 s"
    print(f"{options.output}: {len(result.history.get('total', []))} steps in {seconds}")
    for note in (result.stopped, result.advice):
        if note:
            say(note)


def configuration(options: argparse.Namespace) -> gatys.Config:
    """The method's settings for these options; what was not given is our best engine's, from the photo."""
    chosen = given(options, "style_weight", "start", "device", "seed")
    return replace(gatys.Config.fast(), num_steps=options.steps or 60, **{"start": "content", **chosen})


def _paint_folder(options: argparse.Namespace) -> None:
    """Paint every picture of a folder into another folder, under the same name; report and skip files that fail."""
    source, target = Path(options.content), Path(options.output)
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        problem = "is the folder of the photos" if target.is_dir() else "is a file"
        raise ValueError(f"{target} {problem}; give another folder for the painted pictures")
    method, model = load_for("stylize", options.model)
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    painted = 0
    for file in tqdm(files, unit="picture", disable=None):
        try:
            content = load_image(file, options.size)
            image = method.stylize(content, model, tile=options.tile, device=options.device).image
        except ValueError as error:
            say(f"skipped {file.name}: {error}")
            continue
        target.mkdir(parents=True, exist_ok=True)
        save_image(image, target / (file.name if file.suffix.lower() in FORMATS else f"{file.name}.png"))
        painted += 1
    if not painted:
        raise ValueError(f"{source} has {len(files)} files, but none could be painted")
    print(f"{target}: {painted} pictures")
