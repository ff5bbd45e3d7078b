"""Losses of generator and discriminator for three GAN objectives, as functions of the discriminator's logits.

    V(G, D) = E log D(y) + E log(1 − D(G(z)))          D maximizes, G minimizes (Goodfellow et al. 2014, Eq. 1)

D(y) = sigmoid(logit). Where real and fake are equally likely, the best discriminator gives D = ½ (d = ½ for least
squares). The objectives differ in the gradient that the generator receives.

    objective          the discriminator minimizes           the generator minimizes
    "minimax"          −log D(y) − log(1 − D(G(z)))          log(1 − D(G(z)))       vanishes when D rejects fakes
    "non-saturating"   the same                              −log D(G(z))           does not vanish (Section 3)
    "least-squares"    (d(y) − 1)² + d(G(z))²                (d(G(z)) − 1)²         d: the logit (Mao et al. 2017)
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

OBJECTIVES = ("non-saturating", "least-squares", "minimax")


def real_loss(logits: Tensor, objective: str = "non-saturating") -> Tensor:
    """The discriminator's loss on real pictures.

    Args:
        logits: of the discriminator for real pictures, any shape.
        objective: one of `OBJECTIVES`.

    Returns:
        A scalar, the mean over all logits.

    Raises:
        ValueError: an unknown objective.

    >>> import torch
    >>> round(real_loss(torch.zeros(3)).item(), 4)  # undecided: −log ½
    0.6931
    """
    _check(logits, objective)
    if objective == "least-squares":
        return (logits - 1).square().mean()
    return F.softplus(-logits).mean()


def fake_loss(logits: Tensor, objective: str = "non-saturating") -> Tensor:
    """The discriminator's loss on fakes; arguments, result and errors as in `real_loss`."""
    _check(logits, objective)
    if objective == "least-squares":
        return logits.square().mean()
    return F.softplus(logits).mean()


def generator_loss(logits: Tensor, objective: str = "non-saturating") -> Tensor:
    """The generator's loss, from the discriminator's logits for fakes.

    Args:
        logits: of the discriminator for fakes, any shape.
        objective: one of `OBJECTIVES`.

    Returns:
        A scalar, the mean over all logits.

    Raises:
        ValueError: an unknown objective.

    >>> import torch
    >>> sure = torch.tensor(-8.0, requires_grad=True)  # a fake that the discriminator rejects
    >>> for objective in ("minimax", "non-saturating"):
    ...     print(objective, round(torch.autograd.grad(generator_loss(sure, objective), sure)[0].item(), 3))
    minimax -0.0
    non-saturating -1.0
    """
    _check(logits, objective)
    if objective == "least-squares":
        return (logits - 1).square().mean()
    return F.softplus(-logits).mean() if objective == "non-saturating" else -F.softplus(logits).mean()


def _check(logits: Tensor, objective: str) -> None:
    if not isinstance(logits, Tensor) or not logits.is_floating_point() or not logits.numel():
        got = f"{logits.dtype} of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"expected the logits of a discriminator, a tensor of floats, got {got}")
    if objective not in OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}; use one of {', '.join(OBJECTIVES)}")
