"""The equations of CycleGAN that `unpaired` checks, what common mistakes make of them, and small networks to try them.

A generator notes the pictures that it gets. Pictures span [0, 1]; the losses are those of the paper's scale, [−1, 1],
on which every difference is twice as large.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.losses.adversarial import generator_loss
from course_lib.teaching.checks.base import random
from course_lib.teaching.checks.transforms import Mistake

Picture = Callable[[Tensor], Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]

_SQUARED = "the differences are squared; what does ‖·‖₁ stand for?"
_ROOT = "the root of the squared differences is taken; what does ‖·‖₁ stand for?"
_SUMMED = "the differences are added up over all values of a picture; the task asks for their average"
_SIGNED = "positive and negative differences cancel"
_HALF = "the value is {} of what it should be; on which scale are differences measured, and are the two terms added?"


# --- networks and pictures
class ColorGenerator(nn.Module):
    """x → sigmoid(W x + c) for the three colors of a pixel; it notes the pictures that it gets."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.W = nn.Parameter(3 * random(3, 3, 1, 1, seed=seed) - 1.2)
        self.c = nn.Parameter(random(3, seed=seed + 50) - 0.5)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return F.conv2d(x, self.W.to(x.dtype), self.c.to(x.dtype)).sigmoid()


class PatchDiscriminator(nn.Module):
    """Logits of patches of 4×4 pixels, (N, 3, H, W) → (N, 1, H/2 − 1, W/2 − 1)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.W = nn.Parameter(random(1, 3, 4, 4, seed=seed) - 0.45)
        self.c = nn.Parameter(random(1, seed=seed + 50) - 0.2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.W.to(x.dtype), self.c.to(x.dtype), stride=2)


def generators(seed: int) -> tuple[ColorGenerator, ColorGenerator]:
    return ColorGenerator(10 + seed), ColorGenerator(20 + seed)


def pictures(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures of A and of B; those of B are darker."""
    return random(*shape, seed=30 + seed), 0.6 * random(*shape, seed=40 + seed)


