"""Patches in place of statistics (Li & Wand, CVPR 2016), and both together (Zhao et al. 2019).

Li & Wand call a picture well painted if every small patch of its features looks like some patch of the painting's:

    L(x) = content_weight · ½ mean (F − P)²  +  patch_weight · mean_l 1/(2PD) Σ_i ‖Ψ_i(x) − Ψ_NN(i)(s)‖²  +  tv

`course_lib.losses.patches` has the second term. A Gram matrix says how often features occur together anywhere in the
picture, and nothing about where; a patch says exactly what is side by side, and nothing about how often. Bharathi et
al. report the fusion of both by Zhao et al. 2019: the global term keeps patches from landing in the wrong place.
`Config.fusion()` adds the Gram matrices of Gatys et al. 2016, with ``style_weight``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from course_lib import config_checks, runtime
from course_lib.losses import patches
from course_lib.masks import Regions
from course_lib.optimize.start import checked_images
from course_lib.painting.additions import PATCH_LAYERS, Patches
from course_lib.painting.run import Result as Result
from course_lib.painting.run import paint
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Addition


@dataclass(frozen=True)
class Config(Settings):
    """The configuration of Li & Wand; the other fields are those of `course_lib.painting.settings.Settings`.

    The paper's weights act on sums. Those here act on means, and were chosen by eye (chapter 14).
    """

    num_steps: int = 100  # at each of three sizes: cnnmrf.lua; here twice as many at each smaller one
    scales: tuple[int, ...] | None = (96, 192)  # 384 px, halved twice: cnnmrf.lua
    start: str = "content"  # cnnmrf.lua
    content_layers: tuple[str, ...] = ("relu4_1",)  # Section 4; cnnmrf.lua
    style_weight: float = 0.0  # of Gram matrices, which Li & Wand do not use
    patch_weight: float = 2.0  # α1, Eq. 1; ours, by eye
    patch_layers: tuple[str, ...] = PATCH_LAYERS  # "relu3_1 and relu4_1", Section 4
    patch_size: int = patches.SIZE  # k = 3, Section 4
    patch_stride: int = patches.STRIDE  # of the style's patches; 2 in cnnmrf.lua
    pooling: str = "max"  # as VGG was trained: cnnmrf.lua
    tv_weight: float = 1.0  # α2, Eq. 1: a smoothness term; ours, by eye

    def __post_init__(self) -> None:
        super().__post_init__()
        config_checks.check(
            self,
            whole={"patch_size": 1, "patch_stride": 1},
            nonnegative=("patch_weight",),
            layers=("patch_layers",),
        )
        if self.patch_weight == self.style_weight == 0:
            raise ValueError("patch_weight and style_weight are both 0: there is no style to match; raise one")

    @classmethod
    def fusion(cls) -> Config:
        """Global and local style together, as Zhao et al. 2019 join them according to Bharathi et al. (Section 2.6)."""
        return cls(style_weight=30.0, patch_weight=1.0, pooling="average")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the same objective, with a preconditioned optimizer."""
        return cls(precondition=0.4, num_steps=50)

    @classmethod
    def quick(cls) -> Config:
        """A minute on a laptop at 128 px: 40 steps, enough for a first impression."""
        return cls(num_steps=40, scales=None)


def stylize(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor],
    config: Config | None = None,
    *,
    regions: Regions | None = None,
    additions: Sequence[Addition] = (),
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint `content` with patches of `style` (Li & Wand 2016, Eq. 1).

    Args:
        content: (1, 3, H, W) in [0, 1]; None for a texture.
        style: (1, 3, h, w) in [0, 1], or several of them, whose patches form one pool.
        config: defaults to Li & Wand's.
        regions: if given, a region of the photo takes patches only from its counterpart in the paintings.
        additions: further terms; see `course_lib.painting.additions`.
        initial: (1, 3, H, W) in [0, 1], a picture to start from in place of ``config.start``.
        callback: called after each step with a `runtime.Progress`.

    Returns:
        A `Result`; its history has ``"patches/relu3_1"``, ….

    Raises:
        ValueError: wrong shape or range, an image too small for a patch of the deepest layer, an unknown layer.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.

    >>> import torch
    >>> content, style = torch.rand(1, 3, 48, 48), torch.rand(1, 3, 48, 48)
    >>> result = stylize(content, style, Config(num_steps=5, weights=None))
    >>> result.history["patches/relu3_1"][-1] < result.history["patches/relu3_1"][0]
    True
    """
    config = config_checks.given(config, Config, callback=callback)
    content, styles = checked_images(content, style)
    if not styles:
        raise ValueError("patches need a painting to come from; for a reconstruction, use gatys")
    if regions is not None and content is None:
        raise ValueError("regions belong to a photo; a texture has none")
    local = Patches(
        config.patch_weight, config.patch_layers, config.patch_size, config.patch_stride, min(config.layer_scales()),
        regions,
    )  # fmt: skip
    additions = (local, *additions) if config.patch_weight > 0 else additions
    done = paint(content, styles, config, additions=additions, initial=initial, callback=callback)
    return replace(done, config=config)
