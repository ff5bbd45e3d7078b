"""The patch term of Li & Wand 2016: each small patch of features should look like its nearest patch of the style.

    E = 1/(2PD) Σ_i ‖Ψ_i(x) − Ψ_NN(i)(s)‖²        (Eq. 2; NN(i), Eq. 3, in `losses.patch_matching`)

Symbols: Ψ_i(x) is the i-th of P patches of the picture's features F at one layer, a square of `size` × `size` positions
with all C channels, D = size²·C numbers; Ψ_j(s) is a patch of the style's features. The picture's patches lie at every
position, the style's at every `stride`-th. *Differs from the paper:* Eq. 2 is a plain sum. Here it is ½ times the mean
over patches and numbers, like `losses.style.content_loss`, so that the weight does not depend on the picture's size.
`convert_patch_weight` converts.

The matches are found anew in each step and are constant within it. So ∂E/∂F at one position is 1/(PD) times the sum,
over all patches that cover it, of F minus what the matched patch has there. The nearest patch is the one with the
highest correlation, not with the smallest distance, so E may jump when a match changes.

Several style pictures form one pool of patches. Rotated and scaled copies of them can be added to it (Li & Wand,
Section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.losses.patch_matching import Matcher, at_once, matching_format
from course_lib.losses.perceptual import AddGradient
from course_lib.losses.style import at_least_float32

SIZE, STRIDE = 3, 2  # Section 3: patches of 3×3; the stride is that of the authors' code


class Nearest(NamedTuple):
    """For each patch of a picture, where its nearest patch of the style lies.

    The patch at ``[y, x]`` covers the positions from (y, x) to (y + size − 1, x + size − 1).
    """

    picture: Tensor  # (h', w') whole numbers: which of the style pictures
    position: Tensor  # (h', w', 2): row and column of the first position of the nearest patch


class PatchTerm:
    """The weighted patch term of one layer, with its gradient in closed form; a `losses.perceptual.FeatureTerm`.

    Args:
        layer: whose features it reads, ``"relu4_1"``; its name is then ``"patches/relu4_1"``.
        weight: a factor on the mean, see the module.
        style_features: features of that layer, (1, C, h, w) for each style picture, of any size. Matching uses their
            number format, or float32 where half precision is slow; value and gradient are summed in float32 at least.
        size: side of a patch in positions.
        stride: distance between neighboring patches of the style, in positions. With 2, there are a quarter as many
            candidates as with 1.
        regions: (h, w) whole numbers, a label for each position of the picture's features. A patch is matched only with
            patches of its own label, and one with a negative label with all of them. The label of a patch is that of
            its middle (of an even size: of the position below and right of the middle).
        style_regions: the labels of the style pictures, one (h, w) for each; with `regions` only.

    Raises:
        ValueError: features that are not of one layer or smaller than a patch, labels of another size, or a label of
            the picture that no patch of the style has.

    >>> style = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # two positions, two channels
    >>> term = PatchTerm("relu4_1", 1.0, [style], size=1, stride=1)
    >>> features = torch.tensor([[[[3.0, 0.0]], [[1.0, 4.0]]]])  # (1, 0) is nearest to (3, 1), and (0, 2) to (0, 4)
    >>> value, add = term(features)  # 1/(2·2·2) · (2² + 1² + 0² + 2²)
    >>> value.item()
    1.125
    >>> gradient = torch.zeros_like(features)
    >>> add(gradient, torch.tensor(1.0))  # the differences (2, 1) and (0, 2), divided by 2·2
    >>> gradient.tolist()
    [[[[0.5, 0.0]], [[0.25, 0.5]]]]
    """

    def __init__(
        self,
        layer: str,
        weight: float,
        style_features: Sequence[Tensor] | Tensor,
        *,
        size: int = SIZE,
        stride: int = STRIDE,
        regions: Tensor | None = None,
        style_regions: Sequence[Tensor] | Tensor | None = None,
    ) -> None:
        self.name, self.layer, self.weight = f"patches/{layer}", layer, arguments.nonnegative("weight", weight)
        self.matcher = Matcher(style_features, size, stride, regions, style_regions)

    @torch.no_grad()
    def __call__(self, features: Tensor) -> tuple[Tensor, AddGradient]:
        """The weighted term, and a function that adds a multiple of its gradient.

        Args:
            features: (1, C, h, w), of the same layer, number format and device as the style's.

        Returns:
            A float32 scalar (float64 for features in float64), and ``add(gradient, factor)``, which adds factor ·
            ∂term/∂features to `gradient`, like features, in place; `factor` is a scalar tensor.

        Raises:
            ValueError: other features, or of another size than `regions`.
        """
        matcher, size = self.matcher, self.matcher.size
        nearest = matcher.nearest(features)  # (P,)
        rows, columns = (length - size + 1 for length in features.shape[2:])
        picture = at_least_float32(features[0].permute(1, 2, 0)).contiguous()  # (h, w, C)
        residual = torch.zeros_like(picture)  # at each position, the sum over the patches that cover it
        target = matcher.positions.new_empty(len(nearest), features.shape[1])
        difference = picture.new_empty(rows, columns, features.shape[1])
        total = picture.new_zeros(())
        for (y, x), member in zip(product(range(size), repeat=2), matcher.members, strict=True):
            torch.index_select(matcher.positions, 0, member.index_select(0, nearest), out=target)
            torch.sub(picture[y : y + rows, x : x + columns], target.view_as(difference), out=difference)
            total += torch.dot(difference.view(-1), difference.view(-1))
            residual[y : y + rows, x : x + columns] += difference
        slope = self.weight / (len(nearest) * size**2 * features.shape[1])  # 1/(PD)

        def add(gradient: Tensor, factor: Tensor) -> None:
            gradient[0].permute(1, 2, 0).add_((residual * (slope * factor)).to(gradient.dtype))

        return slope / 2 * total, add


def nearest_patches(
    features: Tensor,
    style_features: Sequence[Tensor] | Tensor,
    *,
    size: int = SIZE,
    stride: int = STRIDE,
    regions: Tensor | None = None,
    style_regions: Sequence[Tensor] | Tensor | None = None,
) -> Nearest:
    """Where in the style the nearest patch of each patch lies (Eq. 3): does the ground use patches of sky?

    Args:
        features: (1, C, h, w) of the picture.
        style_features, size, stride, regions, style_regions: as in `PatchTerm`.

    Raises:
        ValueError: as `PatchTerm`.

    >>> style = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])
    >>> found = nearest_patches(torch.tensor([[[[3.0, 0.0]], [[1.0, 4.0]]]]), [style], size=1, stride=1)
    >>> found.picture.tolist(), found.position.tolist()
    ([[0, 0]], [[[0, 0], [0, 1]]])
    """
    matcher = Matcher(style_features, size, stride, regions, style_regions)
    nearest = matcher.nearest(features).view([length - matcher.size + 1 for length in features.shape[2:]])
    return Nearest(matcher.picture[nearest], matcher.corner[nearest])


def convert_patch_weight(
    weight: float, *, channels: int, height: int, width: int, size: int = SIZE, averaged: bool = False
) -> float:
    """The weight of a `PatchTerm` that gives the same gradient as a weight of the paper.

    Args:
        weight: the factor before the plain sum of Eq. 2, Σ_i ‖Ψ_i(x) − Ψ_NN(i)(s)‖².
        channels, height, width: of the picture's features.
        size: side of a patch in positions.
        averaged: whether the weight belongs to the authors' code. Its gradient at a position is the weight times the
            *mean*, over the patches that cover it, of F minus what the matched patch has there. The two gradients then
            agree where size² patches cover a position: everywhere except on a border of size − 1 positions.

    >>> convert_patch_weight(1e-4, channels=512, height=16, width=16)  # 196 patches of 4608 numbers
    180.6336
    """
    patches = (height - size + 1) * (width - size + 1)
    return weight * patches * channels * (1 if averaged else 2 * size**2)


def memory_needed(
    picture: tuple[int, int],
    styles: Sequence[tuple[int, int]],
    channels: int,
    *,
    size: int = SIZE,
    stride: int = STRIDE,
    precision: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> int:
    """Peak memory in bytes of a `PatchTerm`, when it is made or in a step, counted from the sizes of its tensors.

    Args:
        picture: height and width of the picture's features.
        styles: the same for each style picture.
        channels: C.
        size, stride: as in `PatchTerm`.
        precision: of the features.
        device: where it runs; more patches are compared at a time on CUDA.

    >>> memory_needed((64, 64), [(64, 64)], 256) / 1e6  # relu3_1 at 256 px
    30.219696
    """
    device = torch.device(device)
    item, exact, fast = (
        dtype.itemsize
        for dtype in (precision, torch.promote_types(precision, torch.float32), matching_format(precision, device))
    )
    numbers, positions = size**2 * channels, picture[0] * picture[1]
    patches = (picture[0] - size + 1) * (picture[1] - size + 1)
    candidates = sum(len(range(0, h - size + 1, stride)) * len(range(0, w - size + 1, stride)) for h, w in styles)
    kept = item * channels * sum(h * w for h, w in styles) + fast * candidates * numbers
    kept += 8 * (candidates * (size**2 + 3) + patches * (size**2 + 1))  # indices
    copied = exact if item < exact else 0  # half precision: numbers that are converted
    making = (exact + item - fast if copied else 0) * candidates * numbers
    matching = min(patches, at_once(candidates, numbers, device)) * fast * (numbers + candidates)
    matching += channels * positions * (fast if item < fast else 0)
    differences = channels * ((exact + copied) * (positions + patches) + item * patches)
    return kept + max(making, matching, differences)
