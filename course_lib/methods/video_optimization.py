"""Artistic style transfer for videos (Ruder, Dosovitskiy & Brox, GCPR 2016).

Each frame is painted by optimization, as by Gatys et al. (2016), with one more term (Eqs. 7 to 9):

    L(x_t) = content + style + γ Σ_j 1/D Σ_k c_long(t − j)_k (x_t − warp(x_{t−j}))²_k

It asks for the earlier paintings, moved along with the optical flow, wherever the earlier frame showed the same thing
(`losses.temporal`). The picture starts there as well. One earlier frame gives short-term consistency. Several of them
remember what something looked like before it was hidden. Symbols: γ = temporal_weight, J = past.

*Differs from the paper:* it runs once over the clip, from the first frame to the last. The paper's second algorithm,
several passes in both directions, is not here, and there is no early stop. What was hidden starts as the frame in the
colors of the painting. After a cut, a frame is painted as the first one is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import length_hint

import torch
from torch import Tensor, cat

from course_lib import config_checks, flow, runtime
from course_lib.flow import Motion
from course_lib.image_checks import ImageError, checked_frames
from course_lib.losses.perceptual import FeatureTerm
from course_lib.losses.temporal import long_term_masks, temporal_term
from course_lib.optimize.objective import Part
from course_lib.optimize.start import checked_images
from course_lib.painting.run import Result as Painting
from course_lib.painting.run import paint
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Scene
from course_lib.pretrained.vgg import VGGFeatures

_CUT = 0.05  # of a frame's pixels: if fewer were visible before, another shot has begun
_RIDGE = 1e-4  # keeps the colors of a gray frame solvable


@dataclass(frozen=True)
class Config(Settings):
    """The paper's configuration; the fields that are not here are those of `course_lib.painting.settings.Settings`.

    The authors' program weighs content : style : temporal term as 5 : 100 : 1000, on features of the original VGG and
    on pixels from 0 to 255. The features here are normalized and pixels lie in [0, 1], so these numbers cannot be
    converted. Content and style have the weights of Gatys et al. That of the temporal term is a round number at which
    the temporal error of a made-up clip (`data.camera`) comes near the clip's own, and the style loss hardly rises.
    """

    num_steps: int = 1000  # of each later frame: artistic_video.lua
    first_steps: int = 2000  # of the first frame: artistic_video.lua
    temporal_weight: float = 300.0  # γ, Eq. 7, on the mean over pixels and colors in [0, 1]; ours, by measurement
    past: tuple[int, ...] = (1,)  # J: frames back, 1 first; further ones are the long-term consistency of Eq. 8
    tv_weight: float = 0.0  # 1e-3 on another scale in artistic_video.lua
    flow_preset: str = "medium"  # of the estimated flow; the paper takes DeepFlow or EpicFlow

    def __post_init__(self) -> None:
        super().__post_init__()
        config_checks.check(
            self, whole={"first_steps": 1}, nonnegative=("temporal_weight",), choices={"flow_preset": flow.PRESETS}
        )
        config_checks.check_wholes(self, "past", "how many frames back, as (1, 2, 4)")
        if self.past[0] != 1:
            raise ValueError(f"past must begin with 1, the frame before, from which a frame starts; got {self.past}")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the first frame from coarse to fine, later ones in few steps from where they start."""
        return cls(
            num_steps=20, first_steps=60, start="content", precondition=0.4, scales=(128, 256, 512), past=(1, 2, 4)
        )

    @classmethod
    def quick(cls) -> Config:
        """A first impression: few steps, from the photograph."""
        return cls(num_steps=12, first_steps=40, start="content", precondition=0.4)


@dataclass(frozen=True)
class Result:
    """What `stylize` returns.

    `history` holds one number for each step of all frames: ``"total"``, each weighted term, among them ``"temporal"``,
    which is 0 in the first frame, ``"seconds"``, and ``"frame"``, the number of the frame.
    """

    image: Tensor  # (T, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]
    config: Config
    stopped: str | None = None  # the first frame that ended early, and why, or None


