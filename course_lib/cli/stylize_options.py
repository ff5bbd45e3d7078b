"""The options of ``stylize``; `stylize` says which of them a way of painting uses."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import (
    add_device,
    add_pictures,
    add_precision,
    add_results,
    add_tile,
    number,
    positive,
)
from course_lib.cli.words import PATCH_WEIGHT, PHOTO_WEIGHT, STYLE_WEIGHT, TRANSFORMS

ORIGINAL, OFF = "original", "off"  # words in place of numbers: for a photo's own size, and for no smaller sizes
LONGEST = 1024  # px: a larger photo is reduced to it before it is optimized, unless --size says something else
KEPT = ("match", "luminance")
ONLY_OPTIMIZED = (
    "fine_style", "patches", "steps", "scales", "style_weight", "style_scale", "style_layers", "layer_weights",
    "content_layers", "start", "optimizer", "history", "seed", "save_every", "preview",
)  # options that no network has  # fmt: skip


def add_options(stylize: Any) -> None:
    """Declare all of them."""
    stylize.usage = (
        "%(prog)s CONTENT... STYLE [-o OUT] [options]\n"
        "       %(prog)s CONTENT... STYLE --method adain [-o OUT] [options]\n"
        "       %(prog)s CONTENT... --model MODEL [--style NAME] [-o OUT] [options]\n"
        "       %(prog)s [CONTENT...] --like PICTURE [-o OUT] [options]"
    )
    photos = "the photos, then the painting (none if --model has learned its own, or with --like)"
    add_pictures(stylize, "CONTENT... STYLE", photos, least=0)
    add_results(stylize, "the name of the painting")
    stylize.add_argument(
        "--like", metavar="PICTURE",
        help="repeat what a picture was painted with: its settings, and its photo if no other is named (default: none)",
    )  # fmt: skip
    stylize.add_argument(
        "--no-settings", action="store_true",
        help="do not store in the picture what it was painted with: names and digests of the files, options, version",
    )  # fmt: skip
    stylize.add_argument(
        "--method", choices=("gatys", "adain"),
        help="gatys: optimize each photo; adain: paint in the style of any painting in one pass of a network "
        "(default: gatys; with --model, the one that trained it)",
    )  # fmt: skip
    stylize.add_argument("--model", help="a trained network: a file, or a name that `models` lists (default: none)")
    _add_style(stylize.add_argument_group("what is taken from which painting"))
    stylize.add_argument(
        "--size", type=_size, metavar="N",
        help="long side in pixels, or the word original for that of the photo (default: that of the photo, but at most "
        f"{LONGEST:,}; in one pass, that of the photo)",
    )  # fmt: skip
    add_tile(stylize, "384, or 512 with adain, if one piece does not fit")
    _add_optimization(stylize.add_argument_group("only when a photo is optimized"))
    add_precision(stylize)
    add_device(stylize)
    stylize.add_argument("--seed", type=int, metavar="N", help="random seed of the noise (default: 0)")


def _add_style(stylize: Any) -> None:
    """Declare which paintings give what to which part of the photo."""
    stylize.add_argument(
        "--style", action="append", metavar="STYLE",
        help="another painting; with a --model of several paintings: the name of one; may be repeated. A number after "
        "a colon is its weight, as in b.jpg:2",
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
        "--keep-colors", type=_kept, choices=KEPT, nargs="?", const="match",
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


def _add_optimization(stylize: Any) -> None:
    """Declare how a photo is optimized."""
    stylize.add_argument(
        "--steps", type=positive, metavar="N",
        help="loss evaluations at the final size; twice as many at each smaller one before it (default: 60; unless "
        "--size is a number, fewer above 512 px, down to 30 at 1,024)",
    )  # fmt: skip
    stylize.add_argument(
        "--scales", type=_scale, nargs="+", metavar="N",
        help="long sides in pixels at which the picture is painted before its own, or off (default: 128 256 512)",
    )  # fmt: skip
    stylize.add_argument(
        "--style-weight", type=float, metavar="X",
        help="higher: closer to the painting; lower: closer to the photo "
        f"(default: {STYLE_WEIGHT['gatys']:g}; with --patches, {STYLE_WEIGHT['patches']:g}; "
        f"with --photorealistic, {STYLE_WEIGHT['photorealistic']:g})",
    )  # fmt: skip
    stylize.add_argument(
        "--style-scale", type=number, nargs="+", metavar="X",
        help="long side of the painting / that of the photo: below 1, smaller forms; one number, or one for each style "
        "layer (default: 1)",
    )  # fmt: skip
    stylize.add_argument(
        "--style-layers", nargs="+", metavar="LAYER",
        help="whose statistics are those of the painting (default: relu1_1 relu2_1 relu3_1 relu4_1 relu5_1)",
    )  # fmt: skip
    stylize.add_argument(
        "--layer-weights", nargs="+", metavar="W",
        help="of the style layers: a number for each, or equal, or balanced, by which each has the same influence "
        "(default: balanced)",
    )  # fmt: skip
    stylize.add_argument(
        "--content-layers", nargs="+", metavar="LAYER",
        help="whose features are those of the photo (default: relu4_2; with --patches, relu4_1)",
    )  # fmt: skip
    stylize.add_argument(
        "--start", choices=("noise", "content", "style", "mixed"), help="the first picture (default: content)"
    )
    stylize.add_argument(
        "--optimizer", choices=("lbfgs", "adam"), help="adam needs less memory and more steps (default: lbfgs)"
    )
    stylize.add_argument(
        "--history", type=positive, metavar="N",
        help="steps that lbfgs remembers; fewer need less memory (default: 20)",
    )  # fmt: skip
    stylize.add_argument(
        "--save-every", type=positive, metavar="N",
        help="also save the picture after every N steps, with their number in its name (default: off)",
    )  # fmt: skip
    stylize.add_argument(
        "--preview", metavar="FILE",
        help="a picture file to watch: the picture so far replaces it every two seconds (default: none)",
    )  # fmt: skip


def _size(text: str) -> int | str:
    """Parse the word after ``--size``."""
    return text if text == ORIGINAL else positive(text)


def _scale(text: str) -> int | str:
    """Parse one of the words after ``--scales``."""
    return text if text == OFF else positive(text)


def _kept(word: str) -> str:
    """Parse the word after ``--keep-colors``."""
    if word not in KEPT:
        raise argparse.ArgumentTypeError(f"expected match or luminance, got {word!r}; put pictures before this option")
    return word
