"""Deep photo style transfer (Luan, Paris, Shechtman & Bala, CVPR 2017).

A photograph takes its style from another one, and remains a photograph (Eq. 4):

    L(x) = content + Γ · style of regions + λ · Σ_c V_c(x)ᵀ M V_c(x)

M is the matting Laplacian of the photo (`course_lib.losses.matting`): the last term is zero for every picture that is,
window by window, an affine recoloring of the photo. The style is that of guided Gram matrices, one for each region: the
sky of one photo goes to the sky of the other. As in the authors' program, there are two stages. The first starts from
the photo and leaves out the last term; the second starts from the first one's result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from course_lib import config_checks, runtime
from course_lib.losses import matting
from course_lib.losses.guided_masks import WAYS
from course_lib.masks import Regions
from course_lib.optimize.scales import joined, shifted
from course_lib.optimize.start import checked_images
from course_lib.painting.additions import Photorealism
from course_lib.painting.guides import RegionStyles
from course_lib.painting.run import Result as Result
from course_lib.painting.run import paint
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Addition


@dataclass(frozen=True)
class Config(Settings):
    """The paper's configuration; the fields that are not here are those of `course_lib.painting.settings.Settings`.

    The paper's weights act on other scales; those here were chosen by eye (chapter 14), with the average pooling of
    Gatys et al. The authors' program keeps VGG's max pooling, with which the deepest style layer counts far more.
    """

    num_steps: int = 1000  # of each stage: deepmatting_seg.lua
    start: str = "content"  # ours; deepmatting_seg.lua starts from noise or from the photo
    style_weight: float = 30.0  # Γ, Eq. 4; ours, by eye
    photo_weight: float = 20_000.0  # λ, Eq. 4, on the mean over pixels; ours, by eye
    matting_eps: float = matting.EPS  # ε of the Laplacian: 1e-7 in the authors' program
    matting_radius: int = matting.RADIUS  # windows of 3×3, Section 4
    tv_weight: float = 0.0  # 1e-3 on another scale in deepmatting_seg.lua
    propagation: str = "simple"  # of masks to the layers; the authors average 3×3 at each convolution
    region_weights: tuple[float, ...] | None = None  # of the regions; None: equal

    def __post_init__(self) -> None:
        super().__post_init__()
        config_checks.check(
            self,
            whole={"matting_radius": 1},
            positive=("matting_eps",),
            nonnegative=("photo_weight",),
            choices={"propagation": WAYS},
        )
        if self.region_weights is not None:
            config_checks.check_shares(self, "region_weights", None, "regions")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the same objective, from coarse to fine, with a preconditioned optimizer."""
        return cls(precondition=0.4, num_steps=100, scales=(128, 256, 512))

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a laptop: 60 steps of each stage, enough for a first impression."""
        return cls(num_steps=60)


def stylize(
    content: Tensor,
    style: Tensor | Iterable[Tensor],
    config: Config | None = None,
    *,
    regions: Regions | None = None,
    additions: Sequence[Addition] = (),
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Give a photo the light and the colors of `style`, and keep it a photo (Luan et al. 2017, Eq. 4).

    Args:
        content: (1, 3, H, W) in [0, 1].
        style: (1, 3, h, w) in [0, 1], a photo or a painting, or several of them.
        config: defaults to the paper's.
        regions: which part of the photo takes its style from where; None: the whole photo from all of `style`.
        additions: further terms; see `course_lib.painting.additions`.
        initial: (1, 3, H, W) in [0, 1], a picture to start from in place of ``config.start``.
        callback: called after each step of both stages with a `runtime.Progress`.

    Returns:
        A `Result`. Its history has the steps of the first stage, in which ``"photorealism"`` has no weight, then
        those of the second.

    Raises:
        ValueError: wrong shape or range, masks of another shape than their picture, an unknown layer.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.

    >>> import torch
    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> result = stylize(content, style, Config(num_steps=3, weights=None))
    >>> tuple(result.image.shape), len(result.history["total"])
    ((1, 3, 32, 32), 6)
    """
    config = config_checks.given(config, Config, callback=callback)
    content, styles = checked_images(content, style)  # type: ignore[assignment]
    if content is None or not styles:
        raise ValueError("give a photo and another picture whose light and colors it takes")
    goal: Settings = config
    if regions is None and config.region_weights is not None:
        raise ValueError(f"region_weights has no effect without regions; give them, too, got {config.region_weights}")
    if regions is not None:
        guided = RegionStyles(regions, config, config.propagation, config.region_weights)
        additions, goal = (guided, *additions), replace(config, style_weight=0.0)

    def keeping(weight: float) -> Sequence[Addition]:
        return (Photorealism(weight, config.matting_eps, config.matting_radius), *additions)

    def of_both_stages(progress: runtime.Progress) -> None:
        assert callback is not None
        callback(replace(progress, num_steps=progress.num_steps + config.num_steps))

    watch: runtime.Callback | None = None if callback is None else of_both_stages
    first = paint(content, styles, goal, additions=keeping(0.0), initial=initial, callback=watch)
    if first.stopped is not None:
        return replace(first, config=config)
    steps = len(first.history["total"]) + config.num_steps
    size = (content.shape[-2], content.shape[-1])
    watch = shifted(callback, size, first.history, steps)
    second = paint(
        content, styles, replace(goal, scales=None), additions=keeping(config.photo_weight), initial=first.image,
        callback=watch,
    )  # fmt: skip
    history = joined(first.history, second.history, max(size))
    if config.scales is None:
        history.pop("scale", None)
    return replace(second, history=history, config=config)
