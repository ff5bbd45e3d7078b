"""How much a painted clip flickers, and what has to stand beside that number.

`temporal_error` follows the motion: it compares each frame with an earlier one that was warped into its position, where
the earlier one showed the same thing. Resampling alone gives an error, so the clip's own error is the floor to compare
with. And the number can be cheated: a blend of frames becomes blurred, and blurred frames differ less, down to below
that floor. `sharpness` is printed beside it for this reason. `noise_gain` asks a painter instead of a clip: flicker is
what it makes of noise that nobody sees. `drift` finds a picture that slowly changes although nothing moves.

The motion is that of the *content*: `data.camera.Clip.motion`, or ``lambda t, s: flow.between(frames[t : t + 1],
frames[s : s + 1])`` for the frames that were painted.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments, runtime
from course_lib.evaluation.inputs import FAR, check
from course_lib.evaluation.metrics import luma
from course_lib.flow import Motion, motion_of, warp
from course_lib.image_checks import ImageError, checked_frames

NOISE = 5e-5  # variance: a standard deviation of 1.8 of 255 levels, as of a camera in good light


def masked_error(a: Tensor, b: Tensor, mask: Tensor) -> float:
    """Σ c (a − b)² / (3 Σ c): the mean square difference over the pixels of a mask.

    Args:
        a, b: (1, 3, H, W) in [0, 1].
        mask: c, (1, 1, H, W) in [0, 1].

    Returns:
        From 0 to 1; NaN for an empty mask.

    Raises:
        ValueError: two shapes, or a mask of another size.

    >>> a, b = torch.zeros(1, 3, 1, 2), torch.tensor([0.5, 1.0]).expand(1, 3, 1, 2)
    >>> masked_error(a, b, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))
    0.25
    """
    check(a, b)
    _check_mask(mask, a)
    squares = (a.double() - b.double()).square().mean(1, keepdim=True) * mask
    return float(squares.sum() / mask.double().sum())


def temporal_errors(
    frames: Tensor | Iterable[Tensor], motion: Callable[[int, int], Motion], *, lag: int = 1
) -> list[float]:
    """The `masked_error` between each frame and the one `lag` frames before, warped into its position.

    Args:
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W), of which only `lag` + 1 are kept.
        motion: of the content, from frame t back to frame s: ``motion(t, s)``.
        lag: distance of the frames that are compared; above 1, slow changes count, and so does what returns after it
            was hidden.

    Returns:
        One number for each frame from number `lag` on; NaN where nothing was visible, as after a cut.

    Raises:
        ImageError: not pictures in [0, 1].
        ValueError: fewer than `lag` + 1 frames, frames of several sizes, or a motion of another size.
    """
    lag = arguments.whole("lag", lag, 1, 100_000)
    errors: list[float] = []
    before: deque[Tensor] = deque(maxlen=lag)
    count = 0
    for t, frame in enumerate(checked_frames(frames, overshoot=FAR)):
        if len(before) == lag:
            known = motion_of(motion, t, t - lag, frame)
            errors.append(masked_error(frame, warp(before[0], known.flow), known.visible))
        before.append(frame)
        count = t + 1
    if not errors:
        raise ImageError(f"the temporal error compares frames {lag} apart and needs {lag + 1} of them, got {count}")
    return errors


def temporal_error(
    frames: Tensor | Iterable[Tensor], motion: Callable[[int, int], Motion], *, lag: int = 1, root: bool = False
) -> float:
    """The mean of `temporal_errors` over time: how much a clip flickers, outside of occlusions.

    Args:
        frames, motion, lag: as for `temporal_errors`.
        root: return its square root, in units of [0, 1]: times 255, it is in gray levels.

    Returns:
        From 0 to 1. 0 for pictures that move by whole pixels and do not change; compare others with the content's.

    Raises:
        ValueError: as for `temporal_errors`, or nothing was visible in any frame.

    >>> still = lambda t, s: Motion(torch.zeros(1, 2, 1, 2), torch.ones(1, 1, 1, 2))
    >>> frames = torch.tensor([0.0, 0.5, 0.5]).view(3, 1, 1, 1).expand(3, 3, 1, 2)
    >>> temporal_error(frames, still), round(temporal_error(frames, still, root=True), 4)
    (0.125, 0.3536)
    """
    errors = [error for error in temporal_errors(frames, motion, lag=lag) if not math.isnan(error)]
    if not errors:
        raise ValueError("no pixel of any frame was visible in the frame before; the motion belongs to another clip")
    mean = sum(errors) / len(errors)
    return mean**0.5 if root else mean


def sharpness(frames: Tensor | Iterable[Tensor]) -> float:
    """The variance of the Laplacian of the luminance, averaged over the frames (Pech-Pacheco et al. 2000).

    The Laplacian, left + right + above + below − 4 · middle, is largest for the finest structures, and these are what
    an average of frames loses first. Only ratios mean something: divide by the sharpness of the same frames painted one
    by one. Noise is sharp as well, so the number says what a blend lost, not whether a painting is good.

    Args:
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W), with sides of at least 3 px.

    Raises:
        ImageError: not pictures in [0, 1], or none.

    >>> from course_lib.flow import warp
    >>> picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> half = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    >>> sharpness(warp(picture, half)) < 0.5 * sharpness(picture)  # half a pixel to the side
    True
    """
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)[None, None]
    values = []
    for frame in checked_frames(frames, least=3, why="the Laplacian", overshoot=FAR):
        values.append(float(F.conv2d(luma(frame).double().cpu(), kernel).var(correction=0)))
    if not values:
        raise ImageError("there are no frames to measure")
    return sum(values) / len(values)


def noise_gain(
    function: Callable[[Tensor], Tensor], frames: Tensor | Iterable[Tensor], *, variance: float = NOISE, seed: int = 0
) -> float:
    """How much of a noise comes out of a function: mean (f(x + n) − f(x))² / mean n².

    A video that shows the same thing twice shows it with other noise. A function with a gain above 1 makes it worse.
    Times `variance`, the result is the mean square difference between two paintings of a frame and of a noisy frame.

    Args:
        function: of (1, 3, H, W) in [0, 1], returns pictures.
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W).
        variance: of Gaussian noise; what leaves [0, 1] is clipped, and the noise that is left counts.
        seed: of the noise.

    Raises:
        ImageError: not pictures in [0, 1], or none.
        ValueError: a variance that is not above 0.

    >>> round(noise_gain(lambda picture: picture / 2, torch.full((2, 3, 8, 8), 0.5)), 4)
    0.25
    """
    deviation = arguments.positive("variance", variance) ** 0.5
    generator = runtime.seeded_generator(arguments.seed(seed))
    given, returned = [], []
    for frame in checked_frames(frames, overshoot=FAR):
        noisy = (frame + deviation * torch.randn(frame.shape, generator=generator).to(frame)).clamp(0, 1)
        given.append(float((noisy - frame).double().square().mean()))
        returned.append(float((function(noisy) - function(frame)).double().square().mean()))
    if not sum(given):
        raise ImageError("there are no frames to measure")
    return sum(returned) / sum(given)


def drift(frames: Tensor | Iterable[Tensor], region: Tensor | None = None) -> list[float]:
    """How far the mean color has moved since the first frame, with its sign: −0.1 where it became darker by 0.1.

    Meant for a part of the clip in which nothing moves: there, a painting should stay as it is. Flicker goes up and
    down and leaves no drift.

    Args:
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W).
        region: a mask (1, 1, H, W) in [0, 1] of that part; None: the whole frame.

    Returns:
        A number for each frame; the first is 0.

    Raises:
        ImageError: not pictures in [0, 1].
        ValueError: a mask of another size, or an empty one.

    >>> drift(torch.tensor([0.5, 0.25]).view(2, 1, 1, 1).expand(2, 3, 2, 2))
    [0.0, -0.25]
    """
    means: list[float] = []
    for frame in checked_frames(frames, overshoot=FAR):
        part = frame.new_ones(1, 1, *frame.shape[2:]) if region is None else region
        _check_mask(part, frame)
        if not part.any():
            raise ValueError("the mask of the region is empty; give one with values above 0")
        part = part.to(frame)
        means.append(float((frame.double() * part).sum() / (3 * part.double().sum())))
    return [mean - means[0] for mean in means]


def _check_mask(mask: Tensor, picture: Tensor) -> None:
    expected = (len(picture), 1, *picture.shape[2:])
    if not isinstance(mask, Tensor) or tuple(mask.shape) != expected:
        got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"expected a mask {expected} in [0, 1] for this picture, got {got}")
