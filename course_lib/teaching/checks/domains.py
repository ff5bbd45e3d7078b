"""Checks of StarGAN's losses (Choi et al. 2018): classification, reconstruction with the old label, and the penalty.

Each check compares a value and its gradient with those of the equation; `domains_mistakes` knows what common mistakes
would give. Pictures span [−1, 1], as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import runtime
from course_lib.teaching.checks.base import CheckFailed, attempt_as_described, near, need, need_factor, tensor
from course_lib.teaching.checks.domains_mistakes import (
    DomainDiscriminator,
    LabeledGenerator,
    l1,
    of_D,
    of_G,
    penalty,
    pictures,
    round_trip,
    slopes,
    wrong_of_D,
    wrong_of_G,
    wrong_penalties,
    wrong_round_trips,
)
from course_lib.teaching.checks.transforms import Mistake

_SAME = 1e-3  # relative difference of numbers that count as equal; a small ε below a root stays below it
_RIGHT_BUT = "the value is right, but"
_LABELS, _GOAL = torch.tensor([0, 3, 1]), torch.tensor([3, 1, 2])
_MANY = 64  # pictures, to tell how shares are drawn


def check_domain_losses(function: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Check the two classification losses (Choi et al. 2018, Eqs. 2 and 3), and their gradients.

    Args:
        function: ``function(D, G, real, labels, goal)``, with D (N, 3, H, W) → values of patches and logits of domains
            (N, n), G (pictures, labels) → pictures, real pictures and two lists of domains, (N,) → two numbers: what D
            minimizes, and what G minimizes. The tolerance is 0.1 %.

    Raises:
        CheckFailed: a property does not hold.
    """
    D, G, real = DomainDiscriminator(3), LabeledGenerator(4), pictures(3)
    given = D, G, real, _LABELS, _GOAL
    for_D, for_G = _two(attempt_as_described(function, *given))
    mine, other = of_D(D, real, _LABELS).detach(), of_G(D, G, real, _GOAL).detach()
    if near(_one(for_D), other, _SAME) and near(_one(for_G), mine, _SAME):
        raise CheckFailed("the two losses are in the wrong order: first that of D, then that of G")
    _need_value(_one(for_D), mine, wrong_of_D(*given), "for D, the cross-entropy of real pictures", "in D's loss, ")
    _need_value(_one(for_G), other, wrong_of_G(*given), "for G, the cross-entropy of fakes", "in G's loss, ")
    _need_gradients(for_D, of_D(D, real, _LABELS), D, "D's loss", ())
    stopped = ("the way back from the logits ends at the fakes", [torch.zeros_like(p) for p in G.parameters()])
    _need_gradients(for_G, of_G(D, G, real, _GOAL), G, "G's loss", [stopped])
    need(
        all(p.requires_grad for network in (D, G) for p in network.parameters()),
        "after a call of your function, weights of a network stay frozen; their own step comes next",
    )
    print("✓ D learns the domains from real pictures, G from what D says about its fakes")


def check_round_trip(function: Callable[..., Tensor]) -> None:
    """Check E ‖x − G(G(x, c), c')‖₁ with the original domain c' (Choi et al. 2018, Eq. 4), and its gradient.

    Args:
        function: ``function(G, real, labels, goal)``, with G (pictures, labels) → pictures, real pictures, and for each
            its own domain and the one to go to, (N,) → a number, the mean absolute difference.

    Raises:
        CheckFailed: a property does not hold.
    """
    for seed in range(2):
        G, real = LabeledGenerator(10 + seed), pictures(3, seed)
        value = _one(attempt_as_described(function, G, real, _LABELS, _GOAL))
        need(bool(G.seen), "G was not called")
        right = round_trip(G, real, _LABELS, _GOAL)
        _need_value(value, right.detach(), wrong_round_trips(G, real, _LABELS, _GOAL), "the mean absolute difference")
        leaf = attempt_as_described(function, G, real, _LABELS, _GOAL)
        cut = torch.autograd.grad(
            round_trip(G, real, _LABELS, _GOAL, between=torch.Tensor.detach), [*G.parameters()]
        )  # fmt: skip
        with torch.no_grad():
            fake = G(real, _GOAL)
        first = torch.autograd.grad(l1(G(fake, _LABELS), real), [*G.parameters()])
        message = "the first pass does not learn from it: the way back ends at the fakes"
        _need_gradients(leaf, right, G, "it", [(message, cut), (message, first)])
    print("✓ there with the new label, and back with the old one")


def check_gradient_penalty(function: Callable[..., Tensor]) -> None:
    """Check E (‖∇D(x̂)‖ − 1)² at points between real and fake (Gulrajani et al. 2017, Algorithm 1), and its gradient.

    Args:
        function: ``function(D, real, fake)``, with D (N, 3, H, W) → values of patches and logits of domains, real
            pictures and fakes (N, 3, H, W), paired as they come → a number. The values of a picture's patches are
            added. Points are drawn by any source of random numbers: their places are seen by D.

    Raises:
        CheckFailed: a property does not hold.
    """
    with runtime.seeded(0, torch.device("cpu")):
        D, real, fake = DomainDiscriminator(5, 0.25), pictures(6, 1), pictures(6, 2)  # slopes below and above 1
        value = attempt_as_described(function, D, real, fake)
        points = _need_points(D, real, fake)
        slope, of_classes = slopes(D, points)
        patches = D(points)[0][0].numel()
        wrong = wrong_penalties(slope, of_classes, patches)
        _need_value(_one(value), penalty(slope), wrong, "the mean squared distance of the lengths from 1")
        _need_second_derivative(value, D, points)
        D, real, fake = DomainDiscriminator(6), pictures(_MANY, 3), pictures(_MANY, 4)
        attempt_as_described(function, D, real, fake)
        _need_spread(_shares(_need_points(D, real, fake), real, fake))
    print("✓ between real and fake, the critic should rise by 1 for each unit of distance")


