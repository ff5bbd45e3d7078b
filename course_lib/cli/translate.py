"""``translate``: turn a picture of one domain into one of another with a trained generator."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.cli.arguments import add_command, add_device, add_pictures, add_results, model_stem, positive
from course_lib.cli.terminal import say
from course_lib.cli.words import DIRECTIONS
from course_lib.picture_files import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

BOTH_WAYS = ("cyclegan", "ugatit")  # methods whose models hold a generator for each direction
MANY = "stargan"  # the method whose models translate to several domains
EVERY = "all"  # of them, after --to
_LOOKS = "ugatit"  # the method whose generators have a map of where they look
_MAP_COLORS = 32  # a label map has fewer, a photograph thousands
_FAR = {"animegan": 4}  # times the generator's own side, else 2: in larger pictures its details look too small


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "translate pictures with a trained generator, with or without pairs (Isola et al., 2017; Zhu et al., 2017)"
    translate = add_command(commands, "translate", run, text, "--size")
    add_pictures(translate, "IN", "the label maps, sketches or photos")
    add_results(translate, "the name of the model")
    translate.add_argument("--model", required=True, help="a trained generator: a file, or a name that `models` lists")
    translate.add_argument(
        "--direction", choices=DIRECTIONS,
        help="from A to B or from B to A, of a model that has both (default: AB)",
    )  # fmt: skip
    translate.add_argument(
        "--to", metavar="DOMAIN", action="append",
        help="where to, of a model that translates to several domains: the name of one, or all; may be repeated",
    )  # fmt: skip
    translate.add_argument(
        "--attention", action="store_true",
        help="show where the generator looks in place of what it makes: white where it looks most; of a U-GAT-IT model",
    )  # fmt: skip
    translate.add_argument("--pencil", action="store_true", help="IN is a photo: turn it into a sketch first")
    translate.add_argument(
        "--size", type=positive, metavar="N",
        help="long side of the result in pixels (default: that of IN). The generator paints windows and doors at the "
        "size that it learned, so one to two times the size of its training pictures is best",
    )  # fmt: skip
    add_device(translate)
    translate.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="random seed of the dropout, of a model trained with pairs (default: 0)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Translate pictures with a trained generator; size and aspect ratio are kept.

    Raises:
        ValueError: a direction or a domain that the model does not have, no domain for a model that needs one, or one
            for a model of another method.
    """
    from course_lib.cli import batch
    from course_lib.cli.trained import load_for
    from course_lib.data.sketch import pencil
    from course_lib.images import load_image, resized_shape

    method, model = load_for("translate", options.model)
    _check(method, options)
    side, far = model.config.image_size, _FAR.get(method.KIND, 2)
    goals = _goals(model, options) if method.KIND == MANY else {"": ""}
    work = batch.plan_for(options, options.pictures, model_stem(options.model), endings=[*goals])
    large: list[Path] = []  # results much larger than what the generator learned

    def load(job: batch.Job) -> Tensor:
        return load_image(job.source)  # on white: the paper of a sketch may be transparent

    def paint(job: batch.Job, given: Tensor) -> batch.Made:
        size = resized_shape(given, options.size) if options.size else (given.shape[-2], given.shape[-1])
        batch.check(job, *size)
        is_map = not options.pencil and _is_label_map(given)
        image = _resized(given, _seen(size, model), is_map)
        if options.pencil:
            image = pencil(image)
        more: dict[str, Any] = {}
        if method.KIND in BOTH_WAYS:
            more = {"direction": options.direction or DIRECTIONS[0]}
        elif method.KIND == MANY:
            more = {"to": goals[job.ending]}
        elif method.KIND == "pix2pix":
            more = {"padding": "replicate" if is_map else "reflect", "seed": options.seed}
        began = time.perf_counter()
        if options.attention:
            made = method.attention(image, model, device=options.device, **more).expand(-1, 3, -1, -1)
        else:
            made = method.translate(image, model, device=options.device, **more).image
        seconds = time.perf_counter() - began
        if options.size is None and min(size) > far * side:
            large.append(job.target)
        about = {"seconds": seconds, "model": options.model}
        return batch.Made(_resized(made, size), None, f"{size[1]} × {size[0]} px in {seconds:.1f} s", about)

    code = batch.run(work, paint, options, load=load)
    if large:
        others = f" and {len(large) - 1} others" * (len(large) > 1)
        say(
            f"the generator learned from pictures of {side} × {side} px, so its details are small in "
            f"{large[0]}{others}; try --size {far * side}"
        )
    return code


def _check(method: Any, options: argparse.Namespace) -> None:
    """Refuse an option that has no effect with a model of this method."""
    from course_lib.cli.trained import called

    kind, model = method.KIND, f"{options.model} is {called(method.KIND)}"
    if options.direction and kind not in BOTH_WAYS:
        way = "to a domain that --to names" if kind == MANY else "in one direction only"
        raise ValueError(f"{model}, which translates {way}; leave out --direction")
    if options.to and kind != MANY:
        way = "from A to B or back, as --direction says" if kind in BOTH_WAYS else "in one direction only"
        raise ValueError(f"{model}, which translates {way}; leave out --to")
    if options.attention and kind != _LOOKS:
        raise ValueError(f"{model}, whose generator has no map of where it looks; leave out --attention")


def _goals(model: Any, options: argparse.Namespace) -> dict[str, str]:
    """The domains to translate to, by what the name of a result ends in: ``{"_dusk": "dusk"}``.

    Raises:
        ValueError: no domain, or one that the model does not have; the message lists its domains.
    """
    known = f"its domains are {', '.join(model.domains)}"
    if not options.to:
        raise ValueError(
            f"{options.model} translates to several domains; say which with --to, or --to {EVERY}: {known}"
        )
    for name in options.to:
        if name not in (*model.domains, EVERY):
            raise ValueError(f"{options.model} has no domain {name!r}; {known}.{did_you_mean(name, [*model.domains])}")
    names = model.domains if EVERY in options.to else options.to
    return {"_" + re.sub(r"[^\w .-]", "-", name): name for name in names}  # a name may hold a slash


def _seen(size: tuple[int, int], model: Any) -> tuple[int, int]:
    """The size (H, W) in which the generator gets a picture whose result has `size`."""
    config = model.config
    if not getattr(config, "light", True):  # U-GAT-IT's full generators take squares of one size
        return config.image_size, config.image_size
    # a generator of squeezed pairs stretches what it paints: it gets the picture squeezed
    return size[0], max(1, round(size[1] / getattr(config, "aspect_ratio", 1.0)))


def _resized(image: Tensor, size: tuple[int, int], is_map: bool = False) -> Tensor:
    """The picture in a size; the colors of a label map are not mixed."""
    if tuple(image.shape[-2:]) == size:
        return image
    from course_lib.data.pairs import nearest
    from course_lib.images import resize

    return nearest(image, size) if is_map else resize(image, size)


def _is_label_map(image: Tensor) -> bool:
    """Whether a picture (1, 3, H, W) has few colors; of a large one, some 500 × 500 pixels are counted first."""
    import torch

    step = max(1, max(image.shape[-2:]) // 500)
    for part in (image[..., ::step, ::step], image):
        levels = part[0].mul(255).round().to(torch.int32)  # (3, H, W)
        if len((levels[0] * 65_536 + levels[1] * 256 + levels[2]).unique()) > _MAP_COLORS:
            return False
    return True
