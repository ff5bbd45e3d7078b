"""From coarse to fine: a picture is solved small, enlarged, and solved again (Gatys et al. 2017).

A filter of a deep layer sees some hundred pixels. In a small picture that is a large form, so a small picture gets
large forms, in a fraction of the time; each enlargement then adds details to what is there. An enlarged picture has no
fine grain, so none of the noise is left in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from torch import Tensor

from course_lib.images import resize
from course_lib.runtime import Callback, Progress

_LEAST_STEP = 1.5  # a smaller enlargement is not worth a size of its own


def sizes(height: int, width: int, scales: Sequence[int] | None, *, least: int = 1) -> tuple[tuple[int, int], ...]:
    """The sizes (H, W) at which to solve a picture, the smallest first; the last is the picture's own.

    Args:
        height, width: of the final picture, in pixels.
        scales: the long sides of smaller ones; None: only the final picture. Those from which the final picture is
            enlarged by 1.5 or less are left out, and so are those of fewer than `least` pixels.

    >>> sizes(512, 384, (128, 256, 512)), sizes(160, 160, (128, 256, 512))
    (((128, 96), (256, 192), (512, 384)), ((160, 160),))
    """
    long = max(height, width)
    smaller = sorted(side for side in scales or () if side >= least and _LEAST_STEP * side < long)
    return (*((round(side * height / long), round(side * width / long)) for side in smaller), (height, width))


def steps(num_steps: int, count: int) -> tuple[int, ...]:
    """Steps at each of `count` sizes: `num_steps` at the last, and twice as many at each size before the next.

    Half the side is a quarter of the work, so each smaller size takes half the time of the next.

    >>> steps(60, 4)
    (480, 240, 120, 60)
    """
    return tuple(num_steps * 2**k for k in reversed(range(count)))


def least_side(
    least: int, content: Tensor | None, styles: Sequence[Tensor], full: tuple[int, int], style_scale: float = 1.0
) -> int:
    """The smallest long side of the picture at which no image has a side of fewer than `least` pixels.

    Args:
        least: the pixels that a network needs.
        content, styles: as for `reduced`; with a content image, a style image's long side is `style_scale` times the
            picture's.
        full: (H, W) of the final picture.
    """
    shares = [min(full) / max(full)]  # an image's short side, for a picture whose long side is one
    for style in styles:
        long = max(full) if content is None else max(style.shape[-2:]) / style_scale
        shares.append(min(style.shape[-2:]) / long)
    return ceil(least / min(shares))


def reduced(
    content: Tensor | None, styles: list[Tensor], size: tuple[int, int], full: tuple[int, int]
) -> tuple[Tensor | None, list[Tensor]]:
    """The images for a picture of `size` in place of `full`, (H, W) each.

    Where there is a content image, the style images stay as they are: an objective resizes them to it. For a texture
    they shrink with the picture.
    """
    if content is not None:
        return fitted(content, size), styles
    if size == full:
        return None, styles
    ratio = max(size) / max(full)
    return None, [resize(image, max(1, round(ratio * max(image.shape[-2:])))) for image in styles]


def joined(history: dict[str, list[float]], more: dict[str, list[float]], side: int) -> dict[str, list[float]]:
    """A run's history, continued by the history of its next scale, with ``"scale"``: the long side at each step."""
    if not more:  # stopped before its first step
        return history
    before = history["seconds"][-1] if history else 0.0
    seconds = [before + value for value in more["seconds"]]
    more = {**more, "seconds": seconds, "scale": [float(side)] * len(seconds)}
    return {name: history.get(name, []) + values for name, values in more.items()}


def shifted(
    callback: Callback | None, size: tuple[int, int], before: dict[str, list[float]], num_steps: int
) -> Callback | None:
    """A callback for one scale that reports to `callback` in terms of the whole run.

    Args:
        callback: of the caller, or None.
        size: (H, W) of the final picture, to which the present one is enlarged.
        before: the history of the scales that are done.
        num_steps: of the whole run.
    """
    if callback is None:
        return None
    done = len(before.get("total", ()))
    passed = before["seconds"][-1] if done else 0.0

    def report(progress: Progress) -> None:
        callback(
            replace(
                progress,
                step=done + progress.step,
                num_steps=num_steps,
                seconds=passed + progress.seconds,
                image=lambda: fitted(progress.image(), size),
            )
        )

    return report


def fitted(image: Tensor, size: tuple[int, int]) -> Tensor:
    """`image`, (1, 3, h, w), at `size`, (H, W): itself if it has that size."""
    return image if tuple(image.shape[-2:]) == size else resize(image, size)
