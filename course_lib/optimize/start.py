"""Before the first step: the picture that a run begins with, and whether the run fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib import runtime
from course_lib.image_checks import check_pictures
from course_lib.images import resize

STARTS = ("noise", "content", "style", "mixed")


def checked_images(
    content: Tensor | None, style: Tensor | Iterable[Tensor] | None
) -> tuple[Tensor | None, list[Tensor]]:
    """Refuse what are not pictures (1, 3, H, W) in [0, 1]; return them as float32 without gradients.

    Args:
        content: a content image, or None.
        style: a style image, several of them (a list, a generator), or None.

    Returns:
        The content image or None, and the list of style images.

    Raises:
        ValueError: no image at all, an empty list, or an `ImageError` for one that is not a picture.
    """
    if content is None and style is None:
        raise ValueError("give a content image, a style image, or both; got neither")
    several = isinstance(style, Iterable) and not isinstance(style, Tensor | str | np.ndarray)
    styles: list[Any] = [] if style is None else list(style) if several else [style]
    if style is not None and not styles:
        raise ValueError("the list of style images is empty; give at least one, or None in place of the list")
    if content is not None:
        check_pictures(content, "the content image", single=True)
        content = content.detach().float()
    for image in styles:
        check_pictures(image, "the style image", single=True)
    return content, [image.detach().float() for image in styles]


def start_image(
    kind: str,
    content: Tensor | None,
    style: Tensor | None,
    *,
    noise_width: float = 1.0,
    noise_ratio: float = 0.7,
    seed: int = 0,
) -> Tensor:
    """The first picture of a run, (1, 3, H, W) float32 in [0, 1], of the content image's size where there is one.

    Args:
        kind: ``"noise"``, uniform in 0.5 ± noise_width/2; ``"content"``; ``"style"``, resized; or ``"mixed"``,
            noise_ratio · noise + (1 − noise_ratio) · content.
        content, style: (1, 3, H, W) and (1, 3, h, w) in [0, 1], on the device of the run; one of them may be None.
        seed: of the noise, which is the same on every device.

    Raises:
        ValueError: an unknown kind, or one that needs the image that is None.

    >>> start_image("mixed", torch.zeros(1, 3, 4, 4), None, noise_ratio=0.0).sum().item()
    0.0
    """
    frame = content if content is not None else style
    if kind not in STARTS or frame is None:
        raise ValueError(f"expected a start out of {STARTS} and at least one image, got {kind!r}")
    if kind == "style":
        if style is None:
            raise ValueError("start='style' needs a style image; use 'noise' or 'content'")
        return resize(style, (frame.shape[-2], frame.shape[-1])).clone()
    white = torch.rand(frame.shape, generator=runtime.seeded_generator(seed)).to(frame.device)
    noise = 0.5 + noise_width * (white - 0.5)
    if kind == "noise":
        return noise
    if content is None:
        raise ValueError(f"start={kind!r} needs a content image; use 'noise' or 'style'")
    return content.clone() if kind == "content" else noise_ratio * noise + (1 - noise_ratio) * content


def check_memory(
    needed: Callable[[int, int], int], height: int, width: int, device: torch.device, *, advice: str = ""
) -> None:
    """Refuse a run that will not fit before it starts, and say which size would.

    Args:
        needed: from height and width in pixels to bytes.
        height, width: of the picture.
        advice: what else would need less, for the message.

    Raises:
        MemoryError: names what is needed, what is free, and the largest long side that fits.
    """
    free = runtime.available_memory(device)
    if free is None or needed(height, width) <= free:
        return
    side = largest_that_fits(needed, height, width, device, free=free)
    raise MemoryError(
        f"a picture of {height}×{width} px needs about {needed(height, width) / 1e9:.1f} GB of memory, and "
        f"{free / 1e9:.1f} GB are free: the largest that fits has a long side of {side} px"
        + (f"; {advice}" if advice else "")
    )


def largest_that_fits(
    needed: Callable[[int, int], int], height: int, width: int, device: torch.device, *, free: int | None = None
) -> int:
    """The long side of the largest picture of a shape that fits into memory, in pixels; at most that of the shape.

    Args:
        needed, height, width, device: as for `check_memory`.
        free: bytes; None: what is free on the device now.

    >>> largest_that_fits(lambda h, w: h * w, 30, 40, torch.device("cpu"), free=500)  # 19 × 26
    26
    """
    longest = max(height, width)
    free = runtime.available_memory(device) if free is None else free
    if free is None or needed(height, width) <= free:
        return longest
    side, too_long = 1, longest
    while too_long - side > 1:
        half = (side + too_long) // 2
        fits = needed(height * half // longest, width * half // longest) <= free
        side, too_long = (half, too_long) if fits else (side, half)
    return side
