"""Components on what a layer does to a feature map: four normalizations, and overlaps in transposed convolutions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.networks.adalin import adalin
from course_lib.networks.modulated import modulated_conv
from course_lib.teaching.figures import Figure, picture
from course_lib.teaching.interactive.component import cell, component, part

CHANNELS = 3
STEP = 1 / 32  # values of the map are whole multiples of it, from −4 to 127/32, so that a byte holds one
WEIGHT = 0.5  # of the demodulated convolution: each output reads its own channel
CHOICES: dict[str, list[float]] = {
    "channel": [0, 1, 2],
    "mean": [k / 2 for k in range(-6, 7)],
    "deviation": [0, 0.25, 0.5, 1, 2, 4],
    "spike": [0, 10, 20, 50, 100, 200],
    "rho": [k / 10 for k in range(11)],
    "style": [0.1, 0.5, 1, 2, 7],
}
AT: dict[str, float] = {"channel": 0, "mean": 1.5, "deviation": 2, "spike": 0, "rho": 0.5, "style": 1}
NAMES = ("the feature map", "instance (ρ = 1)", "layer (ρ = 0)", "mixed (AdaLIN)", "demodulated")

INPUTS = 7  # along a side
KERNELS, STRIDES = (2, 3, 4, 5, 6), (1, 2, 3)


def normalized(features: Tensor, at: Mapping[str, float]) -> list[Tensor]:
    """The changed map and its four normalizations, as the component shows them.

    One channel becomes deviation · a + mean, and one of its positions the spike, if that is not 0.

    Args:
        features: (1, 3, S, S), any range.
        at: a value for each key of `CHOICES`.

    Returns:
        Five times (1, 3, S, S): the map, instance, layer, their mixture (`networks.adalin`), demodulated
        (`networks.modulated`, 1×1 weights that read one channel each).

    >>> x = torch.randn(1, 3, 8, 8)
    >>> [round(abs(y[0, 0].mean().item()), 3) for y in normalized(x, {**AT, "mean": 3})][1:2]
    [0.0]
    """
    x, k = features.clone(), int(at["channel"])
    x[:, k] = at["deviation"] * x[:, k] + at["mean"]
    if at["spike"] > 0:
        x.view(1, CHANNELS, -1)[:, k, _spot(x.shape[-1])] = at["spike"]
    one, zero = x.new_ones(CHANNELS), x.new_zeros(CHANNELS)
    mixtures = [adalin(x, rho * one, one, zero) for rho in (1.0, 0.0, at["rho"])]
    weight = WEIGHT * torch.eye(CHANNELS, dtype=x.dtype)[..., None, None]
    return [x, *mixtures, modulated_conv(x, weight, at["style"] * one[None])]


def normalizations(features: Tensor, *, caption: str, alt: str) -> Figure:
    """Move the mean and the deviation of a channel, add a spike, and see what four normalizations make of the map.

    They are instance and layer normalization, a mixture of both with a share ρ (Kim et al. 2020, Eq. 1), and a
    demodulated convolution (Karras et al. 2020, Eqs. 1 and 3). Below each stand the mean and the deviation of every
    channel, without the spike.

    Args:
        features: (1, 3, S, S), three channels of a feature map, S at most 64; best with mean 0 and deviation 1. Values
            are rounded to multiples of 1/32, and those beyond −4 and 127/32 are clamped.
        caption, alt: as in `figures.sheet`.

    Raises:
        ValueError: another shape, whole numbers, or values that are not finite.
    """
    _check_map(features)
    side = features.shape[-1]
    codes = (features.detach().double().cpu() / STEP).round().clamp(-128, 127)  # (1, 3, S, S)
    cells = []
    for name, y in zip(NAMES, normalized(codes * STEP, AT), strict=True):
        row = F.pad(0.5 + y / 6, (0, 2), value=1.0)[0]  # black at −3, white at 3
        row = torch.cat(row.unbind(0), 1)[None, :, :-2].float()
        cells.append(cell(picture(F.interpolate(row[None], scale_factor=2), name), name))
    body = f'<div class="strip">{"".join(cells)}</div>{part("normalizations.html")}'
    settings = {
        "maps": base64.b64encode((codes + 128).to(torch.uint8).numpy().tobytes()).decode(),
        "side": side, "spot": _spot(side), "choices": CHOICES, "at": AT, "weight": WEIGHT,
    }  # fmt: skip
    return component("normalizations", body, caption, alt, settings)


def products(kernel: int, stride: int) -> tuple[Tensor, Tensor]:
    """How many products each output pixel adds up, for 7 × 7 inputs and weights 1.

    Args:
        kernel, stride: of the convolution.

    Returns:
        (1, 1, A, A), A = 6·stride + kernel, for a transposed convolution; and (1, 1, B, B), B = 7·stride + kernel − 1,
        where each input is repeated stride × stride times and then convolved, with a border of zeros.

    >>> products(3, 2)[0][0, 0, 4, 2:8]  # 1 and 2 along a side, times the 2 of this row
    tensor([4., 2., 4., 2., 4., 2.])
    """
    ones, weight = torch.ones(1, 1, INPUTS, INPUTS), torch.ones(1, 1, kernel, kernel)
    repeated = F.interpolate(ones, scale_factor=stride)
    return F.conv_transpose2d(ones, weight, stride=stride), F.conv2d(repeated, weight, padding=kernel - 1)


def overlaps(*, caption: str, alt: str, kernel: int = 3, stride: int = 2) -> Figure:
    """Choose the kernel and the stride of a transposed convolution and see how its copies overlap (Odena et al. 2016).

    Beside it stands the cure: repeat every input pixel, then convolve. Below, the products of each output pixel along
    one side are drawn one by one.

    Args:
        caption, alt: as in `figures.sheet`.
        kernel, stride: shown first; 2 to 6, and 1 to 3.

    Raises:
        ValueError: a kernel or a stride that cannot be chosen.
    """
    arguments.choice("kernel", kernel, KERNELS)
    arguments.choice("stride", stride, STRIDES)
    names = ("transposed convolution", "repeated, then convolved")
    cells = [
        cell(picture(counts[0] / counts.max(), name), name)
        for name, counts in zip(names, products(kernel, stride), strict=True)
    ]
    body = f'<div class="strip">{"".join(cells)}</div>{part("overlaps.html")}'
    settings: dict[str, Any] = {"inputs": INPUTS, "kernels": KERNELS, "strides": STRIDES}
    return component("overlaps", body, caption, alt, {**settings, "at": {"kernel": kernel, "stride": stride}})


def _spot(side: int) -> int:
    """The position of the spike in a map with `side` × `side` positions, counted row by row: at the upper right."""
    return side // 5 * side + 3 * side // 4


def _check_map(features: object) -> None:
    shape: Sequence[int] = tuple(features.shape) if isinstance(features, Tensor) else ()
    square = len(shape) == 4 and shape[:2] == (1, CHANNELS) and 2 <= shape[2] == shape[3] <= 64
    if not isinstance(features, Tensor) or not square or not features.is_floating_point():
        got = f"{features.dtype} of shape {shape}" if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(f"expected a feature map (1, 3, S, S) of floats, S at most 64, got {got}")
    if not features.isfinite().all():
        raise ValueError("the feature map contains values that are not finite; look at the layer that made it")
