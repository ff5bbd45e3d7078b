"""The losses of AnimeGAN (Chen, Liu & Chen 2019) and of its second version, beside the adversarial one.

    L_con = E ‖VGG(p) − VGG(G(p))‖₁                                       what is drawn: conv4_4 before its ReLU
    L_gra = E ‖Gram(VGG(G(p))) − Gram(VGG(x))‖₁                           how it is drawn: x is a *gray* cartoon
    L_col = E ‖Y − Y'‖₁ + Huber(U, U') + Huber(V, V')                     its colors: those of the photo
    L_tv  = half the mean square of ∂G(p), across and down                version 2: smooth areas

p is a photo, G(p) the picture drawn of it. The style comes from cartoons without color, and the colors from the photo;
so the cartoons' colors have no way into the picture but the discriminator. L_con alone is the content loss of
CartoonGAN (Chen, Lai & Liu 2018, Eq. 5). All are means over a batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.image_checks import check_tensor
from course_lib.losses.style import at_least_float32, check_features, gram_matrix, total_variation_loss

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_U, _V = 0.436 / (1 - 0.114), 0.615 / (1 - 0.299)  # so that U spans ±0.436 and V ±0.615


def gray(pictures: Tensor) -> Tensor:
    """The brightness of each pixel in all three channels, (N, 3, H, W) in [0, 1] → the same shape and range.

    Raises:
        ImageError: not (N, 3, H, W) floats.

    >>> gray(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)).flatten()
    tensor([0.5925, 0.5925, 0.5925])
    """
    check_tensor(pictures)
    return _luma(pictures).expand(-1, 3, -1, -1)


def to_yuv(pictures: Tensor) -> Tensor:
    """Brightness Y, and U and V, the scaled differences of blue and of red from it (ITU-R BT.601).

    Args:
        pictures: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 3, H, W): Y in [0, 1], U in ±0.436, V in ±0.615; U = V = 0 for grays.

    Raises:
        ImageError: not (N, 3, H, W) floats.

    >>> [round(value, 3) for value in to_yuv(torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)).flatten().tolist()]
    [0.114, 0.436, -0.1]
    """
    check_tensor(pictures)
    y = _luma(pictures)
    return torch.cat((y, _U * (pictures[:, 2:] - y), _V * (pictures[:, :1] - y)), 1)


def color_loss(drawn: Tensor, photo: Tensor) -> Tensor:
    """L_col: mean absolute difference of Y, plus Huber's loss (δ = 1) of U and of V.

    Differences of U are below 1, and those of V nearly always, so that Huber's loss is half their square: a small
    difference of color costs little, and one of brightness costs what it is.

    Args:
        drawn, photo: (N, 3, H, W) in [0, 1].

    Raises:
        ImageError: not (N, 3, H, W) floats.
        ValueError: the two shapes differ.

    >>> black, white = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    >>> round(color_loss(black, white).item(), 6)  # of equal U and V
    1.0
    """
    _check_same(drawn, photo, "the photos")
    (y, *uv), (of_y, *of_uv) = (to_yuv(at_least_float32(each)).unbind(1) for each in (drawn, photo))
    return F.l1_loss(y, of_y) + F.huber_loss(uv[0], of_uv[0]) + F.huber_loss(uv[1], of_uv[1])


def content_l1(features: Tensor, target: Tensor) -> Tensor:
    """L_con: the mean absolute difference of two feature maps.

    Args:
        features, target: (N, C, h, w), of the drawn picture and of the photo.

    Raises:
        ValueError: not (N, C, H, W) floats, or two shapes.

    >>> content_l1(torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, -1.0]], [[2.0, 0.0]]]])).item()
    1.0
    """
    _check_features(features, target)
    return (at_least_float32(features) - at_least_float32(target)).abs().mean()


def gram_l1(features: Tensor, target: Tensor) -> Tensor:
    """L_gra: the mean absolute difference of two Gram matrices, each divided by C·h·w.

    Args:
        features, target: (N, C, h, w), of the drawn picture and of a gray cartoon; the sizes may differ.

    Raises:
        ValueError: not (N, C, H, W) floats, or other numbers of pictures or of channels.

    >>> gram_l1(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 4, 4)).item()  # every entry is 9 / (2·9)
    0.5
    """
    check_features(features)
    check_features(target, "the target")
    if features.shape[:2] != target.shape[:2]:
        raise ValueError(
            f"expected as many pictures and channels in both, got {tuple(features.shape)} and {tuple(target.shape)}"
        )
    grams = [gram_matrix(at_least_float32(each), mean=True) / each.shape[1] for each in (features, target)]
    return (grams[0] - grams[1]).abs().mean()


def smoothness(drawn: Tensor) -> Tensor:
    """L_tv: half the mean square of the differences of neighbors, across plus down, for pictures in [−1, 1].

    Args:
        drawn: (N, 3, H, W) in [0, 1], half of the paper's range, so differences count twice.

    >>> smoothness(torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])).item()
    4.0
    """
    return 2 * total_variation_loss(drawn)  # ½ · 2²


def _luma(pictures: Tensor) -> Tensor:
    return (pictures * pictures.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _check_same(drawn: Tensor, photo: Tensor, what: str) -> None:
    check_tensor(drawn, "the drawn pictures")
    check_tensor(photo, what)
    if drawn.shape != photo.shape:
        raise ValueError(
            f"the drawn pictures must have the shape of {what}, got {tuple(drawn.shape)} and {tuple(photo.shape)}"
        )


def _check_features(features: Tensor, target: Tensor) -> None:
    check_features(features)
    check_features(target, "the target")
    if features.shape != target.shape:
        raise ValueError(f"expected two feature maps of one shape, got {tuple(features.shape)}, {tuple(target.shape)}")
