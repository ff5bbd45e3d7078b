"""Terms that any picture can have besides content and style: patches of the paintings, and photorealism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.losses import matting, patches
from course_lib.losses.guided_masks import propagate
from course_lib.losses.patches import PatchTerm
from course_lib.losses.perceptual import FeatureTerm
from course_lib.masks import Regions
from course_lib.optimize.objective import Part
from course_lib.painting.terms import Scene, check_regions
from course_lib.pretrained.vgg import VGGFeatures

PATCH_LAYERS = ("relu3_1", "relu4_1")  # Li & Wand 2016, Section 4


@dataclass(frozen=True)
class Patches:
    """Each patch of features should look like its nearest patch of the paintings (Li & Wand 2016, Eq. 2).

    Args:
        weight: of the mean over layers.
        layers: whose patches are compared.
        size, stride: of the patches and of the style's grid, in positions.
        style_scale: long side of the paintings / of the photo.
        regions: if given, a position takes patches only from the counterpart of its own region, and one that is in no
            region from anywhere.

    Raises:
        ValueError: a number out of range, or no layer.
        TypeError: `regions` are not `Regions`.
    """

    weight: float
    layers: tuple[str, ...] = PATCH_LAYERS
    size: int = patches.SIZE
    stride: int = patches.STRIDE
    style_scale: float = 1.0
    regions: Regions | None = None

    def __post_init__(self) -> None:
        arguments.nonnegative("patch_weight", self.weight)
        arguments.names("patch_layers", self.layers)
        arguments.whole("patch_size", self.size, 1)
        arguments.whole("patch_stride", self.stride, 1)
        arguments.positive("style_scale", self.style_scale)
        if self.regions is not None:
            check_regions(self.regions)

    def terms(self, scene: Scene) -> tuple[Sequence[FeatureTerm], Sequence[Part]]:
        """One term for each layer, ``"patches/relu3_1"``."""
        paintings = scene.resized(self.style_scale)
        with torch.no_grad():
            features = [scene.network.targets(painting, self.layers) for painting in paintings]
        labels, style_labels = self._labels(scene, paintings)
        if labels:  # a painting whose masks overlap takes part once for each of them
            features = [each for each, maps in zip(features, style_labels, strict=True) for _ in maps]
        try:
            return [
                PatchTerm(
                    layer,
                    self.weight / len(self.layers),
                    [each[layer] for each in features],
                    size=self.size,
                    stride=self.stride,
                    regions=labels[layer] if labels else None,
                    style_regions=[each[layer] for maps in style_labels for each in maps] if labels else None,
                )
                for layer in self.layers
            ], ()
        except ValueError as error:
            if self.regions is None:
                raise
            names = ", ".join(f"{k} {name}" for k, name in enumerate(self.regions.names))
            raise ValueError(f"{error} (the regions are {names})") from error

    def memory_needed(self, network: VGGFeatures, height: int, width: int) -> int:
        """Of all its terms, with one painting of the photo's shape, at its scale."""
        scaled = (round(side * self.style_scale) for side in (height, width))
        sizes = [[_shape(network, layer, *size) for layer in self.layers] for size in ((height, width), (*scaled,))]
        return sum(
            patches.memory_needed(
                size, [style], channels, size=self.size, stride=self.stride,
                precision=network.precision, device=network.mean.device,
            )
            for (channels, size), (_, style) in zip(*sizes, strict=True)
        )  # fmt: skip

    def least_side(self, network: VGGFeatures) -> int:
        """Of a picture that has a patch at every layer."""
        return max(self.size << (int(layer[4]) - (not layer.startswith("pool"))) for layer in self.layers)

    def _labels(self, scene: Scene, paintings: list[Tensor]) -> tuple[dict[str, Tensor], list[list[dict[str, Tensor]]]]:
        """The number of the region that has most of each position, −1 for none: of the photo and of each painting.

        A painting whose masks overlap has one map for each of its regions.
        """
        if self.regions is None or scene.photo is None:
            return {}, []
        height, width = scene.photo.shape[-2:]
        sizes = [(painting.shape[-2], painting.shape[-1]) for painting in paintings]
        here = self.regions.at((height, width), sizes).to(scene.photo.device)
        own = [[masks] if bool((masks.sum(0) <= 1 + 1e-4).all()) else _apart(masks) for masks in here.styles]
        labels, found = self._strongest(scene, here.content), [[self._strongest(scene, one) for one in k] for k in own]
        self._complete(scene, labels, here.styles, found)
        return labels, found

    def _complete(
        self, scene: Scene, labels: dict[str, Tensor], styles: Sequence[Tensor], found: list[list[dict[str, Tensor]]]
    ) -> None:
        """Mark one patch for each region that has none, the one nearest to its largest share: it has a style, too."""
        for layer, of_photo in labels.items():
            sizes = [maps[0][layer].shape for maps in found]
            middles = [[self._middles(length).to(of_photo.device) for length in size] for size in sizes]
            having = {
                number
                for maps, (rows, columns) in zip(found, middles, strict=True)
                for each in maps
                for number in each[layer][rows][:, columns].flatten().tolist()
            }
            for number in sorted({*of_photo.flatten().tolist()} - having - {-1}):
                shares = [propagate(masks[number : number + 1], [layer], "simple", scene.network.arch)[layer][0, 0]
                          if min(size) >= self.size else masks.new_zeros(1, 1)
                          for masks, size in zip(styles, sizes, strict=True)]  # fmt: skip
                k = max(range(len(shares)), key=lambda k: shares[k].max().item())
                if shares[k].max() > 0:
                    place = divmod(int(shares[k].argmax()), shares[k].shape[1])
                    y, x = (line[(line - at).abs().argmin()] for line, at in zip(middles[k], place, strict=True))
                    found[k][0][layer][y, x] = number

    def _middles(self, length: int) -> Tensor:
        """The rows, or columns, in which the middles of the style's patches lie."""
        return torch.arange(0, max(0, length - self.size + 1), self.stride) + self.size // 2

    def _strongest(self, scene: Scene, masks: Tensor) -> dict[str, Tensor]:
        found = {}
        for layer, share in propagate(masks, self.layers, "simple", scene.network.arch).items():
            most, number = share[:, 0].max(0)
            found[layer] = torch.where(most >= 1 - share[:, 0].sum(0), number, -1)
        return found


