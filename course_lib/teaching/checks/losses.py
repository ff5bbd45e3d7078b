"""Checks of losses on features and pictures: Gram matrices, content and style loss, total variation, distances."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib import losses
from course_lib.arguments import is_number, plain
from course_lib.runtime import seeded_generator
from course_lib.teaching.checks.base import attempt, call, near, need, need_factor, need_gradient, number, random


def check_gram_matrix(function: Callable[[Tensor], Tensor]) -> None:
    """Check a Gram matrix G_ij = Σ_k F_ik F_jk (Gatys et al. 2016, Eq. 3).

    Args:
        function: features (N, C, H, W) → (N, C, C).

    Raises:
        CheckFailed: a property does not hold.
    """
    features = random(2, 3, 4, 5)
    gram = call(function, features)
    need(gram.shape == (2, 3, 3), f"the shape must be (N, C, C) = (2, 3, 3), got {tuple(gram.shape)}")
    ours = losses.gram_matrix(features)
    factor = (gram.sum() / ours.sum()).item()
    need(
        near(gram, factor * ours) or not near(gram, factor * ours, 1e-2),
        "the entries agree with the sums of products to two digits only; is something computed in half precision?",
    )
    need(
        torch.allclose(gram, gram.transpose(1, 2), atol=1e-5),
        "G_ij and G_ji differ; a Gram matrix is symmetric",
    )
    diagonal = gram.diagonal(dim1=1, dim2=2)
    need(bool((diagonal >= 0).all()), "a diagonal entry is negative; G_ii is a sum of squares")
    need(bool((diagonal > 0).all()), "a diagonal entry is 0 although its channel is not; does the result depend on F?")
    need(
        torch.allclose(call(function, features[1:]), gram[1:], rtol=1e-4, atol=1e-5),
        "the second picture's matrix changes when the first picture is removed; each picture needs its own matrix",
    )
    need(
        torch.allclose(call(function, 2 * features), 4 * gram, rtol=1e-4, atol=1e-5),
        "doubling F does not multiply G by four; each entry is a sum of products of two features",
    )
    mixed = features.flatten(2)[:, :, torch.randperm(20, generator=seeded_generator(1))].view_as(features)
    need(
        torch.allclose(call(function, mixed), gram, rtol=1e-4, atol=1e-5),
        "shuffling the positions changes G; a sum over all positions does not depend on their order",
    )
    disjoint = torch.zeros(1, 2, 2, 2)
    disjoint[0, 0, 0, 0], disjoint[0, 1, 1, 1] = 1.0, 1.0
    need(
        bool((call(function, disjoint)[0, 0, 1]).abs() < 1e-6),
        "for two channels that are never active at the same position, G_ij must be 0; do you sum over positions?",
    )
    twins = call(function, random(1, 1, 4, 5).expand(1, 2, 4, 5))
    need(
        bool((twins / twins[0, 0, 0] - 1).abs().max() < 1e-4),
        "two equal channels must give four equal entries; what happens off the diagonal?",
    )
    need(near(gram, factor * ours), "the products are summed over the wrong axis")
    need(
        abs(factor - 1) < 1e-4,
        f"every entry is {factor:.4g} times what it should be; Eq. 3 is a plain sum, not divided by anything",
    )
    wide = random(3, 5, 2, 7, seed=2)
    need(
        near(call(function, wide), losses.gram_matrix(wide)),
        "features of another shape, (3, 5, 2, 7), give a wrong matrix; is a size written into your code as a number?",
    )
    print("✓ your Gram matrix has every property of Eq. 3")


def check_content_loss(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check a content loss ½ Σ (F − P)² (Gatys et al. 2016, Eq. 1).

    Args:
        function: two features (N, C, H, W) → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    f, p = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    _check_distance(function, f, p, "the two features are equal")
    apart = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2)
    need(bool(number(function, apart, 0 * apart) > 0), "differences of opposite sign cancel; they must add up")
    _check_powers(function, f, p, 2)
    _need_value(
        function,
        lambda f, p: losses.content_loss(f, p, losses.GATYS),
        "a sum over all channels and positions, times one half",
    )
    print("✓ your content loss is Eq. 1")


def check_style_loss(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the style loss of one layer, 1/(4N²M²) Σ (G − A)² (Gatys et al. 2016, Eq. 4).

    Args:
        function: two features (1, C, H, W) → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    f, a = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    _check_distance(function, f, a, "the two Gram matrices are equal")
    mixed = f.flatten(2).flip(2).view_as(f)
    need(
        bool(number(function, f, mixed).abs() <= 1e-4 * number(function, f, a).abs()),
        "reversing the order of the positions changes your loss, but not the style; compare Gram matrices, not F",
    )
    _check_powers(function, f, a, 4)
    _need_value(
        function,
        lambda f, a: losses.style_loss(f, losses.gram_matrix(a, mean=True), losses.GATYS),
        "divided by 4 N² M², with N channels and M positions",
    )
    print("✓ your style loss is Eq. 4")


def check_total_variation(function: Callable[[Tensor], Tensor]) -> None:
    """Check a squared total variation: the mean over horizontal neighbors plus the mean over vertical ones.

    Args:
        function: (N, 3, H, W) in [0, 1] → a scalar.

    Raises:
        CheckFailed: a property does not hold.
    """
    flat = number(function, torch.full((1, 3, 4, 4), 0.7), what="a variation")
    need(bool(flat.abs() < 1e-7), "a flat picture must have variation 0; compare neighbors with each other")
    stripes = torch.tensor([0.0, 1.0]).repeat(2).expand(1, 1, 4, 4)
    a, b = number(function, stripes), number(function, stripes.transpose(2, 3))
    need(bool((a - b).abs() < 1e-6), "vertical and horizontal stripes differ; both directions must count equally")
    need(
        bool((a - 1).abs() < 1e-6),
        "stripes of 0 and 1 must give 1: all neighbors across the stripes differ by 1, all along them are equal",
    )
    for shape in ((1, 3, 5, 6), (2, 3, 7, 4)):
        image = random(*shape)
        need_factor(number(function, image), losses.total_variation_loss(image), "a mean over pairs, not a sum")
    need_gradient(function, losses.total_variation_loss, image)
    print("✓ your total variation is right")


def check_relative_distance(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the relative distance ‖F − P‖ / ‖P‖, which can be compared from layer to layer.

    Args:
        function: two features (1, C, H, W) → a scalar; numbers of Python or NumPy are accepted, too.

    Raises:
        CheckFailed: a property does not hold.
    """

    def distance(f: Tensor, p: Tensor) -> Tensor:
        def as_tensor(*inputs: Tensor) -> Tensor:
            value = attempt(function, *inputs)
            return value if isinstance(value, Tensor) or not is_number(plain(value)) else torch.tensor(plain(value))

        return number(as_tensor, f, p, what="a distance")

    f, p = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    value = distance(f, p)
    need(bool(distance(p, p).abs() < 1e-3), "the distance must be 0 when the two features are equal")
    need(bool(value > 0), "the distance must be positive when they differ")
    factor = (distance(10 * f, 10 * p) / value).item()
    need(
        abs(factor - 1) < 1e-3,
        f"features ten times as large give {factor:.4g} times the distance; a relative distance must not change",
    )
    nothing = distance(0 * p, p).item()
    need(
        abs(nothing - 1) < 1e-4,
        f"F = 0 has the distance {nothing:.4g} from P instead of 1; which norm do you divide by, and do you take the "
        "square root?",
    )
    what = "the norm of the difference divided by the norm of the target"
    for shape in ((1, 3, 4, 5), (1, 2, 7, 3)):
        f, p = random(*shape), 3 * random(*shape, seed=1)
        need_factor(distance(f, p), (f - p).norm() / p.norm(), what)
    print("✓ your relative distance does not depend on the layer's scale")