@dataclass(frozen=True, eq=False)
class Earlier:
    """The temporal term, as an addition to the objective of a frame (`course_lib.painting.terms`).

    Args:
        weight: γ.
        warped: the earlier paintings, (1, 3, H, W) each, moved to the position of this frame.
        masks: where each counts, (1, 1, H, W) in [0, 1].
    """

    weight: float
    warped: Sequence[Tensor]
    masks: Sequence[Tensor]

    @property
    def layers(self) -> Sequence[str]:
        """No layers: it reads pixels."""
        return ()

    def terms(self, scene: Scene) -> tuple[Sequence[FeatureTerm], Sequence[Part]]:
        """One term, ``"temporal"``."""
        device = scene.network.mean.device
        warped, masks = ([one.to(device, torch.float32) for one in each] for each in (self.warped, self.masks))
        return (), [temporal_term(self.weight, warped, masks)]

    def memory_needed(self, network: VGGFeatures, height: int, width: int) -> int:
        """The earlier paintings and their masks, and as many numbers in a step, in float32."""
        return 2 * 4 * 4 * len(self.warped) * height * width

    def least_side(self, network: VGGFeatures) -> int:
        """Any picture has pixels."""
        return 1

    def start(self, frame: Tensor) -> Tensor:
        """The picture to start from: the earlier paintings where they are known, elsewhere the frame in their colors.

        These colors are the affine function of the frame's that comes nearest to the paintings.
        """
        known = sum(self.masks, start=frame.new_zeros(1, 1, *frame.shape[2:])).clamp(max=1)
        painted = torch.zeros_like(frame)
        for warped, mask in zip(self.warped, self.masks, strict=True):
            painted = painted + mask * warped
        colors = torch.cat((frame, torch.ones_like(known)), 1)[0].flatten(1).T.double()  # (H*W, 4)
        weights = known.flatten()[:, None].double()
        matrix = (weights * colors).T @ colors + _RIDGE * len(colors) * torch.eye(4, dtype=torch.float64)
        fitted = colors @ torch.linalg.solve(matrix, colors.T @ painted[0].flatten(1).T.double())  # (H*W, 3)
        fill = fitted.T.view_as(frame[0])[None].to(frame)
        return (painted + (1 - known) * fill).clamp(0, 1)


