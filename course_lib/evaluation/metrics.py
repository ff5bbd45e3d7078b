"""How alike two pictures are: values, structure, perception, statistics; and what an upsampling left behind in one.

None of these numbers is quality. They say *what* is alike: PSNR the values pixel by pixel, SSIM the local structure
of the light (Wang et al. 2004), LPIPS what a network trained on people's judgments sees (Zhang et al. 2018), the Gram
distance the statistics that this book calls style. A picture can be near in one and far in another, and in style
transfer it should be. `checkerboard` needs no second picture: it looks for the period of a network's stride.

The super-resolution literature compares what a file would hold, values rounded to 8 bits. Nothing here rounds:
`images.from_pil(images.to_pil(image))` does, one picture at a time, and the caller says so where it matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from course_lib import losses
from course_lib.pretrained import weights
from course_lib.pretrained.vgg import STYLE_LAYERS, VGGFeatures

_SSIM_WINDOW = 11
_STEP = 64  # bins between two multiples of 1/stride in `checkerboard`
_LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


def luma(image: Tensor) -> Tensor:
    """The Y channel of ITU-R BT.601, Y = (16 + 65.481 R + 128.553 G + 24.966 B) / 255, in studio range and not rounded.

    Args:
        image: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W) from 16/255 (black) to 235/255 (white), same dtype and device; gradients flow through.

    Raises:
        ValueError: another shape, or a picture of whole numbers.

    >>> (255 * luma(torch.eye(3)[None, :, :, None])).squeeze()  # a column of red, green and blue
    tensor([ 81.4810, 144.5530,  40.9660])
    """
    _check_picture(image)
    weight = image.new_tensor([65.481, 128.553, 24.966]).reshape(1, 3, 1, 1)
    return ((image * weight).sum(1, keepdim=True) + 16) / 255


def psnr(a: Tensor, b: Tensor, *, crop: int = 0, luma: bool = False) -> float:
    """Peak signal-to-noise ratio, 10 log10(1 / mean (a − b)²) in dB; the mean over the batch of each picture's own.

    The mean square runs over the pixels and the three colors of one picture, or over its Y channel. As super-resolution
    papers report it (Johnson et al. 2016, Sec. 4.2): `crop=factor, luma=True`, on pictures rounded to 8 bits.

    Args:
        a, b: (N, 3, H, W) in [0, 1]; a peak of 1 is also what the Y channel, which ends at 235/255, is measured by.
        crop: pixels left out at each border.
        luma: compare `luma` of the pictures instead of their colors.

    Returns:
        dB, higher is nearer: a difference of 0.1 everywhere is 20, of one gray level 48.13; inf if any two are equal.

    Raises:
        ValueError: two shapes, no floats, values on the scale 0..255, a crop that leaves nothing.

    >>> round(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)), 4)
    20.0
    """
    a, b = _compared(a, b, crop, luma, least=1)
    return peak_signal_noise_ratio(a, b, data_range=1.0, dim=(1, 2, 3)).item()


def ssim(a: Tensor, b: Tensor, *, crop: int = 0, luma: bool = False) -> float:
    """Structural similarity (Wang et al. 2004, Eq. 13), Gaussian windows of 11 px with σ = 1.5, mean over the batch.

    Of colors, the mean over the three channels and every pixel, the picture mirrored at its borders. Of the Y channel,
    the mean over those windows that lie wholly in the picture, 5 px from its borders on: so does Wang's own
    `ssim_index`, with which super-resolution papers measure (`crop=factor, luma=True`, rounded to 8 bits).

    Args:
        a, b: (N, 3, H, W) in [0, 1], at least 11 px a side once they are cropped.
        crop: pixels left out at each border.
        luma: compare `luma` of the pictures instead of their colors.

    Returns:
        1 for equal pictures, about 0 where nothing of the local structure is shared.

    Raises:
        ValueError: two shapes, no floats, values on the scale 0..255, fewer than 11 px left.
    """
    a, b = _compared(a, b, crop, luma, least=_SSIM_WINDOW)
    if luma:
        _, each = structural_similarity_index_measure(a, b, data_range=1.0, return_full_image=True)
        edge = _SSIM_WINDOW // 2  # what is mirrored at the borders reaches no further in
        return each[..., edge:-edge, edge:-edge].mean().item()
    value = structural_similarity_index_measure(a, b, data_range=1.0)
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


def checkerboard(image: Tensor, stride: int = 2) -> float:
    """How far a picture's spectrum stands out at the period of an upsampling; this book's own measure.

    A transposed convolution of stride s puts s² filters side by side, one for each position on a grid of period s
    (Odena et al. 2016). What they do not share repeats every s pixels: power at the frequencies (k/s, l/s) other than
    (0, 0), in cycles a pixel. Two such layers of stride 2 in a row make s = 4.

    The score is the mean over these s² − 1 frequencies of the power there (a square of 3 × 3 bins), divided by the
    power beside it: 3 to 6 bins away, the larger of the medians along the row and along the column, since straight
    edges in a photograph fill one of the two. Power is the mean over the colors and over half-overlapping tiles of
    64·s px, or of the shorter side, cut to a multiple of s so that k/s is a bin. A Hann window fades each tile out: the
    jump between its opposite borders would otherwise bury patterns that only run across or down.

    Args:
        image: (N, 3, H, W), at least 8·stride px a side; scale and offset do not matter.
        stride: s, from 2 up: the product of the strides of the layers in question.

    Returns:
        Mean over the batch. About 1 for noise and photographs (from 256 px on mostly 0.5 to 1.4, in small ones with
        more scatter), less after resizing by s. With a pattern of period s and mean square m on noise of variance v:
        1 + (tile / 3)² / (s² − 1) · m / v.

    Raises:
        ValueError: another shape or no floats, a stride below 2, a picture too small for it.
    """
    _check_picture(image)
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 2:
        raise ValueError(f"stride is a whole number from 2 up, the factor of an upsampling; got {stride!r}")
    tile = min(_STEP * stride, *image.shape[2:]) // stride * stride
    step = tile // stride  # bins from one multiple of 1/stride to the next
    if step < 8:
        raise ValueError(
            f"expected at least {8 * stride} px a side for stride {stride}, got {tuple(image.shape)}; "
            "score a larger picture, made by the same network"
        )
    power = _power(image, tile)  # (N, tile, tile)
    away = torch.tensor([d for d in range(-6, 7) if 3 <= abs(d) <= step // 2])  # a Hann peak ends at ±1
    ratios = []
    for y, x in product(range(0, tile, step), repeat=2):
        if (y, x) != (0, 0):
            column, row = power[:, (y + away) % tile, x], power[:, y, (x + away) % tile]
            beside = torch.maximum(column.median(1).values, row.median(1).values)
            ratios.append(power[:, y, x] / beside)
    return torch.stack(ratios).mean().item()


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


def _power(image: Tensor, tile: int) -> Tensor:
    """(N, tile, tile): power of windowed tiles (Welch 1967), mean over 3 × 3 bins; of white noise, its variance.

    What float32 cannot tell from nothing is added, so that bins without any content compare as equal.
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
    nothing = (torch.finfo(torch.float32).eps * image.abs().max()).square() + torch.finfo(torch.float64).tiny
    power = total / (len(tops) * len(lefts)) + nothing
    return F.avg_pool2d(F.pad(power[:, None], [1] * 4, mode="circular"), 3, stride=1)[:, 0]


