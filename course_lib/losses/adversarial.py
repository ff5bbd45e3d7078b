"""What two players of a GAN want: three objectives, as functions of the discriminator's logits.

    V(G, D) = E log D(y) + E log(1 − D(G(z)))          D maximizes, G minimizes (Goodfellow et al. 2014, Eq. 1)

D(y) = sigmoid(logit). All three leave the discriminator's optimum where real and fake are equally likely at its
"undecided"; they differ in the slope that the generator gets.

    objective          the discriminator minimizes           the generator minimizes
    "minimax"          −log D(y) − log(1 − D(G(z)))          log(1 − D(G(z)))       no slope when D is sure
    "non-saturating"   the same                              −log D(G(z))           the slope stays (Section 3)
    "least-squares"    (d(y) − 1)² + d(G(z))²                (d(G(z)) − 1)²         d: the logit (Mao et al. 2017)
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

OBJECTIVES = ("non-saturating", "least-squares", "minimax")


def real_loss(logits: Tensor, objective: str = "non-saturating") -> Tensor:
    """What the discriminator pays for its verdict on real pictures: a mean over all logits, of any shape.

    >>> import torch
    >>> round(real_loss(torch.zeros(3)).item(), 4)  # undecided: −log ½
    0.6931
    """
    _check(objective)
    if objective == "least-squares":
        return (logits - 1).square().mean()
    return F.softplus(-logits).mean()


def fake_loss(logits: Tensor, objective: str = "non-saturating") -> Tensor:
    """What the discriminator pays for its verdict on the generator's pictures."""
    _check(objective)
    if objective == "least-squares":
        return logits.square().mean()
    return F.softplus(logits).mean()


def generator_loss(logits: Tensor, objective: str = "non-saturating") -> Tensor:
    """What the generator pays for the same verdict.

    >>> import torch
    >>> sure = torch.tensor(-8.0, requires_grad=True)  # a fake, and the discriminator knows
    >>> for objective in ("minimax", "non-saturating"):
    ...     print(objective, round(torch.autograd.grad(generator_loss(sure, objective), sure)[0].item(), 3))
    minimax -0.0
    non-saturating -1.0
    """
    _check(objective)
    if objective == "least-squares":
        return (logits - 1).square().mean()
    return F.softplus(-logits).mean() if objective == "non-saturating" else -F.softplus(logits).mean()


def _check(objective: str) -> None:
    if objective not in OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}; use one of {', '.join(OBJECTIVES)}")
