"""Measures of how similar two pictures are, and of the checkerboard that upsampling leaves in one.

None of these numbers measures quality. Each compares one aspect: PSNR the values pixel by pixel, SSIM the local
structure of the luminance (Wang et al. 2004), LPIPS features weighted by human judgments (Zhang et al. 2018), and the
Gram distance the statistics that this book calls style. Two pictures can be close in one measure and far apart in
another; in style transfer they should be. `checkerboard` needs only one picture: it looks for a pattern with the period
of a network's stride. All refuse what is not a picture in [0, 1] (`course_lib.evaluation.inputs`).

Papers on super-resolution compare values rounded to 8 bits, as a file would hold them. Nothing in this module rounds;
where rounding matters, the caller does it with `images.from_pil(images.to_pil(image))`, one picture at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from course_lib import arguments, losses
from course_lib.evaluation.alexnet import MIN_SIZE, AlexNetFeatures
from course_lib.evaluation.inputs import check
from course_lib.networks.inputs import at_least_float32
from course_lib.pretrained import weights
from course_lib.pretrained.vgg import STYLE_LAYERS, VGGFeatures

_SSIM_WINDOW = 11
_STEP = 64  # bins between two multiples of 1/stride in `checkerboard`
_LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")  # of VGG-16
_LPIPS_LEAST = {"vgg16": 16, "alexnet": MIN_SIZE}  # network → smallest side in px


def luma(image: Tensor) -> Tensor:
    """The Y channel of ITU-R BT.601, Y = (16 + 65.481 R + 128.553 G + 24.966 B) / 255: studio range, not rounded.

    Args:
        image: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W) from 16/255 (black) to 235/255 (white), same dtype and device; gradients flow through.

    Raises:
        ValueError: not pictures in [0, 1] (see `course_lib.evaluation.inputs.check`).

    >>> (255 * luma(torch.eye(3)[None, :, :, None])).squeeze()  # a column of red, green and blue
    tensor([ 81.4810, 144.5530,  40.9660])
    """
    check(image, centered=True)
    weight = image.new_tensor([65.481, 128.553, 24.966]).reshape(1, 3, 1, 1)
    return ((image * weight).sum(1, keepdim=True) + 16) / 255


def psnr(a: Tensor, b: Tensor, *, crop: int = 0, luma: bool = False) -> float:
    """Peak signal-to-noise ratio, 10 log10(1 / mean (a − b)²) in dB, averaged over the batch.

    The mean square error of a picture is taken over its pixels and its three colors, or over its Y channel.
    Super-resolution papers report `crop=factor, luma=True` on pictures rounded to 8 bits (Johnson et al. 2016, Section
    4.2).

    Args:
        a, b: (N, 3, H, W) in [0, 1]. The peak is 1, also for the Y channel, whose largest value is 235/255.
        crop: pixels left out at each border.
        luma: compare `luma` of the pictures instead of their colors.

    Returns:
        dB; higher means more similar. A difference of 0.1 everywhere gives 20, one gray level everywhere 48.13; inf if
        any picture of `a` equals its partner in `b`.

    Raises:
        ValueError: not two pictures of one shape in [0, 1] (see `course_lib.evaluation.inputs.check`), or a crop that
            leaves nothing.

    >>> round(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)), 4)
    20.0
    """
    a, b = _compared(a, b, crop, luma, least=1)
    return peak_signal_noise_ratio(a, b, data_range=1.0, dim=(1, 2, 3)).item()


def ssim(a: Tensor, b: Tensor, *, crop: int = 0, luma: bool = False) -> float:
    """Structural similarity (Wang et al. 2004, Eq. 13), averaged over the batch.

    The windows are Gaussians of 11 px with σ = 1.5. For colors, the mean is over the three channels and all pixels, and
    the picture is reflected at its borders. For the Y channel, the mean is over the windows that lie entirely inside
    the picture, 5 px or more from its borders, as in Wang's own `ssim_index`. That is what super-resolution papers
    report (`crop=factor, luma=True`, on pictures rounded to 8 bits).

    Args:
        a, b: (N, 3, H, W) in [0, 1], with sides of at least 11 px after cropping.
        crop: pixels left out at each border.
        luma: compare `luma` of the pictures instead of their colors.

    Returns:
        1 for equal pictures, about 0 for pictures that share no local structure.

    Raises:
        ValueError: not two pictures of one shape in [0, 1] (see `course_lib.evaluation.inputs.check`), or less than
            11 px left of a side.
    """
    a, b = _compared(a, b, crop, luma, least=_SSIM_WINDOW)
    if luma:
        _, each = structural_similarity_index_measure(a, b, data_range=1.0, return_full_image=True)
        edge = _SSIM_WINDOW // 2  # reflection at the borders affects no pixel farther inside
        return each[..., edge:-edge, edge:-edge].mean().item()
    value = structural_similarity_index_measure(a, b, data_range=1.0)
    assert isinstance(value, Tensor)
    return value.item()


def lpips(a: Tensor, b: Tensor, network: str = "vgg16") -> float:
    """Learned perceptual distance, version 0.1 (Zhang et al. 2018, Eq. 1), averaged over the batch.

    At five layers, the feature vector of every position is scaled to length one. The squared differences are weighted
    by one learned nonnegative number per channel, averaged over positions, and summed over layers.

    Args:
        a, b: (N, 3, H, W) in [0, 1], with sides of at least 16 px, with AlexNet 31 px.
        network: ``"vgg16"``, or ``"alexnet"``, which the authors recommend for scores. Numbers of one network cannot be
            compared with numbers of the other.

    Returns:
        0 for equal pictures. With VGG-16, a distance of 0.1 is hard to see; above 0.6, the pictures differ in content.

    Raises:
        ValueError: an unknown network, or not two pictures of one shape in [0, 1] (see
            `course_lib.evaluation.inputs.check`).
        course_lib.pretrained.weights.WeightsError: the weights cannot be loaded.
    """
    return lpips_each(a, b, network).mean().item()


def lpips_each(a: Tensor, b: Tensor, network: str = "vgg16") -> Tensor:
    """`lpips` of each pair of a batch, (N,); arguments and errors as there.

    >>> lpips_each(torch.zeros(2, 3, 16, 16), torch.zeros(2, 3, 16, 16)).tolist()
    [0.0, 0.0]
    """
    network = arguments.choice("network", network, tuple(_LPIPS_LEAST))
    check(a, b, least=_LPIPS_LEAST[network], why=f"LPIPS on {network}")
    features, heads = _lpips_network(network)
    with torch.no_grad():
        layers = zip(features(a.float()).values(), features(b.float()).values(), heads, strict=True)
        distances = [F.conv2d(_unit_(x).sub_(_unit_(y)).square_(), head).mean((1, 2, 3)) for x, y, head in layers]
    return torch.stack(distances).sum(0)


def gram_distance(a: Tensor, b: Tensor, layers: Sequence[str] = STYLE_LAYERS) -> dict[str, float]:
    """Relative distance of the Gram matrices at each layer, ‖G_a − G_b‖ / ‖G_b‖, on the normalized VGG-19.

    This is the style error of Gatys et al. (2016, Eq. 4) without its scale, so that layers can be compared.

    Args:
        a, b: (1, 3, H, W) in [0, 1]; their sizes may differ. The deepest layer sets the smallest side: 16 px for
            relu5_1.
        layers: names of VGG-19 layers.

    Returns:
        layer → distance: 0 for equal statistics, about 1 for unrelated ones.

    Raises:
        ValueError: an unknown layer, or not pictures in [0, 1] (see `course_lib.evaluation.inputs.check`).
        course_lib.pretrained.weights.WeightsError: the weights cannot be loaded.
    """
    layers = arguments.names("layers", layers)
    network = _style_network(layers)
    check(a, b, least=network.min_size(network.layers[-1]), why=network.layers[-1], same_shape=False, single=True)
    with torch.no_grad():
        first, second = network(a.float()), network(b.float())
    distances = {}
    for layer in layers:
        ga, gb = (losses.gram_matrix(features[layer], mean=True) for features in (first, second))
        distances[layer] = ((ga - gb).norm() / gb.norm()).item()
    return distances


def change(a: Tensor, b: Tensor) -> float:
    """Root mean square difference of two pictures, in gray levels of 0–255.

    Args:
        a, b: (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: not two pictures of one shape in [0, 1] (see `course_lib.evaluation.inputs.check`).
    """
    check(a, b)
    return 255 * (at_least_float32(a) - at_least_float32(b)).square().mean().sqrt().item()


def checkerboard(image: Tensor, stride: int = 2) -> float:
    """How strongly a picture's spectrum peaks at the period of an upsampling; a measure defined by this book.

    A transposed convolution of stride s applies s² different filters, one for each position on a grid of period s
    (Odena et al. 2016). The differences between them repeat every s pixels, which adds power at the frequencies
    (k/s, l/s) other than (0, 0), in cycles per pixel. Two such layers of stride 2 in a row give s = 4.

    The score is the power at these s² − 1 frequencies (squares of 3 × 3 bins), each divided by the power beside it, and
    averaged. The power beside it is taken 3 to 6 bins away: the larger of the medians along the row and the column,
    because straight edges in a photograph fill one of the two. Power is averaged over the colors and over
    half-overlapping tiles of 64·s px, or of the shorter side, cropped to a multiple of s so that every k/s is a bin. A
    Hann window fades out each tile; otherwise the jump between opposite borders would hide patterns that run only
    horizontally or vertically.

    Args:
        image: (N, 3, H, W) in [0, 1], with sides of at least 8·stride px; contrast and brightness do not matter.
        stride: s, from 2 up: the product of the strides of the upsampling layers.

    Returns:
        Mean over the batch. About 1 for noise and photographs (from 256 px up mostly 0.5 to 1.4; small ones scatter
        more), less after resizing by s. With a pattern of period s and mean square m on noise of variance v:
        1 + (tile / 3)² / (s² − 1) · m / v.

    Raises:
        ValueError: not pictures (see `course_lib.evaluation.inputs.check`), too small ones for the stride, or a stride
            below 2.
    """
    stride = arguments.whole("stride", stride, 2)
    check(image, least=8 * stride, why=f"stride {stride}", centered=True)
    tile = min(_STEP * stride, *image.shape[2:]) // stride * stride
    step = tile // stride  # bins from one multiple of 1/stride to the next
    power = _power(image, tile)  # (N, tile, tile)
    away = torch.tensor([d for d in range(-6, 7) if 3 <= abs(d) <= step // 2])  # a Hann peak ends at ±1
    ratios = []
    for y, x in product(range(0, tile, step), repeat=2):
        if (y, x) != (0, 0):
            column, row = power[:, (y + away) % tile, x], power[:, y, (x + away) % tile]
            beside = torch.maximum(column.median(1).values, row.median(1).values)
            ratios.append(power[:, y, x] / beside)
    return torch.stack(ratios).mean().item()


@lru_cache(maxsize=2)
def _lpips_network(name: str) -> tuple[VGGFeatures | AlexNetFeatures, list[Tensor]]:
    loaded = weights.load(f"lpips_{name}")
    heads = [loaded.state_dict[f"heads.{k}.weight"] for k in range(5)]
    if name == "alexnet":
        return AlexNetFeatures(loaded), heads
    return VGGFeatures("vgg16", _LPIPS_LAYERS, pooling="max"), heads


@lru_cache(maxsize=2)
def _style_network(layers: tuple[str, ...]) -> VGGFeatures:
    return VGGFeatures("vgg19", layers)


def _unit_(features: Tensor) -> Tensor:
    """Scale the feature vector of every position to length one, in place; the small constant is the original code's."""
    return features.div_(torch.linalg.vector_norm(features, dim=1, keepdim=True).add_(1e-10))


def _power(image: Tensor, tile: int) -> Tensor:
    """(N, tile, tile): power of windowed tiles (Welch 1967), averaged over 3 × 3 bins; for white noise, its variance.

    The rounding error of float32 is added everywhere, so that empty bins compare as equal.
    """
    image = image.detach().cpu().double()  # not every device has double precision
    window = torch.hann_window(tile, dtype=torch.float64)  # (tile,), periodic: a constant stays within ±1 bins
    window = torch.outer(window, window) / window.square().sum()
    counts = [ceil(2 * (side - tile) / tile) + 1 for side in image.shape[2:]]  # steps of tile / 2 or less
    tops, lefts = (
        [k * (side - tile) // max(1, count - 1) for k in range(count)]
        for side, count in zip(image.shape[2:], counts, strict=True)
    )
    total = image.new_zeros(len(image), tile, tile)
    for top in tops:
        tiles = torch.stack([image[..., top : top + tile, left : left + tile] for left in lefts])  # (L, N, 3, t, t)
        total += torch.fft.fft2(tiles * window).abs().square().mean(2).sum(0)
    rounding = (torch.finfo(torch.float32).eps * image.abs().max()).square() + torch.finfo(torch.float64).tiny
    power = total / (len(tops) * len(lefts)) + rounding
    return F.avg_pool2d(F.pad(power[:, None], [1] * 4, mode="circular"), 3, stride=1)[:, 0]


def _compared(a: Tensor, b: Tensor, crop: int, in_luma: bool, least: int) -> tuple[Tensor, Tensor]:
    """Both pictures as float32, cropped, in color or as Y; refused if less than `least` px of a side are left."""
    check(a, b, least=least, why="one window" if least > 1 else "")
    crop = arguments.whole("crop", crop)
    height, width = (side - 2 * crop for side in a.shape[2:])
    if min(height, width) < least:
        raise ValueError(
            f"a crop of {crop} px leaves {max(0, height)} × {max(0, width)} of {tuple(a.shape)}, "
            f"but sides of at least {least} px are needed; crop less, or compare larger pictures"
        )
    a, b = (x[..., crop : crop + height, crop : crop + width].float() for x in (a, b))
    return (luma(a), luma(b)) if in_luma else (a, b)
