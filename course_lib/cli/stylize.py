"""``stylize``: paint photos in the style of paintings, by optimization or in one pass of a network.

``--method`` and the kind of the ``--model`` file decide how. Each kind uses some of the options; the command refuses
the others.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from course_lib.cli.arguments import (
    add_command,
    add_device,
    add_output,
    add_pictures,
    add_tile,
    number,
    picture_file,
    positive,
)
from course_lib.cli.words import PATCH_WEIGHT, PHOTO_WEIGHT, STYLE_WEIGHT, TRANSFORMS
from course_lib.picture_files import FORMATS

_USED = {  # kind → its options that other kinds may not have
    "gatys": (
        "style", "weights", "keep_colors", "mask", "style_mask", "fine_style", "patches", "photorealistic", "steps",
        "style_weight", "start", "seed",
    ),
    "johnson": ("keep_colors", "photorealistic", "tile"),
    "multi_style": ("style", "weights", "keep_colors", "photorealistic", "tile"),
    "adain": ("transform", "alpha", "style", "weights", "keep_colors", "mask", "style_mask", "photorealistic", "tile"),
}  # fmt: skip
_KEPT = ("match", "luminance")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "paint photos in the style of paintings, by optimization (Gatys et al., 2016) or in one pass of a network"
    stylize = add_command(commands, "stylize", run, text, "--size or --tile")
    stylize.usage = (
        "%(prog)s CONTENT... STYLE -o OUT [options]\n"
        "       %(prog)s CONTENT... STYLE --method adain -o OUT [options]\n"
        "       %(prog)s CONTENT... --model MODEL [--style NAME] -o OUT [options]"
    )
    add_pictures(stylize, "CONTENT... STYLE", "the photos, then the painting (none if --model has learned its own)")
    add_output(stylize, "where to save (.png, .jpg, .webp); for several photos, a folder")
    stylize.add_argument(
        "--method", choices=("gatys", "adain"),
        help="gatys: optimize each photo; adain: paint in the style of any painting in one pass of a network "
        "(default: gatys; with --model, the one that trained it)",
    )  # fmt: skip
    stylize.add_argument("--model", help="a trained network: a file, or a name that `models` lists (default: none)")
    stylize.add_argument(
        "--style", action="append", metavar="STYLE",
        help="another painting; with a --model of several paintings: the name of one; may be repeated",
    )  # fmt: skip
    stylize.add_argument(
        "--weights", type=number, nargs="+", metavar="W", help="the share of each style, in order (default: equal)"
    )
    stylize.add_argument(
        "--transform", choices=TRANSFORMS,
        help="with adain, how the photo's features change: adain gives them the painting's means and variances, wct "
        "its means and covariances, swap replaces every patch by the painting's most similar one, swap+adain swaps "
        "patches and then does what adain does (default: adain)",
    )  # fmt: skip
    stylize.add_argument(
        "--alpha", type=number, metavar="X", help="with adain: the strength of the style, from 0 to 1 (default: 1)"
    )
    stylize.add_argument(
        "--keep-colors", type=_kept, choices=_KEPT, nargs="?", const="match",
        help="keep the colors of the photo; match: the painting (with --model, the result) gets their mean and "
        "covariance; luminance: only brightness is painted; without a word, match (default: off)",
    )  # fmt: skip
    stylize.add_argument(
        "--mask", metavar="PICTURE",
        help="a mask of the photo: each color is a region that takes its style from the same color in --style-mask",
    )  # fmt: skip
    stylize.add_argument(
        "--style-mask", action="append", metavar="PICTURE",
        help="the painting's mask, in the same colors, or the color of the region that takes the whole painting; once "
        "for each painting, in order; with adain, colors only",
    )  # fmt: skip
    stylize.add_argument(
        "--fine-style", metavar="PICTURE",
        help="another painting, whose strokes and grain the painting gets first",
    )  # fmt: skip
    stylize.add_argument(
        "--patches", type=number, nargs="?", const=True, metavar="W",
        help="also match patches of the painting; with --style-weight 0, patches alone; W is their weight, "
        f"{PATCH_WEIGHT:g} if left out (default: off)",
    )  # fmt: skip
    stylize.add_argument(
        "--photorealistic", type=number, nargs="?", const=True, metavar="W",
        help="keep the photo a photo, for the light and the colors of another photo; W, only when optimizing, is the "
        f"weight of that, {PHOTO_WEIGHT:g} if left out (default: off)",
    )  # fmt: skip
    stylize.add_argument(
        "--size", type=positive, metavar="N", help="long side in pixels (default: 256; in one pass, the photo's own)"
    )
    add_tile(stylize, "384, or 512 with adain, if one piece does not fit")
    stylize.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="loss evaluations at the final size; twice as many at each smaller one before it (default: 60)",
    )
    stylize.add_argument(
        "--style-weight", type=float, metavar="X",
        help="higher: closer to the painting; lower: closer to the photo "
        f"(default: {STYLE_WEIGHT['gatys']:g}; with --patches, {STYLE_WEIGHT['patches']:g}; "
        f"with --photorealistic, {STYLE_WEIGHT['photorealistic']:g})",
    )  # fmt: skip
    stylize.add_argument(
        "--start", choices=("noise", "content", "style", "mixed"), help="the first picture (default: content)"
    )
    add_device(stylize)
    stylize.add_argument("--seed", type=int, metavar="N", help="random seed of the noise (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Paint photos in the style of paintings, by optimization or in one pass of a network."""
    from course_lib import runtime
    from course_lib.cli import batch, masks, stylize_by_optimization, stylize_in_one_pass

    kind = _kind(options)
    contents, style = _contents_and_style(options, kind)
    _refuse_what_has_no_effect(options, kind)
    runtime.pick_device(options.device)
    paintings = [] if style is None else [style, *map(picture_file, options.style or [])]
    fine = [] if options.fine_style is None else [picture_file(options.fine_style)]
    others = [*paintings, *masks.mask_files(options), *fine]
    work = batch.plan(contents, options.output, recursive=options.recursive, others=others)
    if kind in ("gatys", "adain"):
        way = stylize_by_optimization if kind == "gatys" else stylize_in_one_pass
        return batch.run(work, way.any_painting(options, paintings, work), options)
    named = kind == "multi_style"
    paint = stylize_in_one_pass.named_paintings if named else stylize_in_one_pass.one_painting
    return batch.run(work, paint(options), options)


