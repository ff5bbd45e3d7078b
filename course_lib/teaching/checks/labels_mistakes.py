"""Labels as planes, what `labels` checks of them, what common mistakes make of them, and networks that see a label.

Shapes are (N, 3, H, W) for pictures and (N, n, H, W) for the planes of n domains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed
from course_lib.teaching.checks.transforms import Mistake

Border = Literal["zeros", "reflect"]
BORDERS: tuple[Border, ...] = ("zeros", "reflect")

_ROUNDING = 4e-7  # of the size that float32 leaves in a network whose label is deleted


# --- the equations
def planes(images: Tensor, labels: Tensor, num_domains: int) -> Tensor:
    """1 in the plane of each picture's own domain, 0 in the others."""
    rows = F.one_hot(labels, num_domains).to(images.dtype)
    return rows[:, :, None, None].expand(-1, -1, *images.shape[2:])


def labeled(images: Tensor, label: Tensor) -> Tensor:
    return torch.cat((images, label), 1)


def added(weight: Tensor, padding: Border) -> Tensor:
    """What a plane of ones adds to each output channel inside, at the upper edge and in the upper left corner."""
    half = weight.shape[-1] // 2
    inside = weight.sum((1, 2))
    if padding == "reflect":
        return inside[:, None].repeat(1, 3)
    return torch.stack((inside, weight[:, half:].sum((1, 2)), weight[:, half:, half:].sum((1, 2))), 1)


# --- common mistakes: planes
def wrong_shapes(images: Tensor, labels: Tensor, num_domains: int) -> list[tuple[str, tuple[int, ...]]]:
    """The message, and the shape that it explains; for sizes that are all different."""
    n, _, height, width = images.shape
    present = int(labels.max()) + 1
    own = "the label has no channels of its own; added to the colors, it cannot be told from them"
    batch = "the number of planes depends on the labels of this batch; a domain that does not occur has a plane, too"
    return [
        (own, (n, 3, height, width)),
        ("one plane with the number of the domain says that domain 1 lies between 0 and 2", (n, 4, height, width)),
        (batch, (n, 3 + present, height, width)),
        (batch, (n, 3 + len(labels.unique()), height, width)),
        ("the planes are there, but the colors are not", (n, num_domains, height, width)),
        ("channels are the second axis, not the last one", (n, height, width, 3 + num_domains)),
        ("the label was put below the picture; channels are the second axis", (n, 3, height + num_domains, width)),
        ("the label was put beside the picture; channels are the second axis", (n, 3, height, width + num_domains)),
        ("the label was put behind the batch, as more pictures", (2 * n, 3, height, width)),
        ("the label was put behind the batch, as more pictures", (n + num_domains, 3, height, width)),
        ("each color has planes of its own; one set for each picture is enough",
         (n, 3 + 3 * num_domains, height, width)),
    ]  # fmt: skip