@dataclass(frozen=True)
class Photorealism:
    """The picture should be, window by window, an affine recoloring of the photo (Luan et al. 2017, Eq. 2).

    Args:
        weight: λ on the mean over pixels; see `course_lib.losses.matting`.
        eps, radius: of the matting Laplacian.

    Raises:
        ValueError: a number out of range.
    """

    weight: float
    eps: float = matting.EPS
    radius: int = matting.RADIUS

    def __post_init__(self) -> None:
        arguments.nonnegative("photo_weight", self.weight)
        arguments.positive("matting_eps", self.eps)
        arguments.whole("matting_radius", self.radius, 1)

    @property
    def layers(self) -> Sequence[str]:
        """No layers: it reads pixels."""
        return ()

    def terms(self, scene: Scene) -> tuple[Sequence[FeatureTerm], Sequence[Part]]:
        """One term, ``"photorealism"``."""
        if scene.photo is None:
            raise ValueError("photorealism needs a content image: the photo that the picture recolors")
        return (), [matting.photorealism_term(scene.photo, self.weight, eps=self.eps, radius=self.radius)]

    def memory_needed(self, network: VGGFeatures, height: int, width: int) -> int:
        """The Laplacian's planes in float32, and as many numbers in a step."""
        return 2 * 4 * len(matting.offsets(self.radius)) * height * width

    def least_side(self, network: VGGFeatures) -> int:
        """Of a picture that has a window."""
        return 2 * self.radius + 1


def _apart(masks: Tensor) -> list[Tensor]:
    """For each region that is not empty: its mask alone, with zeros for the others."""
    one = torch.eye(len(masks), device=masks.device)[..., None, None, None]
    return [masks * only for only, mask in zip(one, masks, strict=True) if bool(mask.any())]


def _shape(network: VGGFeatures, layer: str, height: int, width: int) -> tuple[int, tuple[int, int]]:
    """Channels and (h, w) of a layer for a picture of this size."""
    pools = int(layer[4]) - (not layer.startswith("pool"))
    conv = network.convs[f"conv{layer[4]}_1"]  # all layers of a block have its channels
    return conv.out_channels, (height >> pools, width >> pools)  # type: ignore[return-value]