def _kind(options: argparse.Namespace) -> str:
    """The method that paints: a key of `_USED`."""
    if options.model is None:
        return options.method or "gatys"
    from course_lib.cli.trained import kind_for

    kind = kind_for("stylize", options.model)
    if options.method not in (None, kind):
        raise ValueError(
            f"--method {options.method} cannot use --model {options.model}, which {kind} trained; leave --method out"
        )
    return kind


def _contents_and_style(options: argparse.Namespace, kind: str) -> tuple[list[str], Path | None]:
    """The photos and, without a network that has learned paintings, the painting."""
    words = options.pictures
    if kind in ("gatys", "adain"):
        if len(words) == 1:
            other = " or a trained network (--model)" if kind == "gatys" else " after the photos"
            raise ValueError(f"no style was given; give a painting (STYLE){other}")
        return words[:-1], picture_file(words[-1])
    if len(words) == 2 and Path(options.output).suffix.lower() in FORMATS and not os.path.isdir(options.output):
        learned = "its painting" if kind == "johnson" else "its paintings, and --style names one"
        raise ValueError(f"give a painting (STYLE) or --model, not both: a trained network has learned {learned}")
    return words, None


def _refuse_what_has_no_effect(options: argparse.Namespace, kind: str) -> None:
    for name in dict.fromkeys(name for used in _USED.values() for name in used):
        value = getattr(options, name)
        if name not in _USED.get(kind, ("tile",)) and value is not None and value is not False:
            here = f"with --model {options.model}" if options.model else "with --method adain"
            without = "without --model or --method adain" if name == "tile" else "without --method adain"
            where = without if kind == "gatys" else here
            raise ValueError(f"--{name.replace('_', '-')} has no effect {where}; leave it out")
    if kind != "gatys" and isinstance(options.photorealistic, float):
        raise ValueError("the number after --photorealistic has no effect in one pass; leave it out")


def _kept(word: str) -> str:
    """Parse the word after ``--keep-colors``."""
    if word not in _KEPT:
        raise argparse.ArgumentTypeError(f"expected match or luminance, got {word!r}; put pictures before this option")
    return word
