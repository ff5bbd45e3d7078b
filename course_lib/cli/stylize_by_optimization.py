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

from course_lib import arguments
from course_lib.cli import batch, masks
from course_lib.cli.arguments import given, picture_file, style_shares
from course_lib.cli.painting_watch import Watch
from course_lib.cli.stylize_in_one_pass import as_photo, check_photo
from course_lib.cli.stylize_options import LONGEST, OFF, ONLY_OPTIMIZED, ORIGINAL
from course_lib.cli.terminal import bar, complain, in_options, say
from course_lib.colors import with_colors_of
from course_lib.images import load_image, resize
from course_lib.masks import Regions
from course_lib.methods import control, deep_photo, gatys, patches
from course_lib.optimize import scales
from course_lib.optimize.start import largest_that_fits
from course_lib.painting import objective
from course_lib.painting.additions import Patches
from course_lib.painting.run import Result
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Addition
from course_lib.picture_files import check_writable
from course_lib.runtime import Callback

STEPS, FEWEST = 60, 30  # evaluations at the final size: up to 512 px, and from 1,024 px on; fewer leave colored specks
_OF_PATCHES = ("style_weight", "content_layers", "pooling", "tv_weight")
WISHES = ("keep_colors", "mask", "patches", "photorealistic", "fine_style")  # beyond Gatys et al. 2016


def configuration(options: argparse.Namespace, long: int = LONGEST) -> Settings:
    """The method's settings for these options; what was not given is our best engine's, from the photo.

    Args:
        options: of ``stylize``.
        long: side of the picture in pixels, if ``--size`` does not say it.

    Raises:
        ValueError: a number out of range, or numbers that do not fit together.
    """
    config: Settings = _method(options).Config.fast()
    if options.patches is not None and options.photorealistic is None:  # what makes patches look good
        tuned = _for_patches(options)
        config = replace(config, **{name: getattr(tuned, name) for name in _OF_PATCHES})
    chosen = given(options, "style_weight", "start", "device", "seed", "optimizer", "precision")
    if options.history is not None:
        chosen["history_size"] = options.history
    for name in ("content_layers", "style_layers"):
        if getattr(options, name) is not None:
            chosen[name] = tuple(getattr(options, name))
    if options.style_scale is not None:
        chosen["style_scale"] = tuple(options.style_scale) if len(options.style_scale) > 1 else options.style_scale[0]
    if options.layer_weights is not None:
        chosen["style_layer_weights"] = _layer_weights(options.layer_weights)
    if options.scales is not None:
        if OFF in options.scales and len(options.scales) > 1:
            raise ValueError("--scales is off or a list of sizes in pixels, not both")
        chosen["scales"] = None if options.scales == [OFF] else tuple(options.scales)
    if isinstance(options.photorealistic, float):  # else without a number
        chosen["photo_weight"] = arguments.positive("photorealistic", options.photorealistic)
    steps = options.steps or steps_for(long if options.size in (None, ORIGINAL) else 0)
    return replace(config, num_steps=steps, **{"start": "content", **chosen})


