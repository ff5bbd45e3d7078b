"""What excites the channels of VGG-19, in numbers small enough for a page: the atlas of the feature explorer.

An atlas holds a few photographs, the values of chosen channels on them, and for each channel the places in all
photographs of the package at which it responds most. `make` computes it as plain values for a stored run;
`teaching.interactive.feature_explorer` shows it. ``python -m scripts.atlas`` stores the one of this book.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments
from course_lib.image_checks import check_tensor
from course_lib.networks.layers import receptive_field
from course_lib.pretrained.vgg import STYLE_LAYERS, VGGFeatures
from course_lib.samples import sample_image

LEVELS = 255  # of a stored value


@dataclass(frozen=True)
class Config:
    """What an atlas holds."""

    photos: tuple[str, ...] = ("scarlet_macaw", "dahlia", "neuschwanstein")  # those in which places are looked at
    size: int = 224  # the long side of all photographs, in pixels: the size VGG was trained with
    layers: tuple[str, ...] = STYLE_LAYERS  # rectified ones, relu1_1 first
    channels: int = 24  # of each layer
    patches: int = 4  # for each channel, at most one from a photograph
    grid: int = 8  # pixels between stored positions, where a layer has neighbors that are closer


def make(config: Config, names: Sequence[str], network: VGGFeatures | None = None) -> dict[str, Any]:
    """Compute an atlas.

    Args:
        config: what it holds.
        names: photographs of the package from which the patches come; see `samples.sample_names`.
        network: with the layers of `config`; None: `VGGFeatures` with its defaults.

    Returns:
        Plain values. ``"photos"``: name, height, width and pixels (`pack`) of each of ``config.photos``. The network
        is given exactly these pixels. ``"layers"``: for each layer its name, ``"field"`` and ``"stride"`` in pixels,
        ``"step"`` (between stored positions, in positions), ``"inputs"`` (channels that it reads), the chosen
        ``"channels"`` out of how many, ``"scales"`` (the value of code 255 for each of them), ``"codes"`` (`encode`,
        one text for each photo; none for the first layer, which a page computes) and ``"patches"``: for each channel
        the photo (its place in ``"names"``), row and column, and the value there, greatest first. ``"filters"``:
        weights and biases of the chosen channels of the first layer. ``"mean"`` and ``"std"``: of the network's input.

    Raises:
        ValueError: fewer photographs than patches, or a first layer other than relu1_1.
    """
    if config.layers[0] != "relu1_1":
        raise ValueError(f"a page computes relu1_1 itself, so an atlas begins with it; got {config.layers[0]}")
    if len(set(names)) < config.patches:
        raise ValueError(f"{config.patches} patches come from as many photographs, got {len(set(names))}")
    network = network or VGGFeatures("vgg19", config.layers)
    seen = _survey(network, config, names)
    given = [pack(sample_image(name, config.size)) for name in config.photos]
    with torch.no_grad():
        answers = [network(unpack(photo)) for photo in given]
    layers: list[dict[str, Any]] = []
    for layer in config.layers:
        field, stride = field_of(network, layer)
        step = max(1, config.grid // stride)
        chosen = sorted(varied(seen[layer].correlation(), config.channels))
        values = [f[layer][0, chosen][:, step // 2 :: step, step // 2 :: step] for f in answers]
        scales = torch.stack([v.amax((1, 2)) for v in values]).amax(0)
        first = layer == config.layers[0]
        conv = _conv(network, layer)
        layers.append(
            {
                "name": layer, "field": field, "stride": stride, "step": 1 if first else step,
                "inputs": conv.in_channels, "of": conv.out_channels, "channels": chosen, "scales": scales.tolist(),
                "codes": [] if first else [encode(v, scales) for v in values],
                "patches": [seen[layer].patches(channel, config.patches) for channel in chosen],
            }
        )  # fmt: skip
    conv, chosen = _conv(network, config.layers[0]), layers[0]["channels"]
    assert conv.bias is not None
    return {
        "source": network.source, "names": list(names), "size": config.size,
        "photos": [{"name": name, **photo} for name, photo in zip(config.photos, given, strict=True)],
        "layers": layers,
        "filters": {"weights": _digits(conv.weight[chosen]), "biases": _digits(conv.bias[chosen])},
        "mean": _digits(network.mean.flatten()), "std": _digits(network.std.flatten()),
    }  # fmt: skip


def _conv(network: VGGFeatures, layer: str) -> nn.Conv2d:
    conv = network.convs[layer.replace("relu", "conv")]
    assert isinstance(conv, nn.Conv2d)
    return conv


def values(atlas: Mapping[str, Any], photo: int, layer: int) -> Tensor:
    """The values (channels, h, w) of the chosen channels of a layer at the stored positions of a photograph.

    Those of the first layer are computed; those of the others are as exact as `encode` stores them.

    Args:
        atlas: of `make`.
        photo, layer: their places in the atlas.
    """
    shown, chosen = atlas["photos"][photo], atlas["layers"][layer]
    if not chosen["codes"]:
        mean, std = (torch.tensor(atlas[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        weights, biases = (torch.tensor(atlas["filters"][key]) for key in ("weights", "biases"))
        return F.conv2d((unpack(shown) - mean) / std, weights, biases, padding=1)[0].relu()
    sides = [
        len(range(chosen["step"] // 2, shown[side] // chosen["stride"], chosen["step"])) for side in ("height", "width")
    ]
    return decode(chosen["codes"][photo], chosen["scales"], (len(chosen["channels"]), *sides))


class _Seen:
    """Moments of a layer's channels over positions, and the greatest value of each channel in each photograph."""

    def __init__(self) -> None:
        self.count, self.sum, self.products = 0, torch.zeros(()), torch.zeros(())
        self.peaks: list[tuple[Tensor, Tensor, int]] = []  # (C,) values and (C,) positions, and the width of the map

    def add(self, features: Tensor, step: int) -> None:
        """Features (1, C, h, w); moments are taken of every `step`-th position in both directions."""
        best, at = features[0].flatten(1).max(1)
        self.peaks.append((best, at, features.shape[-1]))
        x = features[0, :, step // 2 :: step, step // 2 :: step].flatten(1).double()  # (C, n)
        self.count, self.sum, self.products = self.count + x.shape[1], self.sum + x.sum(1), self.products + x @ x.T

    def correlation(self) -> Tensor:
        mean = self.sum / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)  # (C, C)
        deviation = covariance.diagonal().clamp_min(0).sqrt()
        lengths = torch.outer(deviation, deviation)
        return torch.where(lengths > 1e-12, covariance / lengths.clamp_min(1e-12), 0.0)

    def patches(self, channel: int, count: int) -> list[list[float]]:
        order = sorted(range(len(self.peaks)), key=lambda k: -self.peaks[k][0][channel].item())
        found = []
        for k in order[:count]:
            best, at, width = self.peaks[k]
            place = int(at[channel])
            found.append([k, place // width, place % width, best[channel].item()])
        return found


def _survey(network: VGGFeatures, config: Config, names: Sequence[str]) -> dict[str, _Seen]:
    seen = {layer: _Seen() for layer in config.layers}
    steps = {layer: max(1, config.grid // field_of(network, layer)[1]) for layer in config.layers}
    for name in names:
        with torch.no_grad():
            features = network(sample_image(name, config.size))
        for layer, f in features.items():
            seen[layer].add(f, steps[layer])
    return seen


def field_of(network: VGGFeatures, layer: str) -> tuple[int, int]:
    """Side of the receptive field of a position of `layer`, and the distance between neighbors, in pixels.

    >>> field_of(VGGFeatures("vgg19", "relu3_1", weights=None), "relu3_1")
    (24, 4)
    """
    names = network.names[: network.names.index(layer) + 1]
    names = tuple(name for name in names if not name.startswith("relu"))
    return receptive_field(nn.Sequential(*(network.convs[n] if n in network.convs else nn.AvgPool2d(2) for n in names)))


def varied(correlation: Tensor, count: int) -> list[int]:
    """Channels that represent all channels of a layer: greedily, the next one raises Σ_j max_i r_ij the most.

    The sum is over all channels j, the maximum over the chosen ones i, and negative correlations count as 0. Two
    channels that respond alike are hardly ever chosen both (facility location; Nemhauser et al. 1978 prove that the
    greedy sum is at least 63 % of the best one).

    Args:
        correlation: (C, C), of the channels' values; a channel that never responds has a row of zeros.
        count: how many; at most C.

    >>> r = torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]])
    >>> varied(r, 2)
    [1, 2]
    """
    arguments.whole("count", count, 1)
    gains, covered = correlation.clamp_min(0).double(), torch.zeros(len(correlation), dtype=torch.double)
    chosen: list[int] = []
    for _ in range(min(count, len(correlation))):
        raised = (gains - covered).clamp_min(0).sum(1)
        raised[chosen] = -1
        chosen.append(int(raised.argmax()))
        covered = torch.maximum(covered, gains[chosen[-1]])
    return chosen


def encode(values: Tensor, scales: Tensor) -> str:
    """Values (C, h, w), not negative, as bytes: code = 255·√(v/scale), rounded, so small values are stored finely.

    The error of a value is at most scale·(√(v/scale)/255 + 1/510²), about 0.4 % of the channel's scale.

    Args:
        values: (C, h, w).
        scales: (C,), the greatest value of each channel anywhere.
    """
    codes = (values / scales.clamp_min(1e-12)[:, None, None]).clamp(0, 1).sqrt() * LEVELS
    return _text(codes.round().to(torch.uint8))


def decode(text: str, scales: Sequence[float], shape: Sequence[int]) -> Tensor:
    """Values (C, h, w) from `encode`.

    >>> v = torch.tensor([[[0.0, 1.0], [4.0, 2.0]]])
    >>> decode(encode(v, torch.tensor([4.0])), [4.0], v.shape)[0, 1, 0]
    tensor(4.)
    """
    codes = _bytes(text).float().view(*shape)
    return torch.tensor(scales)[:, None, None] * (codes / LEVELS).square()


def pack(image: Tensor) -> dict[str, Any]:
    """A photograph in few bytes: luma for every pixel, two color differences for every 2 × 2, as in a JPEG.

    The steps are whole-number ones (YCoCg), so that `unpack` and a page find the same bytes.

    Args:
        image: (1, 3, H, W) in [0, 1]; the last row and column of an odd side are cut off.

    Returns:
        ``"height"``, ``"width"`` and ``"pixels"``, a text.

    >>> unpack(pack(torch.full((1, 3, 5, 4), 0.5))).shape
    torch.Size([1, 3, 4, 4])
    """
    check_tensor(image)
    height, width = (side // 2 * 2 for side in image.shape[-2:])
    red, green, blue = (image[0, :, :height, :width].clamp(0, 1) * 255).round().int()
    orange = red - blue
    middle = blue + (orange >> 1)
    leaf = green - middle
    luma = middle + (leaf >> 1)
    planes = [luma] + [
        (c.float().view(height // 2, 2, width // 2, 2).mean((1, 3)) / 2).round().int().clamp(-127, 127)
        for c in (orange, leaf)
    ]
    text = _text(torch.cat([_steps(plane).flatten() for plane in planes]).remainder(256).to(torch.uint8))
    return {"height": height, "width": width, "pixels": text}


def unpack(photo: Mapping[str, Any]) -> Tensor:
    """The picture (1, 3, H, W) in [0, 1] that `pack` stored; whole multiples of 1/255."""
    height, width = photo["height"], photo["width"]
    stored = _bytes(photo["pixels"]).int()
    luma, orange, leaf = stored.split([height * width, height * width // 4, height * width // 4])
    luma = _sums(luma.view(height, width))
    halves = [(_sums(c.view(height // 2, width // 2)) + 128) % 256 - 128 for c in (orange, leaf)]
    orange, leaf = (2 * c.repeat_interleave(2, 0).repeat_interleave(2, 1) for c in halves)
    middle = luma - (leaf >> 1)
    green = leaf + middle
    blue = middle - (orange >> 1)
    return torch.stack([blue + orange, green, blue]).clamp(0, 255)[None].float() / 255


def _steps(plane: Tensor) -> Tensor:
    """Each value minus left + above − above left, with zeros outside: differences along both sides."""
    left = torch.diff(plane, dim=1, prepend=torch.zeros_like(plane[:, :1]))
    return torch.diff(left, dim=0, prepend=torch.zeros_like(left[:1]))


def _sums(steps: Tensor) -> Tensor:
    """The plane of `_steps`, modulo 256."""
    return steps.cumsum(0).cumsum(1).remainder(256)


def _digits(values: Tensor) -> Any:
    """Nested lists of the shortest numbers that are the same in float32."""
    return [_digits(v) for v in values] if values.ndim else float(f"{values.item():.9g}")


def _text(array: Tensor) -> str:
    return base64.b64encode(zlib.compress(array.contiguous().numpy().tobytes(), 9)).decode()


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray(zlib.decompress(base64.b64decode(text))), dtype=torch.uint8)
