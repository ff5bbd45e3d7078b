"""What counts as a picture: a tensor (N, 3, H, W), floating point, finite, in [0, 1].

Everything in this package that takes pictures uses these checks and their messages. Without them, a picture on another
scale would not fail anywhere: a network would train on it, and a measure would return a number.

PyTorch is imported when a picture is checked, so that the command line can read its options, and name its errors,
without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from torch import Tensor


class ImageError(ValueError):
    """A picture that cannot be read, converted or written; the message says what to do."""


def check_pictures(
    images: Tensor, what: str = "", *, single: bool = False, least: int = 1, why: str = "", overshoot: float = 1e-3,
    centered: bool = False,
) -> None:  # fmt: skip
    """Check that a tensor is a batch of pictures: (N, 3, H, W), floating point, finite, in [0, 1].

    Args:
        images: what the caller passed.
        what: its name in the message: "the style image".
        single: whether N must be 1.
        least: the smallest side allowed, in pixels.
        why: what needs that side, for the message: "the network".
        overshoot: how far values may lie outside [0, 1], as those of noise and of an optimizer's picture do. A picture
            that fills [-1, 1] is refused all the same.
        centered: whether values around 0 are allowed, too, because contrast and brightness do not matter.

    Raises:
        ImageError: it is not; the message says what is wrong and what to do.

    >>> import torch
    >>> check_pictures(torch.rand(2, 3, 8, 8))
    """
    from torch import stack

    check_tensor(images, what, single=single, least=least, why=why)
    low, high = stack(images.detach().aminmax()).tolist()  # one wait for the device
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~images.detach().isfinite()).sum())
        _refuse(
            what,
            f"{bad:,} of {images.numel():,} values are NaN or infinite, expected [0, 1]. Read files with load_image; "
            "if a run made this picture, it diverged, so take the last picture before that.",
        )
    fills = -1.001 <= low < -0.5 and high <= 1.001 and not centered
    if low < -overshoot or high > 1 + overshoot or fills:
        remedy = (
            "use (x + 1) / 2 for a picture in [-1, 1]" if fills else "or divide a picture on the scale 0..255 by 255"
        )
        far = "far outside" if overshoot > 1 and not fills else "expected"
        _refuse(what, f"values run from {low:.3g} to {high:.3g}, {far} [0, 1]. Read files with load_image, {remedy}.")


def check_tensor(image: Tensor, what: str = "", *, single: bool = False, least: int = 1, why: str = "") -> None:
    """The part of `check_pictures` that reads no values: type, shape, dtype and size.

    Raises:
        ImageError: not a tensor, another shape, whole numbers, or too small a picture.
    """
    from torch import Tensor

    if not isinstance(image, Tensor):
        got = "None" if image is None else type(image).__name__
        makers = "load_image reads a file, from_pil converts a PIL picture"
        _refuse(what, f"expected a torch.Tensor, got {got}; {makers}.")
    shape = tuple(image.shape)
    if len(shape) != 4 or shape[1] != 3 or image.numel() == 0 or (single and shape[0] != 1):
        advice = ""
        if len(shape) == 3 and shape[0] == 3:
            advice = " Use image[None] to add the batch dimension."
        elif len(shape) in (3, 4) and shape[-1] == 3:
            advice = " The channels come last: use image.movedim(-1, -3)."
        elif len(shape) == 4 and shape[1] == 1:
            advice = " Use image.expand(-1, 3, -1, -1) to make three equal colors of one gray channel."
        elif len(shape) == 4 and shape[1] == 4:
            advice = " Use image[:, :3] to leave out the alpha channel."
        elif single and len(shape) == 4 and shape[0] > 1:
            advice = " Use image[k : k + 1] for the k-th picture."
        expected = "(1, 3, H, W)" if single else "(N, 3, H, W)"
        _refuse(what, f"got shape {shape}, expected {expected}, with no side 0.{advice}")
    if not image.is_floating_point():
        _refuse(what, f"got {image.dtype}, expected floats in [0, 1]; for 0..255 use image.float() / 255.")
    if min(shape[2:]) < least:
        _refuse(
            what,
            f"the picture is {shape[3]} px wide and {shape[2]} px high; {why or 'this function'} needs sides of at "
            f"least {least} px, so enlarge it first, or use a larger one.",
        )


def checked_frames(
    frames: Tensor | Iterable[Tensor], *, least: int = 1, why: str = "", overshoot: float = 1e-3
) -> Iterator[Tensor]:
    """The frames of a clip one by one, (1, 3, H, W) each, checked when their turn comes.

    Args:
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W).
        least, why, overshoot: as for `check_pictures`.

    Raises:
        ImageError: something else than pictures, or frames of several sizes.

    >>> import torch
    >>> [tuple(frame.shape) for frame in checked_frames(torch.rand(2, 3, 8, 8))]
    [(1, 3, 8, 8), (1, 3, 8, 8)]
    """
    from torch import Tensor

    if isinstance(frames, Tensor):
        check_tensor(frames, "the frames", least=least, why=why)
        frames = frames.split(1)
    elif isinstance(frames, str | bytes) or not isinstance(frames, Iterable):
        _refuse("the frames", f"expected (T, 3, H, W) or an iterable of frames, got {type(frames).__name__}.")
    first: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        check_pictures(frame, f"frame {number}", single=True, least=least, why=why, overshoot=overshoot)
        if tuple(frame.shape) != (first or tuple(frame.shape)):
            sizes = [f"{shape[3]} px wide and {shape[2]} px high" for shape in (frame.shape, first or ())]
            _refuse(f"frame {number}", f"it is {sizes[0]}, and the first one {sizes[1]}; a clip has one size.")
        first = tuple(frame.shape)
        yield frame


def _refuse(what: str, problem: str) -> NoReturn:
    raise ImageError(f"{what}: {problem}" if what else problem[0].upper() + problem[1:])
