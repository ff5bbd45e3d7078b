"""Checks of what CycleGAN minimizes (Zhu et al. 2017): the cycle loss, the identity loss, and the generators' sum.

Each check compares a value and its gradient with those of the equation; `unpaired_mistakes` knows what common mistakes
would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, attempt, near, need, need_factor, number
from course_lib.teaching.checks.transforms import Mistake
from course_lib.teaching.checks.unpaired_mistakes import (
    ColorGenerator,
    PatchDiscriminator,
    Picture,
    adversarial,
    cycle,
    generators,
    identity,
    pictures,
    wrong_adversarials,
    wrong_cycles,
    wrong_identities,
)

Gradients = tuple[Tensor, ...]

_SAME = 1e-4  # relative difference of numbers that count as equal
_WEIGHT = 3.0  # λ in the check; not the factor of a common mistake
_RIGHT_BUT = "the value is right, but"
_CUT = f"{_RIGHT_BUT} the first generator of a cycle does not learn from it: the way back ends between the two passes"
_MEANS = "the mean of the absolute differences, of A and of B, added, for pictures in [−1, 1]"
_SQUARES = "with a weight of 0, the two adversarial losses: mean squared distances to the logit of a real one, added"


def check_cycle_loss(function: Callable[..., Tensor]) -> None:
    """Check E ‖G_BA(G_AB(a)) − a‖₁ + E ‖G_AB(G_BA(b)) − b‖₁ (Zhu et al. 2017, Eq. 2), and its gradient.

    Args:
        function: ``function(G_AB, G_BA, real_A, real_B)``, with pictures (N, 3, H, W) in [0, 1] → a number: the sum of
            two mean absolute differences, on the scale [−1, 1]. The tolerance is 0.01 %.

    Raises:
        CheckFailed: a property does not hold.
    """
    for seed, shape in enumerate(((2, 3, 12, 10), (1, 3, 5, 7))):
        G, real = generators(seed), pictures(shape, seed)
        value = number(function, *G, *real)
        _need_range(G)
        _need_value(value, cycle(*G, *real), wrong_cycles(*G, *real), _MEANS)
        stopped = _gradients(lambda *x: cycle(*x, between=torch.Tensor.detach), G, *real)
        _need_gradients(function, cycle, G, real, [(_CUT, stopped)])
    print("✓ there and back, in both directions")


def check_identity_loss(function: Callable[..., Tensor]) -> None:
    """Check E ‖G_AB(b) − b‖₁ + E ‖G_BA(a) − a‖₁ (Zhu et al. 2017, Section 5.2), and its gradient.

    Args:
        function: as that of `check_cycle_loss`.

    Raises:
        CheckFailed: a property does not hold.
    """
    for seed, shape in enumerate(((2, 3, 12, 10), (1, 3, 5, 7))):
        G, real = generators(seed), pictures(shape, seed)
        value = number(function, *G, *real)
        _need_range(G)
        _need_value(value, identity(*G, *real), wrong_identities(*G, *real), _MEANS)
        _need_gradients(function, identity, G, real, [])
    print("✓ a picture that is of the target domain already should stay as it is")


def check_generators_loss(function: Callable[..., Tensor]) -> None:
    """Check the generators' part of Eq. 3 of Zhu et al. 2017, with least squares, and its gradient.

    Args:
        function: ``function(G_AB, G_BA, D_A, D_B, real_A, real_B, cycle_weight)`` → a number: E (D_B(G_AB(a)) − 1)² +
            E (D_A(G_BA(b)) − 1)² + `cycle_weight` times the loss of `check_cycle_loss`. The discriminators give
            logits (N, 1, h, w).

    Raises:
        CheckFailed: a property does not hold.
    """
    G, D, real = generators(0), (PatchDiscriminator(5), PatchDiscriminator(6)), pictures((2, 3, 12, 10))
    judged, back = adversarial(*G, *D, *real).detach(), cycle(*G, *real).detach()

    def weighted(weight: float) -> Callable[..., Tensor]:
        return lambda AB, BA, a, b: function(AB, BA, *D, a, b, weight)

    alone = number(weighted(0.0), *G, *real)
    _need_range(G)
    _need_value(alone, judged, wrong_adversarials(G, D, real), _SQUARES)
    value = number(weighted(_WEIGHT), *G, *real)
    wrong = [
        ("the weight has no effect: the cycle loss is missing", judged),
        ("the cycle loss is not multiplied by its weight", judged + back),
        ("the weight that was given has no effect: the cycle loss is multiplied by 10", judged + 10 * back),
        ("the weight multiplies the adversarial losses, too", _WEIGHT * (judged + back)),
        ("the weight multiplies the adversarial losses, not the cycle loss", _WEIGHT * judged + back),
        ("the adversarial losses are missing if the weight is not 0", _WEIGHT * back),
        *((f"in the sum, {message}", judged + _WEIGHT * one) for message, one in wrong_cycles(*G, *real)),
    ]
    _need_value(value, judged + _WEIGHT * back, wrong, "the adversarial losses plus the weight times the cycle loss")

    def expected(AB: Picture, BA: Picture, a: Tensor, b: Tensor, between: Picture = lambda x: x) -> Tensor:
        return adversarial(AB, BA, *D, a, b) + _WEIGHT * cycle(AB, BA, a, b, between=between)

    stopped = [
        (f"{_RIGHT_BUT} the generators do not learn from the discriminators: the way back from the logits ends at the "
         "fakes", _gradients(lambda *x: _WEIGHT * cycle(*x), G, *real)),
        (f"{_RIGHT_BUT} the generators do not learn from the cycle loss",
         _gradients(lambda AB, BA, a, b: adversarial(AB, BA, *D, a, b), G, *real)),
        (_CUT, _gradients(lambda AB, BA, a, b: expected(AB, BA, a, b, torch.Tensor.detach), G, *real)),
    ]  # fmt: skip
    _need_gradients(weighted(_WEIGHT), expected, G, real, stopped)
    need(
        all(p.requires_grad for network in D for p in network.parameters()),
        "after a call of your function, the discriminators' weights stay frozen; their own step comes next",
    )
    print("✓ two adversarial losses, and the way back")


# --- properties
def _need_value(value: Tensor, expected: Tensor, mistakes: Iterable[Mistake], what: str) -> None:
    """Raise `CheckFailed` unless the numbers agree; the message is that of the first mistake with this value."""
    if near(value, expected.detach(), _SAME):
        return
    for message, wrong in mistakes:
        need(not near(value, wrong, _SAME), message)
    need_factor(value, expected.detach(), what, _SAME)


def _need_range(G: Iterable[ColorGenerator]) -> None:
    """Raise `CheckFailed` if a generator was not called, or got something other than pictures."""
    for name, network in zip(("G_AB", "G_BA"), G, strict=True):
        need(bool(network.seen), f"{name} was not called")
        low, high = min(x.min().item() for x in network.seen), max(x.max().item() for x in network.seen)
        need(
            low >= -1e-4 and high <= 1 + 1e-4,
            f"the generators take pictures in [0, 1], but {name} gets values from {low:.2g} to {high:.2g}",
        )


def _need_gradients(
    function: Callable[..., Tensor],
    expected: Callable[..., Tensor],
    G: tuple[ColorGenerator, ColorGenerator],
    real: tuple[Tensor, Tensor],
    mistakes: Iterable[tuple[str, Gradients]],
) -> None:
    """Raise `CheckFailed` unless both generators get the gradient of `expected`."""
    value = attempt(function, *G, *real)
    need(value.requires_grad, f"{_RIGHT_BUT} no gradient reaches the generators; nothing would be learned")
    parameters = [p for network in G for p in network.parameters()]
    try:
        found = torch.autograd.grad(value.sum(), parameters, allow_unused=True)
    except RuntimeError as error:
        raise CheckFailed(f"{_RIGHT_BUT} there is no way back from it to the generators: {error}") from error
    ours = tuple(torch.zeros_like(p) if g is None else g.float() for g, p in zip(found, parameters, strict=True))
    theirs = _gradients(expected, G, *real)
    if _alike(ours, theirs):
        return
    for message, wrong in mistakes:
        need(not _alike(ours, wrong), message)
    for name, part in (("G_AB", slice(0, 2)), ("G_BA", slice(2, 4))):
        need(any(bool(g.any()) for g in ours[part]), f"{_RIGHT_BUT} no gradient reaches {name}")
    raise CheckFailed(f"{_RIGHT_BUT} its gradient is not: a part of the calculation does not depend on the generators")


def _gradients(loss: Callable[..., Tensor], G: tuple[ColorGenerator, ColorGenerator], *real: Tensor) -> Gradients:
    return torch.autograd.grad(loss(*G, *real), [p for network in G for p in network.parameters()])


def _alike(one: Gradients, other: Gradients) -> bool:
    return all(near(x, y, 1e-3) for x, y in zip(one, other, strict=True))