def wrong_labels(images: Tensor, labels: Tensor, num_domains: int) -> list[Mistake]:
    """For a batch of several pictures of different domains, none of which has the last number."""
    right, size = planes(images, labels, num_domains), images.shape[2:]
    first = "all pictures get the label of one of them; each has its own"
    union = "every picture gets the labels of the whole batch; each has its own"
    number = "the plane holds the number of the domain, not a 1; for domain 0 nothing is left of the label"
    center, corner = torch.zeros_like(right), torch.zeros_like(right)
    center[..., size[0] // 2, size[1] // 2] = right[..., 0, 0]
    corner[..., 0, 0] = right[..., 0, 0]
    wrong = [
        (first, right[:1].expand_as(right)), (first, right[-1:].expand_as(right)),
        (union, right.amax(0, keepdim=True).expand_as(right)), (union, right.sum(0, keepdim=True).expand_as(right)),
        (union, right.mean(0, keepdim=True).expand_as(right)),
        ("the labels are in the wrong order: a picture has the label of another one", right.flip(0)),
        ("the labels are in the wrong order: a picture has the label of another one", right.roll(1, 0)),
        ("the labels are in the wrong order: a picture has the label of another one", right.roll(-1, 0)),
        ("the planes are counted from 1: label 0 has the plane of label 1", right.roll(1, 1)),
        ("the planes are counted from 1: label 1 has the plane of label 0", right.roll(-1, 1)),
        ("the planes are counted from the last one", right.flip(1)),
        ("the plane of a picture's own domain is 0, and the others are 1", 1 - right),
        ("the planes are −1 and 1; the task asks for 0 and 1", 2 * right - 1),
        ("the label fills all planes, whatever its number", torch.ones_like(right)),
        ("the label is missing: all planes are 0", torch.zeros_like(right)),
        (number, right * labels[:, None, None, None]),
        ("the plane holds a number that grows with the domain, not a 1", right * (labels[:, None, None, None] + 1)),
        ("every plane holds the number of the domain; its own plane should be 1, the others 0",
         labels.to(right.dtype)[:, None, None, None].expand_as(right)),
        ("the label stands at a single pixel; every pixel should have it", center),
        ("the label stands at a single pixel; every pixel should have it", corner),
        ("the numbers of a label are spread over the pixels, not one plane each",
         right[..., 0, 0].repeat(1, size[0] * size[1]).view_as(right)),
    ]  # fmt: skip
    return [
        ("the planes come first; the colors should, then the planes", torch.cat((right, images), 1)),
        *((message, labeled(images, label)) for message, label in wrong),
        ("the colors are on the scale [0, 1]; leave them as they are", labeled(0.5 + 0.5 * images, right)),
    ]


# --- common mistakes: what a plane adds
def wrong_borders(weight: Tensor, padding: Border) -> list[Mistake]:
    """For k > 1."""
    out, size, half = len(weight), weight.shape[-1], weight.shape[-1] // 2
    right, inside = added(weight, padding), weight.sum((1, 2))

    def three(edge: Tensor, corner: Tensor, first: Tensor = inside) -> Tensor:
        return torch.stack([x if x.ndim == 1 else x.sum((1, 2)) for x in (first, edge, corner)], 1)

    if padding == "reflect":
        return [
            ("with reflection there are no zeros outside: the plane goes on there", added(weight, "zeros")),
            *_scaled(right, size),
            ("reflected weights are counted once more; how many weights does an output pixel have?",
             three(inside + weight[:, :half].sum((1, 2)), inside + weight[:, :half].sum((1, 2)))),
            ("a plane of ones adds something, also where normalization will take it away", torch.zeros(out, 3)),
        ]  # fmt: skip
    cut = weight[:, :half].sum((1, 2)), weight[:, :, :half].sum((1, 2))
    opposite = "the kernel is cut on the wrong side: at the upper edge, which of its rows lie outside the picture?"
    return [
        ("with zeros, the part of the kernel that lies outside adds nothing", added(weight, "reflect")),
        (opposite, three(weight[:, : half + 1], weight[:, : half + 1, : half + 1])),
        (opposite, three(weight[:, : half + 1], weight[:, half:, half:])),
        ("this is the left edge; the task asks for the upper one", three(weight[:, :, half:], weight[:, half:, half:])),
        ("in the corner, rows and columns lie outside", three(weight[:, half:], weight[:, half:])),
        ("in the corner, the weights that lie outside twice, above and to the left, are taken away twice",
         three(inside - cut[0], inside - cut[0] - cut[1])),
        ("these are the weights that lie outside; the others count", three(weight[:, :half], weight[:, :half, :half])),
        ("these are the weights that lie outside; the others count", three(cut[0], inside - right[:, 2])),
        ("only one row is outside; how far does the kernel reach beyond its middle?",
         three(weight[:, 1:], weight[:, 1:, 1:])),
        ("the weights in the middle of the kernel lie on the border itself; do they count?",
         three(weight[:, half + 1 :], weight[:, half + 1 :, half + 1 :])),
        ("the three numbers are in the wrong order: inside, edge, corner", right.flip(1)),
        *_scaled(right, size),
        ("the sums are divided by the number of weights on the plane; a convolution adds up",
         right / torch.tensor([size**2, (half + 1) * size, (half + 1) ** 2])),
    ]  # fmt: skip


def _scaled(right: Tensor, size: int) -> list[Mistake]:
    return [
        ("the sums are divided by the number of weights; a convolution adds up", right / size**2),
        ("the output channels are added; each has a kernel of its own", right.sum(0, keepdim=True).expand_as(right)),
        (
            "the output channels are averaged; each has a kernel of its own",
            right.mean(0, keepdim=True).expand_as(right),
        ),
    ]


# --- networks that see their label, and others
class Network:
    """A network as the task describes it: pictures and the numbers of domains → pictures. It counts its calls."""

    def __init__(self, num_domains: int, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.num_domains, self.function, self.seen = num_domains, function, 0

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        self.seen += 1
        if not isinstance(labels, Tensor) or labels.ndim != 1 or len(labels) != len(images):
            came = f"shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
            raise CheckFailed(f"the network takes one label for each of {len(images)} pictures, (N,), got {came}")
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise CheckFailed(f"the network takes whole numbers of domains, got {labels.dtype}")
        if not 0 <= int(labels.min()) <= int(labels.max()) < self.num_domains:
            raise CheckFailed(
                f"the network was asked for domain {int(labels.max())}, but its {self.num_domains} domains are counted "
                f"from 0 to {self.num_domains - 1}"
            )
        return self.function(images, labels.view(-1, 1, 1, 1))


def networks() -> Iterator[tuple[Network, int, bool, str]]:
    """The network, its number of domains, whether it sees its label, and what to say to somebody who errs."""

    def only(*domains: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, c: 0.5 * x + 0.1 * sum((c == k).to(x.dtype) for k in domains)

    def edge(x: Tensor, c: Tensor) -> Tensor:
        y = 0.5 * x
        return torch.cat((y[..., :1, :] + 0.1 * c, y[..., 1:, :]), 2)

    some = "the output for domain {} is another one; do you try all domains?"
    cases: tuple[tuple[int, Callable[[Tensor, Tensor], Tensor], bool, str], ...] = (
        (3, lambda x, c: 0.5 * x + 0.1 * c, True, "each domain makes the picture brighter than the one before"),
        (3, lambda x, c: 0.5 * x - 0.2, False, "this network never looks at the label, and only halves and darkens: "
         "which two outputs do you compare? They should differ in the label alone"),
        (3, lambda x, c: x.flip(3), False, "this network never looks at the label: it mirrors every picture"),
        (4, lambda x, c: 0.5 * x + _ROUNDING * (c - 1), False, "the outputs for different labels differ by less than "
         "10⁻⁶ here, which is rounding"),
        (3, lambda x, c: x + _ROUNDING * (c - 1), False, "the outputs for different labels differ by less than 10⁻⁶ "
         "here, which is rounding"),
        (4, only(3), True, some.format(3)), (4, only(0), True, some.format(0)), (5, only(2), True, some.format(2)),
        (5, only(1, 4), True, some.format("1 or 4")),
        (2, lambda x, c: 0.5 * x + 0.002 * c, True, "the outputs for domains 0 and 1 differ by 0.002, a thousand times "
         "as much as rounding"),
        (2, lambda x, c: torch.where(c == 1, x.flip(3), x), True, "with label 1 the picture is mirrored: the mean "
         "stays, the pixels do not"),
        (2, lambda x, c: torch.where(c == 1, x.flip(1), x), True, "with label 1 red and blue are exchanged: the mean "
         "stays, the colors do not"),
        (3, edge, True, "the label changes the uppermost row of every picture; do you look at all pixels?"),
        (2, lambda x, c: 0.5 * x + 0.1 * c * (x.mean((1, 2, 3), keepdim=True) < -0.4), True, "the label changes one of "
         "the pictures, the dark one; do you look at all of them?"),
        (2, lambda x, c: 0.5 * x + 0.3 * c * (x[:, :1] > 0.95), True, "the label changes a few pixels, by 0.3; do you "
         "look at all of them, at their full size?"),
    )  # fmt: skip
    for domains, function, sees, message in cases:
        yield Network(domains, function), domains, sees, message