def steps_for(long: int) -> int:
    """Steps at the final size without ``--steps``.

    Coarse sizes come first and do most of the work, so that a large picture is good after fewer steps of its own.

    Args:
        long: side of the picture in pixels; 0: the user chose it, and waits for it.

    >>> [steps_for(long) for long in (0, 128, 256, 512, 1024, 4000)]
    [60, 60, 60, 60, 30, 30]
    """
    return max(FEWEST, min(STEPS, STEPS * 512 // max(1, long)))


def any_painting(
    options: argparse.Namespace, paintings: Sequence[Path], work: batch.Plan
) -> Callable[[batch.Job, batch.Picture], batch.Made]:
    """In the style of any paintings; the function that is returned paints one picture.

    Raises:
        ImageError: a painting or a mask that cannot be read.
        ValueError: a number out of range, masks that do not fit, or an option without effect.
    """
    names = [options.pictures[-1], *(options.style or [])]
    shares = style_shares(options, names)
    blend = None if shares is None else tuple(shares)
    config = configuration(options)  # raises an error before anything is read
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
    preview = None if options.preview is None else check_writable(options.preview)
    styles = [load_image(path) for path in paintings]
    fine = None if options.fine_style is None else load_image(picture_file(options.fine_style))
    regions = masks.regions(options, styles, names, work.jobs)
    if shares is not None:
        _check_shares(shares, regions, config, names)
    ready: list[Tensor] = []
    told: list[batch.Job] = []  # the first one says what a photo takes

    def paint(job: batch.Job, picture: batch.Picture) -> batch.Made:
        content, opacity = picture
        if options.size in (None, ORIGINAL):
            content, opacity = _announced(job, picture, options, regions, silent=bool(told))
            told.append(job)
        long = max(content.shape[-2:])
        config = replace(configuration(options, long), style_blend=blend)
        batch.check(job, *content.shape[-2:])
        if options.photorealistic is not None:
            check_photo(content)
        if not ready:
            ready.extend(styles if fine is None else _with_strokes(styles, fine, long, options))
        colors = control.Config(colors=options.keep_colors or "painting")
        photo, dyed = control.in_colors_of(content, ready, colors)

        def finished(image: Tensor) -> Tensor:
            if options.photorealistic is not None:
                image = as_photo(image, photo)
            return with_colors_of(image, content).clamp(0, 1) if colors.colors == "luminance" else image

        def copy(step: int, image: Tensor) -> None:
            target = job.target.with_stem(f"{job.target.stem}_{step:04}")
            batch.save(replace(job, target=target), finished(image), opacity, options.kept.note(job.source))

        with bar(total=config.num_steps, desc=None, unit="step", leave=None) as shown:
            watch = Watch(shown, preview=preview, every=options.save_every, copy=copy)
            try:
                result = _optimized(photo, dyed, config, options, regions, watch)
            except KeyboardInterrupt:
                if watch.latest is None:
                    raise
                shown.close()
                batch.save(job, finished(watch.latest.image()), opacity, options.kept.note(job.source))
                step = watch.latest.step
                complain(f"stopped after step {step}; saved {job.target}", code=130, file=job.target, steps=step)
                raise SystemExit(130) from None
        for note in (result.stopped, result.advice):
            if note:
                say(in_options(note, options))
        return batch.Made(finished(result.image), opacity, *_told(result, options.model), options.kept.note(job.source))

    return paint


def _told(result: Result, model: str | None) -> tuple[str, dict[str, Any]]:
    """What is said of a run: the line for people, and what programs read."""
    totals = result.history.get("total", [])
    seconds = result.history["seconds"][-1] if totals else 0.0
    about = {
        "seconds": seconds, "steps": len(totals), "settings": result.config, "model": model,
        "losses": {name: values[-1] for name, values in result.history.items() if name not in ("seconds", "scale")},
        "device": result.extra.get("device"), "precision": result.extra.get("precision"),
    }  # fmt: skip
    return f"{len(totals)} steps in {f'{seconds:.1f} s' if totals else '0 s'}", about


def _announced(
    job: batch.Job, picture: batch.Picture, options: argparse.Namespace, regions: Regions | None, *, silent: bool
) -> batch.Picture:
    """A photo whose size the user did not give in pixels: as large as memory allows, with a word about what it takes.

    Args:
        silent: leave that word out.

    Raises:
        MemoryError: its own size was asked for, and is too large; it names the largest that fits.
    """
    content, opacity = picture
    height, width = content.shape[-2:]
    config = configuration(options, max(height, width))
    more = _additions(options, regions)
    names = dict.fromkeys((*config.content_layers, *config.style_layers, *(n for each in more for n in each.layers)))
    network = objective.network_for(config, [*names])

    def needed(h: int, w: int) -> int:
        return objective.memory_needed(network, h, w, config) + sum(each.memory_needed(network, h, w) for each in more)

    device = network.mean.device
    side = max(height, width) if options.size == ORIGINAL else largest_that_fits(needed, height, width, device)
    if side < max(height, width):
        say(f"{job.source}: reduced to {side} px, the largest that fits into the free memory; --size N sets another")
        content, opacity = batch.load(job, side)
        height, width = content.shape[-2:]
        config = configuration(options, side)
    if silent:
        return content, opacity
    sizes = scales.sizes(height, width, config.scales)
    steps = sum(scales.steps(config.num_steps, len(sizes)))
    way = "from coarse to fine, " * (len(sizes) > 1)
    advice = ["--size 512 is faster"] * (max(height, width) > 512)
    if options.size is None and max(height, width) == LONGEST:
        advice.append("--size original takes the photo's own size")
    if all(getattr(options, name) in (None, False) for name in ONLY_OPTIMIZED):
        advice.append("--method adain takes seconds")
    memory = f"about {needed(height, width) / 1e9:.1f} GB of memory"
    say("; ".join([f"{job.source.name}: {width} × {height} px, {way}{steps} steps, {memory}", *advice]))
    return content, opacity


def _additions(options: argparse.Namespace, regions: Regions | None) -> list[Addition]:
    """The terms beside content and style."""
    if options.patches is None:
        return []
    weight = _for_patches(options).patch_weight if options.patches is True else options.patches
    return [Patches(weight, regions=regions)]


def _layer_weights(words: Sequence[str]) -> str | tuple[float, ...]:
    """What ``--layer-weights`` says.

    Raises:
        ValueError: neither one of the two words nor numbers.
    """
    if len(words) == 1 and words[0] in ("equal", "balanced"):
        return words[0]
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        raise ValueError(
            f"--layer-weights is equal, balanced, or a number for each style layer, got {' '.join(words)}"
        ) from None


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
    additions = _additions(options, regions)
    placed = regions if config.style_weight > 0 else None
    done: Result = method.stylize(photo, styles, config, regions=placed, additions=additions, callback=callback)
    return done


def _for_patches(options: argparse.Namespace) -> patches.Config:
    return patches.Config() if options.style_weight == 0 else patches.Config.fusion()


def _with_strokes(styles: Sequence[Tensor], fine: Tensor, long: int, options: argparse.Namespace) -> list[Tensor]:
    """The paintings, at the size of the photos, with the strokes of another one."""
    chosen = given(options, "device", "seed", "optimizer", "precision")
    config = replace(control.Config.fast(), num_steps=configuration(options, long).num_steps, **chosen)
    with bar(total=config.num_steps, desc="strokes", unit="step", leave=None) as shown:
        done = []
        for style in styles:
            shown.reset()
            done.append(control.with_fine_style(resize(style, long), fine, config, callback=Watch(shown)))
    return done


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