# --- the equations
def _l1(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of pictures in [0, 1], on the scale [−1, 1]."""
    return 2 * (x - y).abs().mean()


def cycle(
    AB: Picture, BA: Picture, a: Tensor, b: Tensor, *, by: Distance = _l1, between: Picture = lambda x: x
) -> Tensor:
    """Eq. 2 with any distance, and anything done to the fakes."""
    return by(BA(between(AB(a))), a) + by(AB(between(BA(b))), b)


def identity(AB: Picture, BA: Picture, a: Tensor, b: Tensor, *, by: Distance = _l1) -> Tensor:
    """The identity loss with any distance."""
    return by(AB(b), b) + by(BA(a), a)


def adversarial(AB: Picture, BA: Picture, D_A: Picture, D_B: Picture, a: Tensor, b: Tensor) -> Tensor:
    return generator_loss(D_B(AB(a)), "least-squares") + generator_loss(D_A(BA(b)), "least-squares")


# --- common mistakes
def _distances() -> dict[str, list[Distance]]:
    """What some write for the distance, by the message."""
    return {
        _SQUARED: [lambda x, y, k=k: k * (x - y).square().mean() for k in (1, 2, 4)],  # type: ignore[misc]
        _ROOT: [
            lambda x, y: 2 * (x - y).square().mean().sqrt(), lambda x, y: (x - y).square().mean().sqrt(),
            lambda x, y: 2 * (x - y).norm(), lambda x, y: (x - y).norm(),
        ],
        _SUMMED: [
            lambda x, y: 2 * (x - y).abs().sum(), lambda x, y: (x - y).abs().sum(),
            lambda x, y: 2 * (x - y).abs().sum() / len(x), lambda x, y: (x - y).abs().sum() / len(x),
        ],
        _SIGNED: [
            lambda x, y: 2 * (x - y).mean(), lambda x, y: (x - y).mean(), lambda x, y: 2 * (x - y).mean().abs(),
            lambda x, y: 2 * (y - x).mean(), lambda x, y: (y - x).mean(), lambda x, y: (x - y).mean().abs(),
        ],
    }  # fmt: skip


@torch.no_grad()
def wrong_cycles(AB: Picture, BA: Picture, a: Tensor, b: Tensor) -> list[Mistake]:
    other = "the result of the way back is compared with a picture of the other domain"
    bare = "a picture is compared with its translation; where is the way back?"
    twice = "a picture passes the same generator twice"
    right = cycle(AB, BA, a, b)
    wrong = [
        ("the two generators are called in the wrong order; which one takes pictures of A?", cycle(BA, AB, a, b)),
        (twice, cycle(AB, AB, a, b)), (twice, cycle(BA, BA, a, b)),
        (twice, _l1(AB(AB(a)), a) + _l1(BA(BA(b)), b)), (twice, _l1(BA(BA(a)), a) + _l1(AB(AB(b)), b)),
        ("only A → B → A counts; what about pictures of B?", _l1(BA(AB(a)), a)),
        ("only B → A → B counts; what about pictures of A?", _l1(AB(BA(b)), b)),
        (other, _l1(BA(AB(a)), b) + _l1(AB(BA(b)), a)),
        (bare, _l1(AB(a), a) + _l1(BA(b), b)),
        ("a translation is compared with a real picture of its domain, which shows another scene",
         _l1(AB(a), b) + _l1(BA(b), a)),
        ("the result of the way back is compared with the translation in the middle",
         _l1(BA(AB(a)), AB(a)) + _l1(AB(BA(b)), BA(b))),
        ("this is the identity loss; a cycle has two passes", identity(AB, BA, a, b)),
    ]  # fmt: skip
    wrong += [(f"{message}, on the scale of [0, 1]", value / 2) for message, value in wrong]
    return [
        *wrong,
        *_factors(right),
        *((message, cycle(AB, BA, a, b, by=by)) for message, every in _distances().items() for by in every),
    ]


@torch.no_grad()
def wrong_identities(AB: Picture, BA: Picture, a: Tensor, b: Tensor) -> list[Mistake]:
    other = "the result is compared with a picture of the other domain"
    wrong = [
        ("each generator gets pictures that it should change; which pictures should it leave alone?",
         _l1(AB(a), a) + _l1(BA(b), b)),
        (other, _l1(AB(b), a) + _l1(BA(a), b)), (other, _l1(AB(a), b) + _l1(BA(b), a)),
        ("only G_AB counts", _l1(AB(b), b)), ("only G_BA counts", _l1(BA(a), a)),
        ("this is the cycle loss; here a picture passes one generator, once", cycle(AB, BA, a, b)),
    ]  # fmt: skip
    wrong += [(f"{message}, on the scale of [0, 1]", value / 2) for message, value in wrong]
    return [
        *wrong,
        *_factors(identity(AB, BA, a, b)),
        *((message, identity(AB, BA, a, b, by=by)) for message, every in _distances().items() for by in every),
    ]


def _factors(right: Tensor) -> list[Mistake]:
    return [(_HALF.format("half"), right / 2), (_HALF.format("a quarter"), right / 4)]


@torch.no_grad()
def wrong_adversarials(
    G: tuple[ColorGenerator, ColorGenerator],
    D: tuple[PatchDiscriminator, PatchDiscriminator],
    real: tuple[Tensor, Tensor],
) -> list[Mistake]:
    (AB, BA), (D_A, D_B), (a, b) = G, D, real
    on_A, on_B = D_A(BA(b)), D_B(AB(a))
    right, back = adversarial(*G, *D, *real), cycle(*G, *real)
    at_zero = "with a weight of 0, the cycle loss still counts"
    judges = "this is what the discriminators minimize; the generators want the opposite verdict"
    entropy = "the adversarial loss is a cross-entropy, not the squares of Section 4"
    fakes = on_A.square().mean() + on_B.square().mean()
    reals = (D_A(a) - 1).square().mean() + (D_B(b) - 1).square().mean()
    return [
        ("each discriminator gets the fakes of the other domain", adversarial(AB, BA, D_B, D_A, a, b)),
        ("each generator gets pictures of the other domain", adversarial(BA, AB, D_A, D_B, a, b)),
        ("each generator gets pictures of the other domain", adversarial(BA, AB, D_B, D_A, a, b)),
        (judges, fakes), (judges, fakes + reals), (judges, (fakes + reals) / 2), (judges, fakes / 2), (judges, -fakes),
        ("the discriminators get real pictures, from which no generator learns", reals),
        ("the discriminators get the pictures that came back, not the fakes",
         generator_loss(D_A(BA(AB(a))), "least-squares") + generator_loss(D_B(AB(BA(b))), "least-squares")),
        ("only the discriminator of B counts", (on_B - 1).square().mean()),
        ("only the discriminator of A counts", (on_A - 1).square().mean()),
        ("the value is half of what it should be; are the two adversarial losses added?", right / 2),
        ("the distances of the logits are not squared", (on_A - 1).abs().mean() + (on_B - 1).abs().mean()),
        ("the distances of the logits are not squared", (1 - on_A).mean() + (1 - on_B).mean()),
        ("the mean over the logits is squared; square each of them",
         (on_A.mean() - 1).square() + (on_B.mean() - 1).square()),
        ("the squares are added up over all logits, not averaged", right * on_A.numel()),
        (entropy, F.softplus(-on_A).mean() + F.softplus(-on_B).mean()),
        (entropy, F.softplus(on_A).mean() + F.softplus(on_B).mean()),
        ("the logits enter with the wrong sign", -on_A.mean() - on_B.mean()),
        *((at_zero, right + factor * back) for factor in (0.5, 1, 5, 10)),
    ]  # fmt: skip