def _need_value(function: Callable[..., Tensor], expected: Callable[..., Tensor], what: str) -> None:
    """Compare a loss with its equation, for two shapes, and its gradient as well."""
    for shape in ((1, 3, 4, 5), (1, 2, 7, 3)):
        f, a = random(*shape), random(*shape, seed=1)
        need_factor(number(function, f, a), expected(f, a), what)
    need_gradient(function, expected, f, a)


def _check_distance(function: Callable[..., Tensor], a: Tensor, b: Tensor, when_zero: str) -> None:
    value = number(function, a, b)
    need(bool(value != 0), "the loss must be positive when they differ")
    need(bool(number(function, a, a).abs() <= 1e-4 * value.abs()), f"the loss must be 0 when {when_zero}")
    need(bool(value > 0), "the loss must be positive when they differ")
    need(torch.allclose(value, number(function, b, a), rtol=1e-4), "exchanging the two inputs changes the loss")


def _check_powers(function: Callable[..., Tensor], a: Tensor, b: Tensor, degree: int) -> None:
    factor = (number(function, 2 * a, 2 * b) / number(function, a, b)).item()
    need(
        abs(factor / 2**degree - 1) < 1e-3,
        f"doubling both features makes the loss {factor:.4g} times as large, not {2**degree} times; "
        "which powers of F occur in the equation?",
    )
