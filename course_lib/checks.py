"""Checks for exercises: they name the property that fails and never print the answer.

    checks.check_gram_matrix(my_gram_matrix)

Each check calls your function on small inputs and raises `CheckFailed` with what came, what was expected of
it, and where to look. `holds` is for the book's own statements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib import losses
from course_lib.runtime import seeded_generator


class CheckFailed(AssertionError):
    """An exercise's answer that lacks a property; the message names it."""


def holds(statement: str, condition: bool | Tensor) -> None:
    """Print a statement of the book if it holds on this machine with this seed, and stop the notebook if not.

    >>> holds("two is less than three", 2 < 3)
    ✓ two is less than three
    """
    if not bool(condition):
        raise AssertionError(f"does not hold here: {statement}")
    print(f"✓ {statement}")


def check_gram_matrix(function: Callable[[Tensor], Tensor]) -> None:
    """Check a Gram matrix G_ij = Σ_k F_ik F_jk of features (N, C, H, W) (Gatys et al. 2016, Eq. 3)."""
    features = _random(2, 3, 4, 5)
    gram = _call(function, features)
    _need(gram.shape == (2, 3, 3), f"the shape must be (N, C, C) = (2, 3, 3), got {tuple(gram.shape)}")
    _need(
        torch.allclose(gram, gram.transpose(1, 2), atol=1e-5),
        "G_ij and G_ji differ; a Gram matrix is symmetric",
    )
    diagonal = gram.diagonal(dim1=1, dim2=2)
    _need(bool((diagonal >= 0).all()), "an entry on the diagonal is negative; G_ii is a sum of squares")
    _need(bool((diagonal > 0).all()), "an entry on the diagonal is 0 although the channel is not; is F used?")
    _need(
        torch.allclose(_call(function, features[1:]), gram[1:], rtol=1e-4, atol=1e-5),
        "the second image's matrix changes when the first image is left out; keep the batch apart",
    )
    _need(
        torch.allclose(_call(function, 2 * features), 4 * gram, rtol=1e-4, atol=1e-5),
        "doubling F does not give four times G; each entry is a product of two features",
    )
    mixed = features.flatten(2)[:, :, torch.randperm(20, generator=seeded_generator(1))].view_as(features)
    _need(
        torch.allclose(_call(function, mixed), gram, rtol=1e-4, atol=1e-5),
        "shuffling the positions changes G; the sum runs over all of them and forgets their order",
    )
    lonely = torch.zeros(1, 2, 2, 2)
    lonely[0, 0, 0, 0], lonely[0, 1, 1, 1] = 1.0, 1.0
    _need(
        bool((_call(function, lonely)[0, 0, 1]).abs() < 1e-6),
        "two channels that are never active together must have the product 0; is the sum over positions?",
    )
    twins = _call(function, _random(1, 1, 4, 5).expand(1, 2, 4, 5))
    _need(
        bool((twins / twins[0, 0, 0] - 1).abs().max() < 1e-4),
        "two equal channels have another product with each other than with themselves; what is lost off the diagonal?",
    )
    ours = losses.gram_matrix(features)
    factor = (gram.sum() / ours.sum()).item()
    _need(torch.allclose(gram, factor * ours, rtol=1e-4, atol=1e-5), "products are summed over the wrong axis")
    _need(
        abs(factor - 1) < 1e-4,
        f"everything is {factor:.4g} times what it should be; Eq. 3 is a plain sum, divided by nothing",
    )
    print("✓ your Gram matrix has every property of Eq. 3")


