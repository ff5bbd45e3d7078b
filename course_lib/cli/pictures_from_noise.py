"""What ``generate`` does once its options are read: pictures from noise, in files, on a sheet or as a walk."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.atomic import atomic_write, obstacle
from course_lib.cli import batch
from course_lib.cli.arguments import picture_file, size_of
from course_lib.cli.generate import KINDS, STEPS
from course_lib.cli.terminal import bar as progress_bar
from course_lib.cli.terminal import report
from course_lib.cli.trained import load_for
from course_lib.data.noise import normal_rows
from course_lib.images import center_crop, check_writable, load_image, resize, resized_shape, save_image, to_pil
from course_lib.pixels import srgb_profile

_GAP = 32  # of a sheet: a 32nd of a picture's side
_FRAME = 40  # ms
_BYTES_OF_FRAME, _BYTES_AT_WORK = 8, 48  # for each pixel: of a PIL picture and the encoder's; of a float32 picture

Make = Callable[[int], Tensor]  # number k → its picture, or the frames from it to the next, (N, 3, S, S) in [0, 1]


def make_pictures(options: argparse.Namespace) -> int:
    """Make the pictures that the options ask for, and return the exit code.

    Raises:
        ValueError: an option that has no effect with this model, or an output of another kind than the pictures need.
        MemoryError: a sheet or an animation that does not fit into the memory.
    """
    batch.check_name(options.output)
    runtime.pick_device(options.device)
    target = Path(options.output)
    wanted = None if options.like is None else picture_file(options.like)
    if options.walk:
        _check_animation(target)
    elif options.grid:
        check_writable(target)
    work = None if options.walk or options.grid else batch.plan_new(options.count, options.output, "--grid")
    batch.keep_inputs(work.jobs if work else [batch.Job(target, target)], [wanted] if wanted else [])
    photo = None if wanted is None else load_image(wanted)
    method, model = _loaded(options)
    side = options.size or model.config.image_size
    resized_shape(torch.zeros(1, 3, 1, 1), (side, side))  # raises an error if that is too large
    if options.walk:
        _check_room(side, options)
    elif work is None:
        batch.check(batch.Job(target, target), *_sheet_shape(side, options))
    else:
        batch.check_room(work.jobs[0], side, side)
    make = _maker(method, model, side, photo, options)
    if options.walk:
        return _walk(make, target, side, options)
    if work is None:
        return _sheet(make, target, side, options)
    numbers = {job: k for k, job in enumerate(work.jobs)}

    def one(job: batch.Job) -> batch.Made:
        began = time.perf_counter()
        batch.check(job, side, side)
        image = make(numbers[job])
        seconds = time.perf_counter() - began
        about = {"seconds": seconds, "model": options.model, "seed": options.seed}
        return batch.Made(image, None, f"{side} × {side} px in {seconds:.1f} s", about)

    return batch.run(work, one, options)


def _loaded(options: argparse.Namespace) -> tuple[Any, Any]:
    """The method and its model.

    Raises:
        ValueError: the model makes something else, or an option has no effect with it.
    """
    method, model = load_for("generate", options.model)
    if method.KIND not in KINDS or not model.config.image_size:
        other = "points in the plane" if method.KIND in KINDS else "textures"
        raise ValueError(
            f"{options.model} is a {method.KIND} model, which makes {other}; this command needs one of "
            f"{' or '.join(KINDS)} that was trained with pictures"
        )
    for name in ("truncation", "mix", "like", "walk"):
        if method.KIND == "gan" and getattr(options, name) is not None:
            raise ValueError(f"--{name} has no effect with {options.model}, a gan model without styles; leave it out")
    return method, model


def _maker(method: Any, model: Any, side: int, photo: Tensor | None, options: argparse.Namespace) -> Make:
    """A function that makes the pictures in their size, the first like `photo`, (1, 3, H, W)."""

    def sized(images: Tensor) -> Tensor:
        return images if images.shape[-1] == side else resize(images, (side, side))

    if method.KIND == "stylegan":
        w = _styles(method, model, photo, options)
        steps = torch.arange(options.walk or 1)[:, None, None] / (options.walk or 1)  # 0 … 1, without 1

        def paint(k: int) -> Tensor:
            between = torch.lerp(w[k], w[(k + 1) % len(w)], steps)
            return sized(method.paint(between, model, device=options.device).image)

        return paint
    noise = normal_rows(options.count, model.config.noise_size, options.seed)
    classes = model.config.num_classes

    def generate(k: int) -> Tensor:
        labels = k % classes if classes else None
        return sized(method.generate(noise[k : k + 1], model, labels=labels, device=options.device).image)

    return generate


def _styles(method: Any, model: Any, photo: Tensor | None, options: argparse.Namespace) -> Tensor:
    """The styles of all pictures, (N, num_styles, w_size)."""
    psi = 0.7 if options.truncation is None else options.truncation

    def mixed(w: Tensor) -> Tensor:
        if options.mix is None:
            return w
        other = method.styles(1, model, seed=options.mix, truncation=psi)
        try:
            found: Tensor = method.mixed(w, other, model, options.mix_sizes or (4, 8))
        except ValueError as error:
            raise ValueError(f"--mix-sizes: {error}") from None
        return found

    w: Tensor = method.styles(options.count, model, seed=options.seed, truncation=psi)
    if photo is None:
        return mixed(w)
    mixed(w)  # raises an error before the search
    photo = center_crop(resize(photo, model.config.image_size, side="short"), model.config.image_size)
    with progress_bar(total=STEPS, unit="step", leave=False) as bar:
        found = method.project(
            photo, model, num_steps=STEPS, seed=options.seed, device=options.device, callback=lambda _: bar.update()
        )
    return mixed(torch.cat((found.styles, w[1:])))


def _sheet_shape(side: int, options: argparse.Namespace) -> tuple[int, int]:
    """Height and width of a sheet with as many columns as rows, or one more."""
    columns = math.ceil(math.sqrt(options.count))
    height, width = (n * (side + _gap(side)) - _gap(side) for n in (math.ceil(options.count / columns), columns))
    return height, width


def _gap(side: int) -> int:
    return max(1, side // _GAP)


def _sheet(make: Make, target: Path, side: int, options: argparse.Namespace) -> int:
    """All pictures in one file, row by row, with narrow white lines between them."""
    began, (height, width) = time.perf_counter(), _sheet_shape(side, options)
    step, sheet = side + _gap(side), torch.ones(1, 3, height, width)
    for k in progress_bar(range(options.count), unit="picture", leave=False):
        top, left = (step * place for place in divmod(k, math.ceil(width / step)))
        sheet[..., top : top + side, left : left + side] = make(k)
    save_image(sheet, target)
    seconds = time.perf_counter() - began
    line = f"{target}: {options.count} pictures, {width} × {height} px in {seconds:.1f} s"
    report(line, file=target, width=width, height=height, pictures=options.count, seconds=seconds, model=options.model)
    return 0


def _check_animation(target: Path) -> None:
    """Refuse a file that an animation cannot be written to.

    Raises:
        ValueError: another suffix, or a place where nothing can be written.
    """
    if target.suffix.lower() == ".webp":
        check_writable(target)
    elif target.suffix.lower() != ".gif":
        raise ValueError(f"{target} cannot hold an animation; give a file that ends in .webp or .gif after -o")
    elif problem := obstacle(Path(os.path.realpath(target))):
        raise ValueError(f"{target} {problem}")


def _check_room(side: int, options: argparse.Namespace) -> None:
    """Refuse an animation that does not fit into the memory."""
    count = options.count * options.walk
    needed = (_BYTES_OF_FRAME * count + _BYTES_AT_WORK * options.walk) * side**2
    free = runtime.available_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise MemoryError(
            f"{count} frames of {side} × {side} px need about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            "are free; give fewer pictures, fewer frames or a smaller --size"
        )


def _walk(make: Make, target: Path, side: int, options: argparse.Namespace) -> int:
    """The way through all pictures and back to the first, straight in w from each to the next."""
    began, count = time.perf_counter(), options.count * options.walk
    frames = []
    for k in progress_bar(range(options.count), unit="picture", leave=False):
        frames += [to_pil(frame) for frame in make(k)]
    kind = target.suffix[1:].upper()
    more = {"quality": 95, "icc_profile": srgb_profile()} if kind == "WEBP" else {}
    with atomic_write(Path(os.path.realpath(target))) as file:
        frames[0].save(
            file, format=kind, save_all=True, append_images=frames[1:], duration=_FRAME, loop=0, **more
        )  # fmt: skip
    seconds, size = time.perf_counter() - began, size_of(target.stat().st_size)
    line = f"{target}: {count} frames of {side} × {side} px, {size}, in {seconds:.1f} s"
    report(line, file=target, width=side, height=side, frames=count, seconds=seconds, model=options.model)
    return 0
