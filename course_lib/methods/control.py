"""Controlling perceptual factors in neural style transfer (Gatys, Ecker, Bethge, Hertzmann & Shechtman, CVPR 2017).

The objective is that of Gatys et al. 2016, with control of three properties of the style:

- *Color* (Section 5): the photo's colors stay. Either the painting gets them before the style is taken (`colors`
  ``"match"``), or only the luminance is painted, and the photo's color is laid over it (``"luminance"``).
- *Place* (Section 4): regions of the photo take their style from regions of the paintings, by guided Gram matrices.
- *Scale* (Section 6): one painting gets the strokes of another one. `with_fine_style` transfers them with the lowest
  style layers alone, and its result then serves as the painting.

All three work together, and with the terms of `course_lib.painting.additions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from course_lib import config_checks, runtime
from course_lib.colors import COLOR_MATCHES, luminance, match_colors, match_luminance, with_colors_of
from course_lib.images import resize
from course_lib.losses.guided_masks import WAYS
from course_lib.masks import Regions
from course_lib.optimize.start import checked_images
from course_lib.painting.guides import RegionStyles
from course_lib.painting.run import Result as Result
from course_lib.painting.run import paint
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Addition

COLORS = ("painting", "match", "luminance")


@dataclass(frozen=True)
class Config(Settings):
    """The paper's configuration; the fields that are not here are those of `course_lib.painting.settings.Settings`."""

    start: str = "content"  # Supplement, Section 1
    scales: tuple[int, ...] | None = (512,)  # first about 500 px, then the picture's own size: Section 6
    colors: str = "painting"  # whose colors: the "painting"'s, or the photo's by "match" or "luminance" (Section 5)
    color_method: str = "pca"  # of "match": "cholesky", "pca" or "monge" (Section 5.2; "pca" in their figures)
    propagation: str = "simple"  # of masks to the layers: "simple", "inside" or "all" (Section 4)
    region_weights: tuple[float, ...] | None = None  # of the regions; None: equal (Eq. 7)
    fine_layers: tuple[str, ...] = ("relu1_1", "relu2_1")  # of `with_fine_style` (Section 6)
    fine_weight: float = 1000.0  # style weight of `with_fine_style`; ours, by eye

    def __post_init__(self) -> None:
        super().__post_init__()
        config_checks.check(
            self,
            nonnegative=("fine_weight",),
            layers=("fine_layers",),
            choices={"colors": COLORS, "color_method": COLOR_MATCHES, "propagation": WAYS},
        )
        if self.region_weights is not None:
            config_checks.check_shares(self, "region_weights", None, "regions")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the same objective, from coarse to fine, with a preconditioned optimizer."""
        return cls(precondition=0.4, num_steps=100, scales=(128, 256, 512))

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a laptop: 100 steps, enough for a first impression."""
        return cls(num_steps=100, scales=None)