def stylize(
    frames: Tensor | Iterable[Tensor],
    style: Tensor | Iterable[Tensor],
    config: Config | None = None,
    *,
    motion: Callable[[int, int], Motion] | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint a clip by optimization, each frame from the ones before (Ruder et al. 2016, Eq. 9).

    Args:
        frames: (T, 3, H, W) in [0, 1], or an iterable of (1, 3, H, W).
        style: (1, 3, h, w) in [0, 1], or several of them.
        config: defaults to the paper's, which takes hours; `Config.fast()` takes minutes.
        motion: from frame t back to frame s, ``motion(t, s)``; None: estimated from the frames (`flow.between`).
        callback: called after each step of all frames with a `runtime.Progress`.

    Raises:
        ImageError: not frames of one size in [0, 1], or no frame.
        ValueError: a style that is not a picture, frames too small for the deepest layer, an unknown layer.
        TypeError: a `motion` that is not a function, or returns something else than a `flow.Motion`.
        FlowError: OpenCV is not installed, which estimates the flow.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.

    >>> still = lambda t, s: Motion(torch.zeros(1, 2, 32, 32), torch.ones(1, 1, 32, 32))
    >>> frames, style = torch.rand(2, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> result = stylize(frames, style, Config(num_steps=2, first_steps=3, weights=None), motion=still)
    >>> tuple(result.image.shape), result.history["frame"]
    ((2, 3, 32, 32), [0.0, 0.0, 0.0, 1.0, 1.0])
    """
    config = config_checks.given(config, Config, callback=callback)
    pictures, history, stopped, passed = [], {}, None, 0.0  # type: ignore[var-annotated]
    for number, done in enumerate(_paintings(frames, style, config, motion, callback)):
        pictures.append(done.image)
        more = {name: values for name, values in done.history.items() if name != "scale"}
        more["seconds"] = [passed + value for value in more.get("seconds", [])]
        more["frame"] = [float(number)] * len(more["seconds"])
        passed = more["seconds"][-1] if more["seconds"] else passed
        history = {name: history.get(name, []) + values for name, values in more.items()}
        if done.stopped is not None and stopped is None:
            stopped = f"frame {number}: {done.stopped}"
    if not pictures:
        raise ImageError("there are no frames to paint")
    return Result(cat(pictures), history, config, stopped)


def stream(
    frames: Iterable[Tensor],
    style: Tensor | Iterable[Tensor],
    config: Config | None = None,
    *,
    motion: Callable[[int, int], Motion] | None = None,
    callback: runtime.Callback | None = None,
) -> Iterator[Tensor]:
    """Paint a clip of any length; as many frames and paintings are in memory as ``config.past`` reaches back.

    Args:
        frames, style, config, motion, callback: as for `stylize`.

    Yields:
        Each painted frame, (1, 3, H, W) in [0, 1], float32, on the CPU.

    Raises:
        ImageError, ValueError, FlowError, MemoryError, WeightsError: as for `stylize`, when the turn of a frame comes.
    """
    config = config_checks.given(config, Config, callback=callback)
    return (done.image for done in _paintings(frames, style, config, motion, callback))


def _paintings(
    frames: Tensor | Iterable[Tensor],
    style: Tensor | Iterable[Tensor],
    config: Config,
    motion: Callable[[int, int], Motion] | None,
    callback: runtime.Callback | None,
) -> Iterator[Painting]:
    """The run of each frame."""
    _, styles = checked_images(None, style)
    before: deque[tuple[Tensor, Tensor]] = deque(maxlen=max(config.past))  # frames and paintings, the latest last
    count = length_hint(frames)
    steps, passed = 0, 0.0
    first, later = replace(config, num_steps=config.first_steps), replace(config, scales=None)
    for t, frame in enumerate(checked_frames(frames)):
        frame = frame.detach().float().cpu()
        earlier = _earlier(frame, before, t, config, motion)
        settings, start = (later, earlier.start(frame)) if earlier.warped else (first, None)
        rest = max(0, count - t - 1) * config.num_steps
        watch = None if callback is None else _shifted(callback, steps, rest, passed)
        done = paint(frame, styles, settings, additions=[earlier], initial=start, callback=watch)
        before.append((frame, done.image))
        steps += len(done.history.get("total", ()))
        passed += done.history["seconds"][-1] if done.history else 0.0
        yield done


def _earlier(
    frame: Tensor,
    before: Sequence[tuple[Tensor, Tensor]],
    t: int,
    config: Config,
    motion: Callable[[int, int], Motion] | None,
) -> Earlier:
    """The earlier paintings, in the position of this frame; none in the first frame and after a cut."""
    warped, visible = [], []
    for back in config.past:
        if back > t:
            break
        there, painted = before[-back]
        if motion is None:
            known = flow.between(frame, there, config.flow_preset)
        else:
            known = flow.motion_of(motion, t, t - back, painted)
        warped.append(flow.warp(painted, known.flow, cubic=True).clamp(0, 1))
        visible.append(known.visible)
        if back == 1 and visible[0].mean() < _CUT:
            return Earlier(config.temporal_weight, [], [])
    return Earlier(config.temporal_weight, warped, long_term_masks(visible))


def _shifted(callback: runtime.Callback, before: int, after: int, passed: float) -> runtime.Callback:
    """A callback for one frame that reports in steps and seconds of the whole clip."""

    def report(progress: runtime.Progress) -> None:
        total = before + progress.num_steps + after
        callback(replace(progress, step=before + progress.step, num_steps=total, seconds=passed + progress.seconds))

    return report
