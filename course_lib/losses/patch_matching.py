"""For each patch of a picture's features, find the nearest patch of the style's: what `losses.patches` is built on.

    NN(i) = argmax_j ⟨Ψ_i(x), Ψ_j(s)⟩ / (‖Ψ_i(x)‖ ‖Ψ_j(s)‖)        (Li & Wand 2016, Eq. 3)

Symbols: Ψ_i(x) is a patch of the picture's features at one layer, a square of `size` × `size` positions with all C
channels, D = size²·C numbers. Ψ_j(s) is one of the S patches of the style's features.

‖Ψ_i(x)‖ is the same for all j. It scales all candidates of a patch alike, so the argmax does not need it. Only the
style's patches are normalized, once; a matrix product then compares many patches of the picture with all of them.
Before that, the mean of the normalized patches is subtracted from each. This changes all products of one patch by the
same number, so the argmax stays the same, but the products get smaller, and rounding them to bfloat16 matters less. A
patch of zeros has the correlation 0 with everything; nothing is divided by zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.losses.style import at_least_float32, check_features
from course_lib.runtime import has_fast_bfloat16

_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}  # numbers in a chunk of patches and their products: 16 MB, 256 MB in float32


class Matcher:
    """The patches of one or several style pictures, and which of them are candidates for a patch of the picture.

    Args:
        style_features, size, stride, regions, style_regions: as in `losses.patches.PatchTerm`.

    Raises:
        ValueError: as `losses.patches.PatchTerm`.
    """

    def __init__(
        self,
        style_features: Sequence[Tensor] | Tensor,
        size: int,
        stride: int,
        regions: Tensor | None = None,
        style_regions: Sequence[Tensor] | Tensor | None = None,
    ) -> None:
        self.size, self.regions = arguments.whole("size", size, 1), regions
        stride = arguments.whole("stride", stride, 1)
        styles = [style_features] if isinstance(style_features, Tensor) else [*style_features]
        labels = [style_regions] if isinstance(style_regions, Tensor) else style_regions
        self._check(styles, labels)
        self.positions = torch.cat([_positions(style) for style in styles])  # (Σ h·w, C)
        before, members, picture, corner, of_patch = 0, [], [], [], []
        for k, style in enumerate(styles):
            height, width = style.shape[2:]
            first = self._corners(height, width, stride).to(style.device)  # (n, 2)
            members.append(_members(first, width, self.size) + before)
            picture.append(torch.full((len(first),), k, device=style.device))
            corner.append(first)
            if labels is not None:
                of_patch.append(self._labels(labels[k], first, (height, width), f"style_regions[{k}]"))
            before += height * width
        self.members = torch.cat(members, 1)  # (size², S): where each position of a patch lies in `positions`
        self.picture, self.corner = torch.cat(picture), torch.cat(corner)  # (S,): which one; (S, 2): row, column
        self._ranges = {0: (0, len(self.picture))}  # label → the patches that have it: from, to
        if of_patch:
            self._sort(torch.cat(of_patch))
        self._unit = self._normalized()  # (S, D)
        self._layout: tuple[tuple[int, int], Tensor, list[tuple[Tensor, int, int]]] | None = None
        if regions is not None:
            self._layout = self._lay_out(self._shape_of(regions, "regions"))

    def nearest(self, features: Tensor) -> Tensor:
        """The nearest patches.

        Args:
            features: (1, C, h, w) of the picture.

        Returns:
            (P,) indices into `picture`, `corner` and the columns of `members`, for the patches row by row.

        Raises:
            ValueError: features that do not fit those of the style, or `regions`.
        """
        check_features(features)
        height, width = features.shape[2:]
        if features.shape[:2] != (1, self.positions.shape[1]) or features.dtype != self.positions.dtype:
            raise ValueError(
                f"expected features (1, {self.positions.shape[1]}, h, w) in {self.positions.dtype} like the style's, "
                f"got {tuple(features.shape)} in {features.dtype}; take both from the same layer of one network"
            )
        self._check_size(height, width, "the picture")
        if self._layout is None or self._layout[0] != (height, width):
            self._layout = self._lay_out((height, width))
        _, members, groups = self._layout
        positions = _positions(features).to(self._unit.dtype)
        found = torch.empty(members.shape[1], dtype=torch.long, device=positions.device)
        for group, start, stop in groups:
            candidates = self._unit[start:stop].t()
            for some in group.split(at_once(stop - start, len(candidates), positions.device)):
                scores = _patches(positions, members.index_select(1, some)) @ candidates  # (n, stop - start)
                found.index_copy_(0, some, scores.argmax(1) + start)
                del scores  # before the next chunk
        return found

    def _normalized(self) -> Tensor:
        """All patches of the style, scaled to norm 1, minus their mean, in the number format of the matching."""
        rows = at_least_float32(_patches(self.positions, self.members))  # (S, D)
        tiny = torch.finfo(rows.dtype).tiny
        rows = rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(tiny))
        return rows.sub_(rows.mean(0)).to(matching_format(self.positions.dtype, rows.device))

    def _sort(self, labels: Tensor) -> None:
        """Order the style's patches by label, so that those of one label are neighbors."""
        labels, order = labels.sort(stable=True)
        self.members, self.picture, self.corner = self.members[:, order], self.picture[order], self.corner[order]
        values, counts = labels.unique_consecutive(return_counts=True)
        stops = counts.cumsum(0).tolist()
        self._ranges = dict(zip(values.tolist(), zip([0, *stops], stops, strict=False), strict=True))

    def _lay_out(self, shape: tuple[int, int]) -> tuple[tuple[int, int], Tensor, list[tuple[Tensor, int, int]]]:
        """For pictures of this size: where the patches lie, and groups of patches with their range of candidates."""
        first = self._corners(*shape, 1).to(self.positions.device)
        groups = []
        if self.regions is None:
            groups.append((torch.arange(len(first), device=first.device), *self._ranges[0]))
        else:
            labels = self._labels(self.regions, first, shape, "regions")
            for label in labels.unique().tolist():
                if label < 0:  # of no region: matched with everything
                    groups.append(((labels == label).nonzero()[:, 0], 0, len(self.picture)))
                    continue
                if label not in self._ranges:
                    marked = ", ".join(str(each) for each in self._ranges if each >= 0) or "none"
                    raise ValueError(
                        f"region {label} of the picture has no patch in the style, whose regions are "
                        f"{marked}; mark it in a style picture, or join it to another region"
                    )
                groups.append(((labels == label).nonzero()[:, 0], *self._ranges[label]))
        return shape, _members(first, shape[1], self.size), groups

    def _corners(self, height: int, width: int, stride: int) -> Tensor:
        """Row and column of the first position of each patch, (n, 2)."""
        rows, columns = (torch.arange(0, length - self.size + 1, stride) for length in (height, width))
        return torch.cartesian_prod(rows, columns)

    def _labels(self, regions: Tensor, first: Tensor, shape: tuple[int, int], what: str) -> Tensor:
        """The labels of the middles of the patches, (n,)."""
        height, width = self._shape_of(regions, what)
        if (height, width) != shape:
            raise ValueError(
                f"{what} has {height}×{width} labels, but the feature map has {shape[0]}×{shape[1]} positions; "
                "scale the label map to that size"
            )
        middle = first + self.size // 2
        return regions.to(first.device)[middle[:, 0], middle[:, 1]].long()

    def _shape_of(self, regions: Tensor, what: str) -> tuple[int, int]:
        if not isinstance(regions, Tensor) or regions.ndim != 2 or regions.is_floating_point() or regions.is_complex():
            is_tensor = isinstance(regions, Tensor)
            got = f"{tuple(regions.shape)} of {regions.dtype}" if is_tensor else type(regions).__name__
            raise ValueError(f"{what} must be labels (h, w) in whole numbers, one for each position, got {got}")
        height, width = regions.shape
        self._check_size(height, width, what)
        return height, width

    def _check(self, styles: Sequence[Tensor], labels: Sequence[Tensor] | None) -> None:
        if not styles:
            raise ValueError("the list of style features is empty; give those of at least one style picture")
        for k, style in enumerate(styles):
            check_features(style, "style features")
            first = styles[0]
            if style.shape[:2] != (1, first.shape[1]) or style.dtype != first.dtype or style.device != first.device:
                raise ValueError(
                    f"style features must be (1, C, h, w) of one layer in one number format on one device; the first "
                    f"are {tuple(first.shape)} in {first.dtype} on {first.device}, number {k + 1} are "
                    f"{tuple(style.shape)} in {style.dtype} on {style.device}"
                )
            self._check_size(style.shape[2], style.shape[3], "the style picture")
        if (self.regions is None) != (labels is None) or (labels is not None and len(labels) != len(styles)):
            ours, theirs = "none" if self.regions is None else "some", "none" if labels is None else len(labels)
            raise ValueError(
                f"regions need labels of the picture and of each of the {len(styles)} style pictures, got {ours} for "
                f"the picture and {theirs} for the style"
            )

    def _check_size(self, height: int, width: int, what: str) -> None:
        if min(height, width) < self.size:
            raise ValueError(
                f"{what} has {height}×{width} positions at this layer, fewer than a patch of {self.size}×{self.size}; "
                "use a larger picture or a shallower layer"
            )


def matching_format(features: torch.dtype, device: torch.device) -> torch.dtype:
    """The number format of the matching: that of the features, or float32 where half precision is slow."""
    return features if has_fast_bfloat16(device) else torch.promote_types(features, torch.float32)


def at_once(candidates: int, numbers: int, device: torch.device) -> int:
    """How many patches of `numbers` numbers are compared at a time with all candidates: memory stays bounded."""
    return max(1, _AT_ONCE.get(device.type, _AT_ONCE["cpu"]) // (candidates + numbers))


def _positions(features: Tensor) -> Tensor:
    """(1, C, h, w) as (h·w, C), a view where the channels come last in memory."""
    return features[0].permute(1, 2, 0).flatten(0, 1)


def _members(first: Tensor, width: int, size: int) -> Tensor:
    """Where each position of a patch lies in the rows of `_positions`: (size², n) for first positions (n, 2)."""
    steps = [y * width + x for y, x in product(range(size), repeat=2)]
    return torch.tensor(steps, device=first.device)[:, None] + first[:, 0] * width + first[:, 1]


def _patches(positions: Tensor, members: Tensor) -> Tensor:
    """Patches as rows, (n, size²·C)."""
    return positions.index_select(0, members.t().flatten()).view(members.shape[1], -1)
