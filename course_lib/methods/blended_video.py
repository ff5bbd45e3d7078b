"""Any painter, made calmer: each painted frame is blended with the one before, moved along (after Ruder et al. 2016).

A function f paints the frames x_t of a clip one by one. What it makes of small changes flickers. With w the optical
flow from frame t back to frame t − 1, and m the pixels that frame t − 1 showed, too,

    y_0 = f(x_0),    y_t = (1 − b m) f(x_t) + b m warp(y_{t−1}, w)

A flicker that is independent from frame to frame keeps the part (1 − b)/(1 + b) of its variance. Nothing is learned and
nothing is known of f: it may be a painter, AdaIN, or a cartoon. New and uncovered pixels come from f alone, so nothing
is dragged along. The price is blur: y_t is a mean of frames that were resampled again and again, which is why `warp` is
bicubic here. `evaluation.temporal` measures both. Symbols: b = blend.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import length_hint

from torch import Tensor, cat

from course_lib import config_checks, flow, runtime
from course_lib.flow import Motion
from course_lib.image_checks import ImageError, check_pictures, check_tensor, checked_frames


@dataclass(frozen=True)
class Config:
    """No paper gives these numbers; chapter 20 measures what they do."""

    blend: float = 0.7  # b: 0 leaves the frames as f paints them; ours
    preset: str = "medium"  # of the estimated flow, see `flow.estimate`; ours

    def __post_init__(self) -> None:
        config_checks.check(self, fractions=("blend",), choices={"preset": flow.PRESETS})

    @classmethod
    def fast(cls) -> Config:
        """A flow that is estimated in a quarter of the time."""
        return cls(preset="fast")

    @classmethod
    def quick(cls) -> Config:
        """The fastest flow, for a first look."""
        return cls(preset="ultrafast")


@dataclass(frozen=True)
class Result:
    """What `stylize` returns.

    `history` has one number for each frame: ``"seconds"`` since the start, and ``"visible"``, the part of the frame
    that the frame before showed, too; 0 for the first one.
    """

    image: Tensor  # (T, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]
    config: Config


def stylize(
    frames: Tensor | Iterable[Tensor],
    paint: Callable[[Tensor], Tensor],
    config: Config | None = None,
    *,
    motion: Callable[[int, int], Motion] | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint a clip with a function of one frame, and blend each painting with the one before.

    Args:
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W).
        paint: f, from (1, 3, H, W) in [0, 1] to a painting of the same size.
        config: defaults to `Config()`.
        motion: from frame t back to frame s, ``motion(t, s)``; None: estimated from the frames (`flow.between`).
        callback: called after each frame with a `runtime.Progress`; its only loss is ``"total"``, the part that is not
            visible. Of an iterable whose length is not known, `num_steps` is the number of frames so far.

    Raises:
        ImageError: not frames of one size in [0, 1], no frame, or a painting of another size.
        TypeError: `paint` or `motion` is not a function, or returns something else.
        FlowError: OpenCV is not installed, which estimates the flow.

    >>> import torch
    >>> still = lambda t, s: Motion(torch.zeros(1, 2, 1, 1), torch.ones(1, 1, 1, 1))
    >>> frames = torch.tensor([0.0, 1.0, 1.0]).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    >>> stylize(frames, lambda frame: frame, Config(blend=0.5), motion=still).image[:, 0].flatten().tolist()
    [0.0, 0.5, 0.75]
    """
    config = config_checks.given(config, Config, callback=callback)
    total = length_hint(frames)
    began, painted = time.perf_counter(), []
    history: dict[str, list[float]] = {"seconds": [], "visible": []}
    for picture, visible in _blended(frames, paint, config, motion):
        painted.append(picture)
        history["seconds"].append(time.perf_counter() - began)
        history["visible"].append(visible)
        if callback is not None:
            done, losses = len(painted), {"total": 1 - visible}
            callback(runtime.Progress(done, max(total, done), losses, history["seconds"][-1], picture.clone))
    if not painted:
        raise ImageError("there are no frames to paint")
    return Result(cat(painted), history, config)


def stream(
    frames: Iterable[Tensor],
    paint: Callable[[Tensor], Tensor],
    config: Config | None = None,
    *,
    motion: Callable[[int, int], Motion] | None = None,
) -> Iterator[Tensor]:
    """Paint a clip of any length; two frames and two paintings are in memory.

    Args:
        frames, paint, config, motion: as for `stylize`.

    Yields:
        Each painted frame, (1, 3, H, W) in [0, 1], float32, on the CPU.

    Raises:
        ImageError, FlowError: as for `stylize`, when the turn of a frame comes.
    """
    config = config_checks.given(config, Config)
    return (picture for picture, _ in _blended(frames, paint, config, motion))


def _blended(
    frames: Tensor | Iterable[Tensor],
    paint: Callable[[Tensor], Tensor],
    config: Config,
    motion: Callable[[int, int], Motion] | None,
) -> Iterator[tuple[Tensor, float]]:
    """Each painting, and which part of its frame was visible before."""
    if not callable(paint):
        raise TypeError(
            "paint must be a function of one frame, such as lambda frame: johnson.stylize(frame, model).image, "
            f"got {type(paint).__name__}"
        )
    earlier: Tensor | None = None
    before: Tensor | None = None
    for t, frame in enumerate(checked_frames(frames)):
        picture, visible = _painted(paint, frame), 0.0
        if earlier is not None and before is not None and config.blend > 0:
            if motion is None:
                way = flow.between(frame, earlier, config.preset)
            else:
                way = flow.motion_of(motion, t, t - 1, picture)
            share = config.blend * way.visible
            moved = flow.warp(before, way.flow, cubic=True).clamp(0, 1)
            picture = (1 - share) * picture + share * moved
            visible = float(way.visible.mean())
        earlier, before = frame, picture
        yield picture, visible


def _painted(paint: Callable[[Tensor], Tensor], frame: Tensor) -> Tensor:
    """f(frame), checked."""
    picture = paint(frame)
    check_tensor(picture, "the painted frame", single=True)
    picture = picture.detach().float().cpu()
    check_pictures(picture, "the painted frame")
    if picture.shape != frame.shape:
        raise ImageError(
            f"the painted frame has shape {tuple(picture.shape)}, the frame {tuple(frame.shape)}: to be blended, they "
            "must have one size, so resize in `paint`"
        )
    return picture
