"""``stylize`` by optimization: each photo is painted step by step.

Without further wishes the method is that of Gatys et al. 2016. Colors, regions, strokes and patches make it that of
Gatys et al. 2017 (`methods.control`), and ``--photorealistic`` that of Luan et al. 2017 (`methods.deep_photo`), after
which the picture gets the gradients of the photo (`methods.screened_poisson`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.std import tqdm

from course_lib import arguments
from course_lib.cli import batch, masks
from course_lib.cli.arguments import given, picture_file, style_shares
from course_lib.cli.stylize_in_one_pass import as_photo, check_photo
from course_lib.cli.terminal import in_options, say
from course_lib.colors import with_colors_of
from course_lib.images import load_image, resize
from course_lib.masks import Regions
from course_lib.methods import control, deep_photo, gatys, patches
from course_lib.painting.additions import Patches
from course_lib.painting.run import Result
from course_lib.painting.settings import Settings
from course_lib.runtime import Callback, Progress

STEPS, SIZE = 60, 256  # evaluations at the final size; px, its long side
_OF_PATCHES = ("style_weight", "content_layers", "pooling", "tv_weight")
WISHES = ("keep_colors", "mask", "patches", "photorealistic", "fine_style")  # beyond Gatys et al. 2016


def configuration(options: argparse.Namespace) -> Settings:
    """The method's settings for these options; what was not given is our best engine's, from the photo."""
    config: Settings = _method(options).Config.fast()
    if options.patches is not None and options.photorealistic is None:  # what makes patches look good
        tuned = _for_patches(options)
        config = replace(config, **{name: getattr(tuned, name) for name in _OF_PATCHES})
    chosen = given(options, "style_weight", "start", "device", "seed")
    if isinstance(options.photorealistic, float):  # else without a number
        chosen["photo_weight"] = arguments.positive("photorealistic", options.photorealistic)
    return replace(config, num_steps=options.steps or STEPS, **{"start": "content", **chosen})


def any_painting(
    options: argparse.Namespace, paintings: Sequence[Path], work: batch.Plan
) -> Callable[[batch.Job], str]:
    """In the style of any paintings; the function that is returned paints one picture.

    Raises:
        ImageError: a painting or a mask that cannot be read.
        ValueError: a number out of range, masks that do not fit, or an option without effect.
    """
    names = [options.pictures[-1], *(options.style or [])]
    shares = style_shares(options, names)
    config = replace(configuration(options), style_blend=None if shares is None else tuple(shares))
    if isinstance(options.patches, float):  # else without a number
        arguments.positive("patches", options.patches)
    if (
        options.patches is None
        and config.style_weight == 0
        and (wishes := [word for word in WISHES if getattr(options, word) is not None])
    ):
        raise ValueError(
            f"--{wishes[0].replace('_', '-')} has no effect with --style-weight 0, which takes nothing from the "
            "painting; raise it, or add --patches"
        )
    styles = [load_image(path) for path in paintings]
    fine = None if options.fine_style is None else load_image(picture_file(options.fine_style))
    regions = masks.regions(options, styles, names, work.jobs)
    if shares is not None:
        _check_shares(shares, regions, config, names)
    ready: list[Tensor] = []

    def paint(job: batch.Job) -> str:
        content, opacity = batch.load(job, options.size or SIZE)
        batch.check(job, *content.shape[-2:])
        if options.photorealistic is not None:
            check_photo(content)
        if not ready:
            ready.extend(styles if fine is None else _with_strokes(styles, fine, options))
        colors = control.Config(colors=options.keep_colors or "painting")
        photo, dyed = control.in_colors_of(content, ready, colors)

        def finished(image: Tensor) -> Tensor:
            if options.photorealistic is not None:
                image = as_photo(image, photo)
            return with_colors_of(image, content).clamp(0, 1) if colors.colors == "luminance" else image

        latest: list[Progress] = []
        with _bar(config.num_steps) as bar:
            try:
                result = _optimized(photo, dyed, config, options, regions, _watch(bar, latest))
            except KeyboardInterrupt:
                if not latest:
                    raise
                bar.close()
                batch.save(job, finished(latest[0].image()), opacity)
                say(f"stopped after step {latest[0].step}; saved {job.target}")
                raise SystemExit(130) from None
        batch.save(job, finished(result.image), opacity)
        for note in (result.stopped, result.advice):
            if note:
                say(in_options(note, options))
        seconds = f"{result.history['seconds'][-1]:.1f} s" if result.history else "0 s"
        return f"{job.target}: {len(result.history.get('total', []))} steps in {seconds}"

    return paint


def _method(options: argparse.Namespace) -> Any:
    """The module that paints."""
    if options.photorealistic is not None:
        return deep_photo
    return control if any(getattr(options, word) is not None for word in WISHES) else gatys


def _optimized(
    photo: Tensor,
    styles: list[Tensor],
    config: Settings,
    options: argparse.Namespace,
    regions: Regions | None,
    callback: Callback,
) -> Result:
    method = _method(options)
    if method is gatys:
        return gatys.stylize(photo, styles, config, callback=callback)  # type: ignore[arg-type]
    additions = []
    if options.patches is not None:
        weight = _for_patches(options).patch_weight if options.patches is True else options.patches
        additions = [Patches(weight, regions=regions)]
    placed = regions if config.style_weight > 0 else None
    done: Result = method.stylize(photo, styles, config, regions=placed, additions=additions, callback=callback)
    return done


def _for_patches(options: argparse.Namespace) -> patches.Config:
    return patches.Config() if options.style_weight == 0 else patches.Config.fusion()


def _with_strokes(styles: Sequence[Tensor], fine: Tensor, options: argparse.Namespace) -> list[Tensor]:
    """The paintings, at the size of the photos, with the strokes of another one."""
    config = replace(control.Config.fast(), num_steps=options.steps or STEPS, **given(options, "device", "seed"))
    with _bar(config.num_steps, "strokes") as bar:
        done = []
        for style in styles:
            bar.reset()
            coarse = resize(style, options.size or SIZE)
            done.append(control.with_fine_style(coarse, fine, config, callback=_watch(bar, [])))
    return done


def _bar(steps: int, text: str | None = None) -> Any:
    return tqdm(total=steps, desc=text, unit="step", disable=None, leave=None)


def _watch(bar: Any, latest: list[Progress]) -> Callback:
    """Show loss and remaining time, and keep what was reported last."""

    def watch(progress: Progress) -> None:
        latest[:] = [progress]
        bar.total = progress.num_steps  # of all sizes
        bar.set_postfix(loss=f"{progress.losses['total']:.3g}", refresh=False)
        bar.update()

    return watch


def _check_shares(shares: Sequence[float], regions: Regions | None, config: Settings, names: Sequence[str]) -> None:
    """Refuse weights that change nothing, or leave a region without a style."""
    if config.style_weight == 0:
        raise ValueError("--weights has no effect with --style-weight 0, since patches have no share; leave it out")
    if regions is None:
        return
    having = [[bool(masks[k].any()) for masks in regions.styles] for k in range(len(regions.names))]
    if max(map(sum, having)) == 1:
        raise ValueError("--weights has no effect, since no region has two paintings; leave it out")
    for region, has in zip(regions.names, having, strict=True):
        if not any(share for share, one in zip(shares, has, strict=True) if one):
            only = ", ".join(name for name, one in zip(names, has, strict=True) if one)
            raise ValueError(
                f"region {region} takes its style from {only} alone, whose share in --weights is 0; raise it"
            )
