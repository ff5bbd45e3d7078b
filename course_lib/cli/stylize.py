"""``stylize``: paint photos in the style of paintings, by optimization or in one pass of a network.

``--method`` and the kind of the ``--model`` file decide how. Each kind uses some of the options; the command refuses
the others.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.cli.arguments import add_command, model_stem, picture_file, weighted
from course_lib.cli.stylize_options import LONGEST, ONLY_OPTIMIZED, ORIGINAL, add_options
from course_lib.picture_files import FORMATS

if TYPE_CHECKING:
    from course_lib.cli.batch import Job, Picture

_EVERY = ("keep_colors", "photorealistic", "precision")
_USED = {  # kind → its options that other kinds may not have
    "gatys": (*_EVERY, *ONLY_OPTIMIZED, "style", "weights", "mask", "style_mask"),
    "johnson": (*_EVERY, "tile"),
    "multi_style": (*_EVERY, "style", "weights", "tile"),
    "adain": (*_EVERY, "transform", "alpha", "style", "weights", "mask", "style_mask", "tile"),
}  # fmt: skip
_LONGEST_NAME = 60  # letters of the painting in the name of a result


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "paint photos in the style of paintings, by optimization (Gatys et al., 2016) or in one pass of a network"
    add_options(add_command(commands, "stylize", run, text, "--size or --tile"))


def run(options: argparse.Namespace) -> int:
    """Paint photos in the style of paintings, by optimization or in one pass of a network."""
    from course_lib import runtime
    from course_lib.cli import batch, masks, recipe, stylize_by_optimization, stylize_in_one_pass

    if options.like is not None:
        recipe.apply(options, picture_file(options.like))
    elif not options.pictures:
        raise ValueError("no photo was given; give photos and a painting, or --like and a picture that was painted")
    kind = _kind(options)
    contents, style = _contents_and_style(options, kind)
    _refuse_what_has_no_effect(options, kind)
    runtime.pick_device(options.device)
    _take_weights(options, kind)
    if style is not None:
        style = picture_file(options.pictures[-1])
    paintings = [] if style is None else [style, *map(picture_file, options.style or [])]
    fine = [] if options.fine_style is None else [picture_file(options.fine_style)]
    others = [*paintings, *masks.mask_files(options), *fine]
    work = batch.plan_for(options, contents, _what(options, kind), others=others)
    if options.preview is not None:
        batch.keep_inputs([batch.Job(Path(options.preview), Path(options.preview))], [*others, *work.sources])
    options.kept = recipe.Kept(options, paintings, fine)
    if kind in ("gatys", "adain"):
        way = stylize_by_optimization if kind == "gatys" else stylize_in_one_pass
        paint = way.any_painting(options, paintings, work)
    elif kind == "multi_style":
        paint = stylize_in_one_pass.named_paintings(options)
    else:
        paint = stylize_in_one_pass.one_painting(options)

    def load(job: Job) -> Picture:
        most = LONGEST if kind == "gatys" and options.size is None else None
        return batch.load(job, None if options.size == ORIGINAL else options.size, most=most)

    return batch.run(work, paint, options, load=load)


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
        return words[:-1], Path(words[-1])
    if (
        len(words) == 2
        and options.output is not None
        and Path(options.output).suffix.lower() in FORMATS
        and not os.path.isdir(options.output)
    ):
        learned = "its painting" if kind == "johnson" else "its paintings, and --style names one"
        raise ValueError(f"give a painting (STYLE) or --model, not both: a trained network has learned {learned}")
    return words, None


def _take_weights(options: argparse.Namespace, kind: str) -> None:
    """Move the weights after a colon, as in ``--style b.jpg:2``, to the option ``--weights``.

    Raises:
        ValueError: weights in both places, or the weight of a single style.
    """
    if kind == "johnson":
        return
    names: list[str] = []
    if kind == "multi_style":
        from course_lib.cli.trained import load_for

        names = list(load_for("stylize", options.model)[1].styles)
    own = options.pictures[-1:] if kind in ("gatys", "adain") else []
    found = [weighted(word, names) for word in (*own, *(options.style or []))]
    if own:
        options.pictures = [*options.pictures[:-1], found[0][0]]
    if options.style:
        options.style = [word for word, _ in found[len(own) :]]
    having = [word for word, weight in found if weight is not None]
    if not having:
        return
    if options.weights is not None:
        raise ValueError(f"--weights and the weight after {having[0]}: say the same thing; leave one of the two out")
    if len(found) == 1:
        raise ValueError(f"the weight after {having[0]}: has no effect with a single style; leave it out")
    options.weights = [1.0 if weight is None else weight for _, weight in found]


def _what(options: argparse.Namespace, kind: str) -> str:
    """What the photos are painted with, for the names of results."""
    if kind in ("gatys", "adain"):
        words = [Path(word).stem for word in (options.pictures[-1], *(options.style or []))]
    else:
        words = options.style or [model_stem(options.model)]
    return "+".join(words)[:_LONGEST_NAME]


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
    if options.optimizer == "adam" and options.history is not None:
        raise ValueError("--history has no effect with --optimizer adam, which remembers no steps; leave it out")
