"""``generate``: make pictures from noise with a trained generator: each in a file, on one sheet, or as a walk."""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.std import tqdm

from course_lib import arguments, runtime
from course_lib.atomic import atomic_write, obstacle
from course_lib.cli import batch
from course_lib.cli.arguments import add_command, add_device, add_output, picture_file, positive, size_of
from course_lib.cli.trained import load_for
from course_lib.data.noise import normal_rows
from course_lib.images import center_crop, check_writable, load_image, resize, resized_shape, save_image, to_pil
from course_lib.pixels import srgb_profile

KINDS = ("stylegan", "gan")  # methods whose models make pictures from noise
_MOST = 10_000  # pictures
_GAP = 32  # of a sheet: a 32nd of a picture's side
_FRAME = 40  # ms
_STEPS = 300  # of the search for the picture of --like
_BYTES_OF_FRAME, _BYTES_AT_WORK = 8, 48  # for each pixel: of a PIL picture and the encoder's; of a float32 picture

Make = Callable[[int], Tensor]  # number k → its picture, or the frames from it to the next, (N, 3, S, S) in [0, 1]


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "make pictures from noise with a trained generator (Goodfellow et al., 2014; Karras et al., 2019, 2020)"
    generate = add_command(commands, "generate", run, text, "--count or --size")
    add_output(
        generate,
        "where to save: a folder; for one picture or --grid, a file (.png, .jpg, .webp); for --walk, .webp or .gif",
    )
    generate.add_argument("--model", required=True, help="a trained generator: a file, or a name that `models` lists")
    generate.add_argument("--count", type=positive, default=16, metavar="N", help="how many pictures (default: 16)")
    generate.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the noise (default: 0)")
    generate.add_argument(
        "--truncation", type=float, metavar="X",
        help="pull the styles toward their mean: 1 leaves them as they are, 0 makes every picture the mean one "
        "(default: 0.7)",
    )  # fmt: skip
    generate.add_argument(
        "--mix", type=int, metavar="SEED",
        help="give all pictures some styles of another one, the first that this seed makes (default: off)",
    )  # fmt: skip
    generate.add_argument(
        "--mix-sizes", type=_sizes, metavar="A-B",
        help="with --mix: the sizes in pixels of the feature maps at which the other picture decides: 4-8 for what is "
        "where, 16 up to the generator's own size for colors (default: 4-8)",
    )  # fmt: skip
    generate.add_argument(
        "--like", metavar="PICTURE",
        help=f"make the first picture as much like this one as the generator can, by a search of {_STEPS} steps "
        "(default: off)",
    )  # fmt: skip
    ways = generate.add_mutually_exclusive_group()
    ways.add_argument("--grid", action="store_true", help="all pictures on one sheet")
    ways.add_argument(
        "--walk", type=positive, metavar="N",
        help="an animation from each picture to the next, N frames each, and from the last back to the first "
        "(default: off)",
    )  # fmt: skip
    generate.add_argument(
        "--size", type=positive, metavar="N", help="side of each picture in pixels (default: that of the generator)"
    )
    add_device(generate)


def run(options: argparse.Namespace) -> int:
    """Make pictures from noise with a trained generator of StyleGAN or of a GAN.

    Raises:
        ValueError: a number out of range, an option that has no effect with this model, or an output of another kind
            than the pictures need.
        MemoryError: a sheet or an animation that does not fit into the memory.
    """
    _check(options)
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

    def one(job: batch.Job) -> str:
        began = time.perf_counter()
        batch.check(job, side, side)
        batch.save(job, make(numbers[job]), None)
        return f"{job.target}: {side} × {side} px in {time.perf_counter() - began:.1f} s"

    return batch.run(work, one, options)


def _check(options: argparse.Namespace) -> None:
    """What can be refused before the model is read."""
    batch.check_name(options.output)
    arguments.whole("count", options.count, 1, _MOST)
    arguments.seed(options.seed)
    if options.truncation is not None:
        arguments.nonnegative("truncation", options.truncation)
    if options.mix is not None:
        arguments.seed(options.mix, "mix")
    elif options.mix_sizes:
        raise ValueError("--mix-sizes has no effect without --mix; leave it out, or name another picture with --mix")
    if options.walk and options.count == 1:
        raise ValueError("a walk leads from one picture to another; give --count at least 2")
    runtime.pick_device(options.device)


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
    with tqdm(total=_STEPS, unit="step", disable=None, leave=False) as bar:
        found = method.project(
            photo, model, num_steps=_STEPS, seed=options.seed, device=options.device, callback=lambda _: bar.update()
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
    for k in tqdm(range(options.count), unit="picture", disable=None, leave=False):
        top, left = (step * place for place in divmod(k, math.ceil(width / step)))
        sheet[..., top : top + side, left : left + side] = make(k)
    save_image(sheet, target)
    seconds = time.perf_counter() - began
    print(f"{target}: {options.count} pictures, {width} × {height} px in {seconds:.1f} s")
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
    for k in tqdm(range(options.count), unit="picture", disable=None, leave=False):
        frames += [to_pil(frame) for frame in make(k)]
    kind = target.suffix[1:].upper()
    more = {"quality": 95, "icc_profile": srgb_profile()} if kind == "WEBP" else {}
    with atomic_write(Path(os.path.realpath(target))) as file:
        frames[0].save(
            file, format=kind, save_all=True, append_images=frames[1:], duration=_FRAME, loop=0, **more
        )  # fmt: skip
    seconds, size = time.perf_counter() - began, size_of(target.stat().st_size)
    print(f"{target}: {count} frames of {side} × {side} px, {size}, in {seconds:.1f} s")
    return 0


def _sizes(text: str) -> tuple[int, int]:
    """Parse the two sizes of ``--mix-sizes``."""
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected two sizes in pixels such as 4-8, got {text!r}")
    return int(found[1]), int(found[2])
