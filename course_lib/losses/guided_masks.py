"""The masks of regions at the layers of the VGG: which positions of a feature map belong to a region.

A position deep in the network covers many pixels, and its receptive field reaches beyond them. Gatys et al. 2017
(Section 4, and the notebooks that they published with the paper) therefore bring the masks to the layers in three ways:

- "simple": a position gets the region's share of the pixels that it covers.
- "inside": only positions whose whole receptive field lies in the region, so that no feature mixes two regions.
- "all": every position whose receptive field touches the region.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.masks import checked_masks
from course_lib.pretrained.vgg import layer_names

WAYS = ("simple", "inside", "all")


def propagate(masks: Tensor, layers: Sequence[str], how: str = "simple", arch: str = "vgg19") -> dict[str, Tensor]:
    """Masks of a picture at the layers of the network.

    "inside" takes the minimum over 3 × 3 positions at each convolution and over 2 × 2 at each pool: the minimum over
    the receptive field. "all" takes the maximum. What lies beyond the edge of the picture is not counted, so a region
    that reaches the edge loses no positions there. If "inside" leaves nothing of a region at a layer, the positions
    with the largest share of it ("simple") keep this share, and the others are 0: a small region still has a style.

    Args:
        masks: (R, 1, H, W) in [0, 1], at the size of the picture.
        layers: names of layers; where a pool meets an odd size, it leaves out the last row or column. ("simple" shares
            out all pixels among the positions that are left.)
        how: one of `WAYS`.
        arch: "vgg19" or "vgg16".

    Returns:
        Layer → (R, 1, h, w) float32 in [0, 1], in the order of `layers`. A mask that is 0 everywhere stays so.

    Raises:
        ValueError: not masks, an unknown layer, network or way, or a picture that is too small for a layer.

    >>> left = torch.zeros(1, 1, 8, 8)
    >>> left[..., :5] = 1
    >>> {how: propagate(left, ["relu1_1"], how)["relu1_1"][0, 0, 0].int().tolist() for how in ("inside", "all")}
    {'inside': [1, 1, 1, 1, 0, 0, 0, 0], 'all': [1, 1, 1, 1, 1, 1, 0, 0]}
    >>> propagate(left, ["relu2_1"])["relu2_1"][0, 0, 0].tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    masks = checked_masks(masks, "the masks")
    how, wanted = arguments.choice("how", how, WAYS), arguments.names("layers", layers)
    every = layer_names(arch)
    if unknown := [layer for layer in wanted if layer not in every]:
        raise ValueError(f"{arch} has no layer {unknown}; the layers are {', '.join(every)}")
    found: dict[str, Tensor] = {}
    seen = masks
    for name in every[: max(every.index(layer) for layer in wanted) + 1]:
        if name.startswith("pool") and min(seen.shape[-2:]) < 2:
            raise ValueError(
                f"the masks are {masks.shape[-1]} px wide and {masks.shape[-2]} px high, too small for {name}"
            )
        seen = _through(seen, name, how)
        if name in wanted:
            found[name] = _with_something(seen, masks) if how == "inside" else seen
            if how == "simple":
                found[name] = F.interpolate(masks, seen.shape[-2:], mode="area")
    return {name: found[name] for name in wanted}


def _through(masks: Tensor, name: str, how: str) -> Tensor:
    """The masks behind one layer; for "simple", only their size is used."""
    if name.startswith("pool"):
        return -F.max_pool2d(-masks, 2) if how == "inside" else F.max_pool2d(masks, 2)
    if name.startswith("conv") and how != "simple":
        return -F.max_pool2d(-masks, 3, 1, 1) if how == "inside" else F.max_pool2d(masks, 3, 1, 1)  # padded with -inf
    return masks


def _with_something(inside: Tensor, masks: Tensor) -> Tensor:
    """`inside` (R, 1, h, w), and for a region that it leaves nothing of, its largest shares."""
    empty = inside.amax((1, 2, 3), keepdim=True) == 0
    if not bool(empty.any()):
        return inside
    shares = F.interpolate(masks, inside.shape[-2:], mode="area")
    largest = shares >= shares.amax((1, 2, 3), keepdim=True) * (1 - 1e-6)
    return torch.where(empty, shares * largest, inside)
