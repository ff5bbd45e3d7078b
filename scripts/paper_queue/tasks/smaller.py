"""The library made smaller, for a trial on a new device and for a rehearsal: a notebook's cells run as they stand.

At scale ``"tenth"`` every optimization and training takes a tenth of its steps. At scale ``"toy"`` pictures are 48 px,
networks are narrow, and everything takes three steps. What a number *is* does not matter then; that the code writes it
does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import course_lib
from course_lib import samples
from course_lib.evaluation import segmenter
from course_lib.methods import gan, gatys, johnson, pix2pix, super_resolution

SIDE = 48  # px of a toy's pictures
_NUMBERS = {"size": SIDE, "stored_size": SIDE, "long_size": SIDE, "stored": SIDE, "steps": 3, "stored_steps": 3,
            "collapse": 3, "num_steps": 3, "epochs": 1, "scorer_steps": 3, "scenes": 4, "budget": 0.5}  # fmt: skip


def shrink_library(
    scale: str, device: str = "cpu", weights: str | Path | None = "default", *, whole_samples: bool = False
) -> None:
    """Replace the functions that take long by smaller ones, in this process and for good.

    Args:
        scale: ``"tenth"`` or ``"toy"``; ``"full"`` changes nothing.
        device: where a toy is computed.
        weights: of a toy's loss network; None for a small random one.
        whole_samples: a picture asked for without a size keeps its own, because parts will be cut out of it.
    """
    if scale == "full":
        return
    _fewer_steps(scale, {} if scale == "tenth" else {"weights": weights, "device": device, "style_scale": 1.0})
    if scale == "toy":
        _toys(device, weights)
        _small_samples(whole_samples)


def shrink_code(source: str, scale: str) -> str:
    """A cell's code with the numbers of a settings table, and of loops of its own, made small."""
    if scale != "toy":
        return source
    for name, value in _NUMBERS.items():
        source = re.sub(rf'"{name}": [\d_.]+', f'"{name}": {value}', source)
    return re.sub(r"\bsteps=\d{3,}|\bnum_steps=800", lambda found: f"{found[0].split('=')[0]}=3", source)


def _steps(count: int, scale: str) -> int:
    return max(1, count // 10) if scale == "tenth" else min(count, 3)


def _fewer_steps(scale: str, more: dict[str, Any]) -> None:
    stylize, dissect, play = gatys.stylize, gatys.dissect, gan.train

    def shorter(content: Any, style: Any, config: Any = None, *, callback: Any = None, **options: Any) -> Any:
        config, seen = config or gatys.Config(), []
        toy = replace(config, num_steps=_steps(config.num_steps, scale), **more)

        def keep(progress: Any) -> None:
            picture = progress.image()
            seen.append(replace(progress, image=lambda: picture))

        result = stylize(content, style, toy, callback=keep if callback else None, **options)
        if callback is not None:  # every step that a watcher may be waiting for
            for step in range(1, config.num_steps + 1):
                callback(replace(seen[min(step, len(seen)) - 1], step=step))
        long = {name: (values * config.num_steps)[: config.num_steps] for name, values in result.history.items()}
        return replace(result, history=long)

    gatys.stylize = shorter
    gatys.dissect = lambda image, content, style, config=None: dissect(
        image, content, style, replace(config or gatys.Config(), **more)
    )
    gan.train = lambda data, config, **rest: play(
        data, replace(config, num_steps=_steps(config.num_steps, scale)), **rest
    )
    if scale == "tenth":
        for method in (johnson, super_resolution):
            _tenth(method)


def _tenth(method: Any) -> None:
    whole = method.train

    def train(*arguments: Any, **options: Any) -> Any:
        *first, config = arguments
        return whole(*first, replace(config, num_steps=_steps(config.num_steps, "tenth")), **options)

    method.train = train


def _small_samples(whole_samples: bool) -> None:
    sample = samples.sample_image

    def small(name: str, size: Any = None, **_: Any) -> Any:
        if size is None and whole_samples:
            return sample(name)
        return sample(name, size=(SIDE, SIDE) if isinstance(size, tuple) else SIDE)

    course_lib.sample_image = small


def _toys(device: str, weights: str | Path | None) -> None:
    sample = samples.sample_image
    photos = [sample(name, size=(SIDE, SIDE)) for name in ("cat", "eilean_donan")]
    tiny = {"weights": weights, "precision": "float32", "device": device, "num_steps": 2, "batch_size": 1,
            "image_size": 40, "width": 0.1}  # fmt: skip
    paint, enlarge = johnson.train, super_resolution.train
    johnson.train = lambda style, _, config, **__: paint(style, photos, replace(config, style_size=SIDE, **tiny))
    johnson.load = lambda name: johnson.train(photos[0], None, johnson.Config.fast())
    super_resolution.train = lambda _, config: enlarge(photos, replace(config, **tiny))
    super_resolution.load = lambda name: super_resolution.train(
        None, replace(super_resolution.Config.fast(), factor=int(name[len("photo_x")]), loss="pixel")
    )
    translate, teach = pix2pix.train, segmenter.train_segmenter
    small = {"num_epochs": 1, "width": 0.05, "batch_size": 1, "precision": "float32", "device": device}
    pix2pix.train = lambda pairs, config, **__: translate(pairs[:2], replace(config, **small))
    segmenter.train_segmenter = lambda pairs, **__: teach(pairs, num_steps=2, weights=weights)
