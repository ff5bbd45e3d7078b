"""How alike two pictures are: structure, perception, statistics.

None of these numbers is quality. They say *what* is alike: SSIM the local structure of the light (Wang et al. 2004),
LPIPS what a network trained on people's judgments sees (Zhang et al. 2018), the Gram distance the statistics that
this book calls style. A picture can be near in one and far in another, and in style transfer it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from course_lib import losses, weights
from course_lib.features import STYLE_LAYERS, VGGFeatures

_LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity (Wang et al. 2004), mean over pixels and the three colors.

    Args:
        a, b: (N, 3, H, W) in [0, 1], at least 11 px a side.

    Returns:
        1 for equal pictures, about 0 where nothing of the local structure is shared.
    """
    _check_pair(a, b)
    value = structural_similarity_index_measure(a.float(), b.float(), data_range=1.0)
    assert isinstance(value, Tensor)
    return value.item()


def lpips(a: Tensor, b: Tensor) -> float:
    """Learned perceptual distance, version 0.1 on VGG-16 (Zhang et al. 2018), mean over the batch.

    Features of five layers, each position scaled to length one, squared differences weighted by one learned
    nonnegative number a channel, averaged over positions, added over layers.

    Args:
        a, b: (N, 3, H, W) in [0, 1], at least 16 px a side.

    Returns:
        0 for equal pictures; 0.1 is hard to see, above 0.6 is another picture.
    """
    _check_pair(a, b)
    network, heads = _lpips_network()
    with torch.no_grad():
        found = zip(network(a.float()).values(), network(b.float()).values(), heads, strict=True)
        distances = [F.conv2d((_unit(x) - _unit(y)).square(), head).mean((1, 2, 3)) for x, y, head in found]
    return torch.stack(distances).sum(0).mean().item()


def gram_distance(a: Tensor, b: Tensor, layers: Sequence[str] = STYLE_LAYERS) -> dict[str, float]:
    """Relative distance of the Gram matrices at each layer, ‖G_a − G_b‖ / ‖G_b‖, on the normalized VGG-19.

    Args:
        a, b: (1, 3, H, W) in [0, 1]; the sizes may differ.

    Returns:
        layer → 0 for equal statistics, about 1 for unrelated ones.
    """
    network = _style_network(tuple(layers))
    with torch.no_grad():
        first, second = network(a.float()), network(b.float())
    found = {}
    for layer in layers:
        ga, gb = (losses.gram_matrix(features[layer], mean=True) for features in (first, second))
        found[layer] = ((ga - gb).norm() / gb.norm()).item()
    return found


def change(a: Tensor, b: Tensor) -> float:
    """Root mean square difference of two pictures, in gray levels of 0–255."""
    _check_pair(a, b)
    return 255 * (a - b).square().mean().sqrt().item()


@lru_cache(maxsize=1)
def _lpips_network() -> tuple[VGGFeatures, list[Tensor]]:
    heads = weights.load("lpips_vgg16").state_dict
    network = VGGFeatures("vgg16", _LPIPS_LAYERS, pooling="max")
    return network, [heads[f"heads.{k}.weight"] for k in range(len(_LPIPS_LAYERS))]


@lru_cache(maxsize=2)
def _style_network(layers: tuple[str, ...]) -> nn.Module:
    return VGGFeatures("vgg19", layers)


def _unit(features: Tensor) -> Tensor:
    """Every position's features scaled to length one; the small number is the original's."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
        raise ValueError(
            f"expected two pictures of one shape (N, 3, H, W), got {tuple(a.shape)} and {tuple(b.shape)}; "
            "course_lib.resize makes them equal"
        )