def _compared(a: Tensor, b: Tensor, crop: int, in_luma: bool, least: int) -> tuple[Tensor, Tensor]:
    """Both pictures as float32, without their borders, in color or as Y; refused if less than `least` px a side."""
    _check_pair(a, b)
    _check_picture(a)
    _check_picture(b)
    if max(a.abs().max(), b.abs().max()) > 10:  # noise may overshoot [0, 1]; this is another scale
        raise ValueError("values are far outside [0, 1]; divide pictures on the scale 0..255 by 255 first")
    if isinstance(crop, bool) or not isinstance(crop, int) or crop < 0:
        raise ValueError(f"crop is a whole number of pixels from 0 up, got {crop!r}")
    height, width = (side - 2 * crop for side in a.shape[2:])
    if min(height, width) < least:
        raise ValueError(
            f"a crop of {crop} px leaves {max(0, height)} × {max(0, width)} of {tuple(a.shape)}, "
            f"expected at least {least} px a side; crop less, or compare larger pictures"
        )
    a, b = (x[..., crop : crop + height, crop : crop + width].float() for x in (a, b))
    return (luma(a), luma(b)) if in_luma else (a, b)


def _check_picture(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[1] != 3 or image.numel() == 0:
        raise ValueError(f"expected a picture (N, 3, H, W), got {tuple(image.shape)}; image[None] adds the batch")
    if not image.is_floating_point():
        raise ValueError(f"expected floats in [0, 1], got {image.dtype}; for 0..255 use image.float() / 255")


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
        raise ValueError(
            f"expected two pictures of one shape (N, 3, H, W), got {tuple(a.shape)} and {tuple(b.shape)}; "
            "course_lib.resize makes them equal"
        )