def check_content_loss(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check a content loss ½ Σ (F − P)², as in Gatys et al. 2016, Eq. 1, of features (N, C, H, W)."""
    f, p = _random(1, 3, 4, 5), _random(1, 3, 4, 5, seed=1)
    _check_distance(function, f, p, "the two features agree")
    apart = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2)
    _need(bool(_call(function, apart, 0 * apart) > 0), "differences of opposite sign cancel each other; they must not")
    _check_powers(function, f, p, 2)
    expected = losses.content_loss(f, p, losses.GATYS)
    _need_factor(_call(function, f, p), expected, "a sum over all channels and positions, times one half")
    print("✓ your content loss is Eq. 1")


def check_style_loss(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check one layer's style loss 1/(4N²M²) Σ (G − A)² (Eq. 4), a function of two features (1, C, H, W)."""
    f, a = _random(1, 3, 4, 5), _random(1, 3, 4, 5, seed=1)
    _check_distance(function, f, a, "the two Gram matrices agree")
    mixed = f.flatten(2).flip(2).view_as(f)
    _need(
        bool(_call(function, f, mixed).abs() < 1e-5),
        "an image and the same image with its positions reversed have one style; compare Gram matrices, not F",
    )
    _check_powers(function, f, a, 4)
    expected = losses.style_loss(f, losses.gram_matrix(a, mean=True), losses.GATYS)
    _need_factor(_call(function, f, a), expected, "divided by 4 N² M², with N channels and M positions")
    print("✓ your style loss is Eq. 4")


def check_total_variation(function: Callable[[Tensor], Tensor]) -> None:
    """Check a squared total variation, mean over horizontal plus mean over vertical neighbors."""
    flat = _call(function, torch.full((1, 3, 4, 4), 0.7))
    _need(bool(flat.abs() < 1e-7), "a flat picture must have no variation; compare neighbors with each other")
    stripes = torch.tensor([0.0, 1.0]).repeat(2).expand(1, 1, 4, 4)
    a, b = _call(function, stripes), _call(function, stripes.transpose(2, 3))
    _need(bool((a - b).abs() < 1e-6), "vertical and horizontal stripes differ; both directions count alike")
    _need(
        bool((a - 1).abs() < 1e-6),
        "stripes of 0 and 1 must give 1: every pair across differs by 1, none along",
    )
    image = _random(1, 3, 5, 6)
    _need_factor(_call(function, image), losses.total_variation_loss(image), "a mean over pairs, not a sum")
    print("✓ your total variation is right")


def _check_distance(function: Callable[..., Tensor], a: Tensor, b: Tensor, when_zero: str) -> None:
    value = _call(function, a, b)
    _need(value.ndim == 0, f"a loss must be a single number, got shape {tuple(value.shape)}")
    _need(bool(_call(function, a, a).abs() < 1e-6), f"the loss must be 0 where {when_zero}")
    _need(bool(value > 0), "the loss must be positive where they differ")
    _need(torch.allclose(value, _call(function, b, a), rtol=1e-4), "exchanging the two images changes the loss")


def _check_powers(function: Callable[..., Tensor], a: Tensor, b: Tensor, degree: int) -> None:
    factor = (_call(function, 2 * a, 2 * b) / _call(function, a, b)).item()
    _need(
        abs(factor / 2**degree - 1) < 1e-3,
        f"doubling both features makes the loss {factor:.4g} times as large, not {2**degree} times; "
        "which powers of F does the equation hold?",
    )


def _need_factor(value: Tensor, expected: Tensor, what: str) -> None:
    factor = (value / expected).item()
    _need(abs(factor - 1) < 1e-4, f"the value is {factor:.4g} times what it should be: {what}")


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded_generator(seed))


def _call(function: Callable[..., Any], *inputs: Tensor) -> Tensor:
    try:
        value = function(*(x.clone() for x in inputs))
    except NotImplementedError:
        raise CheckFailed("the function is still empty: replace `raise NotImplementedError` by your code") from None
    except RuntimeError as error:  # PyTorch's words for shapes that do not fit
        given = " and ".join(str(tuple(x.shape)) for x in inputs)
        raise CheckFailed(
            f"the function stopped with {type(error).__name__} on input of shape {given}: {error}"
        ) from error
    if not isinstance(value, Tensor):
        hint = "; does it end in `return`?" if value is None else ""
        raise CheckFailed(f"the function must return a tensor, got {type(value).__name__}{hint}")
    if not bool(torch.isfinite(value).all()):
        raise CheckFailed("the function returned values that are not finite")
    return value.detach().float()


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise CheckFailed(message)
