"""The style terms of regions: each takes its style from its counterpart in the paintings (Gatys et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.losses.guided import GuidedStyle, guided_gram
from course_lib.losses.guided_masks import WAYS, propagate
from course_lib.losses.perceptual import FeatureTerm
from course_lib.losses.style import blend_grams
from course_lib.masks import Regions
from course_lib.optimize.objective import Part
from course_lib.painting.objective import layer_shares
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Scene, check_regions
from course_lib.pretrained.vgg import VGGFeatures


@dataclass(frozen=True)
class RegionStyles:
    """Guided Gram matrices of all regions at all style layers, in place of those of the whole picture.

    Args:
        regions: of the photo and the paintings.
        config: its style weight, style layers, their weights and scales, and the blend of the paintings are used.
        propagation: how the masks are brought to the layers; see `course_lib.losses.guided_masks`.
        weights: of the regions, scaled to a mean of one; None: equal.

    Raises:
        ValueError: an unknown propagation, or not one weight for each region.
        TypeError: `regions` are not `Regions`.
    """

    regions: Regions
    config: Settings
    propagation: str = "simple"
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_regions(self.regions)
        arguments.choice("propagation", self.propagation, WAYS)
        if self.weights is not None:
            count, names = len(self.regions.names), ", ".join(self.regions.names)
            arguments.shares("region_weights", self.weights, count, f"regions ({names})")

    @property
    def layers(self) -> Sequence[str]:
        """The style layers."""
        return self.config.style_layers

    def terms(self, scene: Scene) -> tuple[Sequence[FeatureTerm], Sequence[Part]]:
        """One term for each region and layer, named ``"style/relu1_1/sky"``; 1/R times their sum is the style term."""
        if scene.photo is None:
            raise ValueError("regions need a content image: the photo that they divide")
        names, shares = self.regions.names, layer_shares(self.config)
        scales = dict(zip(self.config.style_layers, self.config.layer_scales(), strict=True))
        targets: dict[str, list[Tensor]] = {}  # layer → the target of each region
        for scale in dict.fromkeys(scales.values()):
            resized = scene.resized(scale)
            targets |= self._targets(scene, resized, tuple(name for name in shares if scales[name] == scale))
        here = self._at(scene, [painting.shape[-2:] for painting in scene.paintings]).content
        guides = propagate(here, tuple(shares), self.propagation, self.config.arch)
        own = torch.tensor(self.weights or [1.0] * len(names))
        own = own / own.sum()
        return [
            GuidedStyle(f"style/{layer}/{name}", layer, weight * share, guides[layer][k : k + 1], targets[layer][k])
            for layer, weight in shares.items()
            for k, (name, share) in enumerate(zip(names, own.tolist(), strict=True))
            if share > 0
        ], ()

    def memory_needed(self, network: VGGFeatures, height: int, width: int) -> int:
        """Two float32 copies of the features of relu1_1."""
        return 2 * 4 * 64 * height * width

    def least_side(self, network: VGGFeatures) -> int:
        """What the network itself needs."""
        return 1

    def _targets(self, scene: Scene, paintings: list[Tensor], layers: tuple[str, ...]) -> dict[str, list[Tensor]]:
        """The guided Gram matrices of each region: the mean over the paintings that have a part of it."""
        regions = self._at(scene, [painting.shape[-2:] for painting in paintings])
        blend = self.config.style_blend or [1.0] * len(paintings)
        grams: dict[str, list[list[Tensor]]] = {layer: [[] for _ in regions.names] for layer in layers}
        used: list[list[float]] = [[] for _ in regions.names]
        with torch.no_grad():
            for painting, masks, share in zip(paintings, regions.styles, blend, strict=True):
                filled = [k for k, mask in enumerate(masks) if bool(mask.any())]
                if not filled:
                    continue  # no region takes anything from this painting
                features = scene.network.targets(painting, layers)
                guides = propagate(masks[filled], layers, self.propagation, self.config.arch)
                for n, k in enumerate(filled):
                    used[k].append(share)
                    for layer in layers:
                        grams[layer][k].append(guided_gram(features[layer], guides[layer][n : n + 1]))
        for name, shares in zip(regions.names, used, strict=True):
            if not sum(shares) > 0:
                raise ValueError(f"region {name!r} takes its style only from paintings whose style_blend is 0")
        return {
            layer: [blend_grams(of_region, shares) for of_region, shares in zip(grams[layer], used, strict=True)]
            for layer in layers
        }

    def _at(self, scene: Scene, style_sizes: Sequence[Sequence[int]]) -> Regions:
        assert scene.photo is not None
        height, width = scene.photo.shape[-2:]
        return self.regions.at((height, width), [(h, w) for h, w in style_sizes]).to(scene.photo.device)