def stylize(
    content: Tensor,
    style: Tensor | Iterable[Tensor],
    config: Config | None = None,
    *,
    regions: Regions | None = None,
    fine: Tensor | None = None,
    additions: Sequence[Addition] = (),
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint `content` in the style of `style`, with control of color, place and scale (Gatys et al. 2017).

    Args:
        content: (1, 3, H, W) in [0, 1].
        style: (1, 3, h, w) in [0, 1], or several of them.
        config: defaults to the paper's.
        regions: which part of the photo takes its style from where; its paintings are those of `style`, in order.
        fine: (1, 3, h, w) in [0, 1], a painting whose strokes and grain `style` gets first.
        additions: further terms; see `course_lib.painting.additions`.
        initial: (1, 3, H, W) in [0, 1], a picture to start from in place of ``config.start``.
        callback: called after each step with a `runtime.Progress`.

    Returns:
        A `Result`. With regions, the style terms are called ``"style/relu1_1/sky"``.

    Raises:
        ValueError: wrong shape or range, masks of another shape than their picture, an image too small for the
            deepest layer, an unknown layer.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.

    >>> import torch
    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> result = stylize(content, style, Config(num_steps=3, weights=None, colors="luminance"))
    >>> tuple(result.image.shape)
    (1, 3, 32, 32)
    """
    config = config_checks.given(config, Config, callback=callback)
    content, styles = checked_images(content, style)  # type: ignore[assignment]
    if content is None or not styles:
        raise ValueError("control needs a photo and a painting; for a texture or a reconstruction, use gatys")
    if regions is None and config.region_weights is not None:
        raise ValueError(f"region_weights has no effect without regions; give them, too, got {config.region_weights}")
    if regions is not None:
        guided = RegionStyles(regions, config, config.propagation, config.region_weights)
        regions.at(*_sizes(content, styles))  # masks of another shape are refused before any work
    if fine is not None:
        side = round(max(content.shape[-2:]) * max(config.layer_scales()))  # at which the style is taken
        styles = [with_fine_style(resize(each, side), fine, config) for each in styles]
    photo, styles = in_colors_of(content, styles, config)
    objective = config
    if regions is not None:
        additions, objective = (guided, *additions), replace(config, style_weight=0.0)

    def in_color(image: Tensor) -> Tensor:
        return with_colors_of(image, content).clamp(0, 1) if config.colors == "luminance" else image

    def watch(progress: runtime.Progress) -> None:
        assert callback is not None
        callback(replace(progress, image=lambda: in_color(progress.image())))

    shown = None if callback is None else watch
    done = paint(photo, styles, objective, additions=additions, initial=initial, callback=shown)
    return replace(done, image=in_color(done.image), config=config)


def _sizes(content: Tensor, styles: Sequence[Tensor]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """(H, W) of the photo, and those of the paintings."""
    first, *others = ((image.shape[-2], image.shape[-1]) for image in (content, *styles))
    return first, others


def with_fine_style(
    coarse: Tensor, fine: Tensor, config: Config | None = None, *, callback: runtime.Callback | None = None
) -> Tensor:
    """The forms of one painting with the strokes and grain of another (Gatys et al. 2017, Section 6).

    The style of `fine` is transferred onto `coarse` with the lowest style layers alone, after its colors were matched
    to those of `coarse`.

    Args:
        coarse: (1, 3, H, W) in [0, 1], whose forms and colors stay.
        fine: (1, 3, h, w) in [0, 1]; resized to the long side of `coarse`.
        config: ``fine_layers`` and ``fine_weight``, and how a picture is optimized.
        callback: called after each step with a `runtime.Progress`.

    Returns:
        (1, 3, H, W) in [0, 1].

    Raises:
        ValueError, MemoryError, WeightsError: as `stylize`.
    """
    config = config_checks.given(config, Config, callback=callback)
    (coarse,), (fine,) = checked_images(None, coarse)[1], checked_images(None, fine)[1]
    fine = match_colors(fine, coarse, config.color_method).clamp(0, 1)
    transfer = replace(
        config,
        style_layers=config.fine_layers,
        style_layer_weights="equal",
        style_weight=config.fine_weight,
        style_scale=1.0,
        style_blend=None,
        start="content",
        scales=None,
    )
    return paint(coarse, fine, transfer, callback=callback).image


def in_colors_of(content: Tensor, styles: Sequence[Tensor], config: Config) -> tuple[Tensor, list[Tensor]]:
    """The photo and the paintings from which `stylize` takes content and style, as ``config.colors`` says.

    Args:
        content: (1, 3, H, W) in [0, 1].
        styles: each (1, 3, h, w) in [0, 1].
        config: ``colors`` and ``color_method``.

    Returns:
        Both as they are; with ``"match"``, the paintings with the photo's mean and covariance of colors, clipped to
        [0, 1]; with ``"luminance"``, both in gray, the paintings with the photo's mean and deviation.
    """
    if config.colors == "match":
        return content, [match_colors(each, content, config.color_method).clamp(0, 1) for each in styles]
    if config.colors == "luminance":
        gray = luminance(content).repeat(1, 3, 1, 1)
        return gray, [match_luminance(each, content).clamp(0, 1) for each in styles]
    return content, list(styles)