# --- points
def _need_points(D: DomainDiscriminator, real: Tensor, fake: Tensor) -> Tensor:
    """The points at which D was asked; raises `CheckFailed` unless each lies between a picture and its fake."""
    need(bool(D.seen), "D was not called")
    seen = [x.float() for x in D.seen]
    D.seen.clear()
    need(all(x.shape[1:] == real.shape[1:] for x in seen), "D gets something other than pictures (N, 3, H, W)")
    points = torch.cat(seen)
    need(
        len(points) == len(real),
        f"D gets {len(points)} pictures, not {len(real)}: one point for each pair of a real picture and a fake",
    )
    shares = _shares(points, real, fake)
    for name, share in (("the real pictures themselves", 1.0), ("the fakes themselves", 0.0), ("the middle", 0.5)):
        if (shares - share).abs().max() < 1e-3:
            need(near(points, share * real + (1 - share) * fake, 1e-3), "the points are no pictures between the two")
            raise CheckFailed(f"all points are {name}; a point has a random place between a real picture and its fake")
    off = (points - (fake + shares.view(-1, 1, 1, 1) * (real - fake))).abs().max()
    if off > 1e-3:
        low, high = torch.minimum(real, fake), torch.maximum(real, fake)
        inside = bool(((points >= low - 1e-4) & (points <= high + 1e-4)).all())
        need(not inside, "each value has its own share of real and fake; a point on a straight line has one for all")
        raise CheckFailed("the points do not lie on straight lines between a real picture and its own fake")
    need(
        bool((shares > -1e-3).all() and (shares < 1 + 1e-3).all()),
        "points lie beyond the real picture or beyond the fake, not between them",
    )
    need(
        bool((shares - shares.mean()).abs().max() > 1e-3),
        "all pictures of a batch have the same share of real and fake; each has its own",
    )
    return points


def _shares(points: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """ε of each picture, (N,): the place of the nearest point on its line."""
    way = (real - fake).flatten(1)
    return ((points - fake).flatten(1) * way).sum(1) / way.square().sum(1)


def _need_spread(shares: Tensor) -> None:
    need(
        bool((shares.mean() - 0.5).abs() < 0.15 and shares.min() < 0.2 and shares.max() > 0.8),
        f"the shares of real and fake are between {shares.min():.2g} and {shares.max():.2g}, with the mean "
        f"{shares.mean():.2g}; every share from 0 to 1 should be equally likely",
    )


# --- properties
def _two(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    if isinstance(value, Tensor) and value.shape == (2,):
        return value[0], value[1]
    got = "one number; do not add them" if isinstance(value, Tensor) and value.numel() == 1 else type(value).__name__
    hint = "; does it end in `return`?" if value is None else ""
    raise CheckFailed(f"the function must return two numbers, D's loss and G's loss, got {got}{hint}")


def _one(value: Any) -> Tensor:
    """A loss as a tensor without dimensions and without its graph."""
    found = tensor(value)
    need(found.numel() == 1, f"a loss must be a single number, got shape {tuple(found.shape)}")
    return found.reshape(())


def _need_value(value: Tensor, expected: Tensor, mistakes: Iterable[Mistake], what: str, where: str = "") -> None:
    """Raise `CheckFailed` unless the numbers agree; the message is that of the first mistake with this value."""
    if near(value, expected.detach(), _SAME):
        return
    for message, wrong in mistakes:
        need(not near(value, wrong.detach().float(), _SAME), where + message)
    try:
        need_factor(value, expected.detach(), what, _SAME)
    except CheckFailed as failed:
        raise CheckFailed(where + str(failed)) from None


def _gradients(value: Any, network: nn.Module, what: str) -> list[Tensor]:
    parameters = [*network.parameters()]
    need(value.requires_grad, f"{_RIGHT_BUT} no gradient reaches the network from {what}; nothing would be learned")
    try:
        found = torch.autograd.grad(value.sum(), parameters, allow_unused=True, retain_graph=True)
    except RuntimeError as error:
        raise CheckFailed(f"{_RIGHT_BUT} there is no way back from {what} to the network: {error}") from error
    return [torch.zeros_like(p) if g is None else g.float() for g, p in zip(found, parameters, strict=True)]


def _need_gradients(
    value: Any, right: Tensor, network: nn.Module, what: str, mistakes: Iterable[tuple[str, Sequence[Tensor]]]
) -> None:
    """Raise `CheckFailed` unless the network gets the gradient of `right` from `value`."""
    ours, theirs = _gradients(value, network, what), _gradients(right, network, what)
    if _alike(ours, theirs):
        return
    for message, wrong in mistakes:
        need(not _alike(ours, wrong), f"{_RIGHT_BUT} {message}")
    raise CheckFailed(f"{_RIGHT_BUT} the gradient of {what} is not: a part of the calculation does not depend on "
                      "the network")  # fmt: skip


def _need_second_derivative(value: Any, D: DomainDiscriminator, points: Tensor) -> None:
    """Raise `CheckFailed` unless D can learn from the penalty, which is a derivative itself."""
    need(
        value.requires_grad, f"{_RIGHT_BUT} D cannot learn from it: the slope was computed as a plain number, and a "
        "number has no gradient; it has to keep the way to D's weights"
    )  # fmt: skip
    leaf = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(D(leaf)[0].sum(), leaf, create_graph=True)
    _need_gradients(value, penalty(slope), D, "the penalty", ())


def _alike(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(near(x, y, 3e-3) for x, y in zip(one, other, strict=True))
