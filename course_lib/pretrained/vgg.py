"""VGG features by layer name.

When the papers write *conv4_2* they mean the rectified output, which is ``"relu4_2"`` here; ``"conv4_2"`` is
the raw convolution before the ReLU. The network computes nothing past the deepest layer that was requested.

Sources: Simonyan & Zisserman 2015 (the architecture); Gatys et al. 2016, Section 2 (filters rescaled to a
mean activation of one, average pooling in place of max pooling); Huang & Belongie 2017, Section 6.1 (reflection).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments
from course_lib.image_checks import check_tensor
from course_lib.pretrained import weights as weights_room
from course_lib.pretrained.passes import Passes
from course_lib.runtime import seeded_generator, with_gradients

_CONVS_PER_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)
_DEFAULT_WEIGHTS = {"vgg16": "torchvision", "vgg19": "normalized"}
_RANDOM_WIDTH = 8  # weights=None divides every channel count by this
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

PADDINGS = ("zeros", "reflect")
CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def layer_names(arch: str = "vgg19") -> tuple[str, ...]:
    """All layers of the convolutional part, in order: ``conv1_1, relu1_1, …, pool1, conv2_1, …, pool5``.

    >>> layer_names("vgg19")[:5]
    ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1')
    >>> sum(name.startswith("conv") for name in layer_names("vgg19"))
    16
    """
    if not isinstance(arch, str) or arch not in _CONVS_PER_BLOCK:
        raise ValueError(f"unknown network {arch!r}; use 'vgg16' or 'vgg19'")
    names = []
    for block, count in enumerate(_CONVS_PER_BLOCK[arch], start=1):
        for conv in range(1, count + 1):
            names += [f"conv{block}_{conv}", f"relu{block}_{conv}"]
        names.append(f"pool{block}")
    return tuple(names)


class VGGFeatures(Passes):
    """The convolutional part of VGG-16 or VGG-19, frozen; it returns features by layer name.

    Args:
        arch: ``"vgg19"`` (Gatys) or ``"vgg16"`` (Johnson).
        layers: names from `layer_names`; the network ends at the deepest of them.
        pooling: ``"average"`` (Gatys: "slightly more appealing") or ``"max"`` (as VGG was trained).
        weights: ``"normalized"`` (VGG-19 as Gatys et al. describe it: mean activation one),
            ``"torchvision"``, a path, ``"default"`` (normalized for VGG-19, torchvision's for VGG-16),
            or None for a small random network with an eighth of the channels, for tests.
        padding: of the convolutions, ``"zeros"`` (as VGG was trained) or ``"reflect"`` (AdaIN).
        precision: number format of the convolutions and of the returned features; `to` and `double` change it.
        seed: of the random weights; used with ``weights=None`` only.
        winograd: in the passes without autograd, use `course_lib.pretrained.winograd` where it is faster. False saves
            the memory of the transformed filters (`filter_bytes`).

    Raises:
        ValueError: unknown network, layer, pooling or padding.
        WeightsError: the weights are not available (see `course_lib.pretrained.weights`).

    >>> net = VGGFeatures("vgg19", ["relu2_1"], weights=None)
    >>> {name: tuple(f.shape) for name, f in net(torch.rand(1, 3, 32, 48)).items()}
    {'relu2_1': (1, 16, 16, 24)}
    """

    def __init__(
        self,
        arch: str = "vgg19",
        layers: Sequence[str] = (*STYLE_LAYERS, CONTENT_LAYER),
        *,
        pooling: str = "average",
        weights: str | Path | None = "default",
        padding: str = "zeros",
        precision: torch.dtype = torch.float32,
        seed: int = 0,
        winograd: bool = True,
    ) -> None:
        super().__init__()
        names = layer_names(arch)
        one = isinstance(layers, str | Tensor) or not isinstance(layers, Iterable)
        layers = (layers,) if one else tuple(layers)  # type: ignore[assignment]
        unknown = [layer for layer in layers if layer not in names]
        if not layers:
            raise ValueError(f"no layer was asked for; name at least one of {', '.join(names)}")
        if unknown:
            raise ValueError(f"{arch} has no layer {unknown}; the layers are {', '.join(names)}")
        pooling, seed = arguments.choice("pooling", pooling, ("average", "max")), arguments.seed(seed)
        self.padding = arguments.choice("padding", padding, PADDINGS)
        if not isinstance(precision, torch.dtype) or not precision.is_floating_point:
            raise ValueError(f"precision must be a floating-point dtype such as torch.float32, got {precision!r}")
        self.arch, self.pooling, self.winograd = arch, pooling, winograd
        deepest = max(names.index(layer) for layer in layers)
        self.names = names[: deepest + 1]
        self.layers = tuple(name for name in self.names if name in layers)  # in order of depth
        self._build(weights, seed)
        self.convs.to(precision, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(False).eval()

    def _build(self, weights: str | Path | None, seed: int) -> None:
        width = 1 if weights is not None else _RANDOM_WIDTH
        channels = 3
        for name in self.names:
            if name.startswith("conv"):
                out = _CHANNELS[int(name[4]) - 1] // width
                self.convs[name] = nn.Conv2d(channels, out, 3, padding=1, padding_mode=self.padding)  # type: ignore[arg-type]
                channels = out
        if weights is None:
            mean, std = _IMAGENET_MEAN, _IMAGENET_STD
            self.source, generator = f"random, seed {seed}", seeded_generator(seed)
            for conv in self.convs.values():
                assert isinstance(conv, nn.Conv2d)
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
                assert conv.bias is not None
                nn.init.zeros_(conv.bias)
        else:
            if weights == "default":
                weights = _DEFAULT_WEIGHTS[self.arch]
            known = weights in ("normalized", "torchvision")
            loaded = weights_room.load(f"{self.arch}_{weights}" if known else weights)
            mean, std, self.source = loaded.mean, loaded.std, loaded.source
            if loaded.last is not None and (beyond := [name for name in self.convs if name > loaded.last]):
                raise weights_room.WeightsError(
                    f"only the layers of {loaded.name} up to {loaded.last} are in the cache, and {beyond[-1]} is "
                    f"needed; `python -m course_lib fetch {loaded.name}` fetches the whole network"
                )
            self._copy(loaded.state_dict)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def _copy(self, state: dict[str, Tensor]) -> None:
        """Copy torchvision's ``features`` numbering (0.weight, 2.weight, 5.weight, …) into named layers."""
        # torchvision numbers convolutions, ReLUs and pools in one sequence: its index is the index in layer_names
        every = layer_names(self.arch)
        for name, conv in self.convs.items():
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            weight, bias = (state.get(f"{every.index(name)}.{part}") for part in ("weight", "bias"))
            if weight is None or bias is None or weight.shape != conv.weight.shape:
                got = "nothing" if weight is None else str(tuple(weight.shape))
                raise ValueError(
                    f"these weights do not fit {self.arch}: {name} needs {tuple(conv.weight.shape)}, got {got}. "
                    "Give a state dict of torchvision's vgg16/vgg19 `features`."
                )
            with torch.no_grad():
                conv.weight.copy_(weight)
                conv.bias.copy_(bias)

    def min_size(self, layer: str) -> int:
        """The smallest image side, in pixels, at which `layer` still has a position; a reflected border needs two."""
        names = self.names[: self.names.index(layer) + 1]
        pools = sum(name.startswith("pool") for name in names)
        return 2**pools * (2 if self.padding == "reflect" and not names[-1].startswith("pool") else 1)

    def forward(self, image: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Features of a batch of images.

        Args:
            image: (N, 3, H, W), in [0, 1]; values outside this range are not clipped.
            layers: a subset of the network's layers; the pass ends at the deepest of them. None: all layers.

        Returns:
            A dict from layer name, in order of depth, to features (N, C, h, w) in the network's precision.

        Raises:
            ValueError: the image has the wrong shape or an integer type, is too small for the deepest layer, or is
                on another device than the network.
        """
        wanted = {layers} if isinstance(layers, str) else set(self.layers if layers is None else layers)
        if not wanted <= {*self.layers}:
            raise ValueError(
                f"this network was built for {', '.join(self.layers)}, not for {sorted(wanted - {*self.layers})}"
            )
        features: dict[str, Tensor] = {}
        x = self._enter(image)
        for name in self.names:
            if len(features) == len(wanted):
                break
            if name.startswith("conv"):
                x = self.convs[name](x)
            elif name.startswith("relu"):
                x = F.relu(x)
            else:
                x = F.avg_pool2d(x, 2) if self.pooling == "average" else F.max_pool2d(x, 2)
            if name in wanted:
                features[name] = x
        return features

    def _enter(self, image: Tensor) -> Tensor:
        """The image in the network's own scale, number format and memory layout.

        Raises:
            ValueError: as `forward`.
        """
        check_tensor(image)
        if image.device != self.mean.device:
            raise ValueError(
                f"the image is on {image.device}, the network on {self.mean.device}; "
                "move one of them, for example image.to(network.mean.device)"
            )
        deepest = self.layers[-1]
        if min(image.shape[-2:]) < self.min_size(deepest):
            raise ValueError(
                f"{deepest} needs an image of at least {self.min_size(deepest)} px on each side, "
                f"got {image.shape[-2]}×{image.shape[-1]}; use a larger image or shallower layers"
            )
        x = (image - self.mean) / self.std
        return x.to(self.precision, memory_format=torch.channels_last)

    def extra_repr(self) -> str:
        borders = "" if self.padding == "zeros" else "reflected borders, "
        return f"{self.arch}, to {self.layers[-1]}, {self.pooling} pooling, {borders}weights: {self.source}"


@lru_cache(maxsize=4)
@with_gradients()  # a network made in inference mode could never be differentiated afterwards
def cached_network(
    arch: str,
    layers: tuple[str, ...],
    pooling: str,
    weights: str | Path | None,
    precision: torch.dtype,
    device: torch.device,
    padding: str = "zeros",
) -> VGGFeatures:
    """A `VGGFeatures` on `device`, from a cache of four, because reading the weights takes longer than a short run.

    Args and Raises: as `VGGFeatures`. The returned network is shared, so do not modify it.
    """
    network = VGGFeatures(arch, layers, pooling=pooling, weights=weights, padding=padding, precision=precision)
    return network.to(device)
