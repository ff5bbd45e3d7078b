"""L-BFGS for pictures: one evaluation a step, no line search, optional projection between steps.

Liu & Nocedal 1989. This is the form that Gatys et al. and the implementations after them use: the step length
is 1 except for the first step, where nothing is known about the curvature yet.

Two things differ from ``torch.optim.LBFGS``, both because the unknown is a picture:

- The first step is a declared distance in pixel units, not a number divided by the gradient's sum. Plain
  L-BFGS on [0, 1] pixels can otherwise throw its first steps far out of the picture.
- A picture may be projected (onto [0, 1], say) *between* steps. The curvature pairs are then taken from the
  projected pictures, s = x_new − x_old: they stay true. Clamping inside the loss instead makes gradient and
  step disagree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor


class LBFGS:
    """Minimize a function of one tensor, given its gradient at the current point.

    Args:
        x: the unknown, any shape, float32; changed in place by `step`.
        history_size: curvature pairs kept.
        first_step: root-mean-square length of the first step, in units of `x` (pixels in [0, 1]).
        max_step: no step is longer than this (root mean square): a guard against a bad curvature pair.
        project: applied to `x` in place after each step, for example ``lambda x: x.clamp_(0, 1)``.

    >>> x = torch.tensor([3.0, -2.0])
    >>> optimizer = LBFGS(x, first_step=0.1, max_step=10.0)
    >>> for _ in range(20):
    ...     optimizer.step(torch.tensor([1.0, 10.0]) * (x - torch.tensor([1.0, 1.0])))
    >>> bool(torch.allclose(x, torch.ones(2), atol=1e-4))
    True
    """

    def __init__(
        self,
        x: Tensor,
        *,
        history_size: int = 50,
        first_step: float = 0.01,
        max_step: float = 0.25,
        project: Callable[[Tensor], object] | None = None,
    ) -> None:
        self.x = x
        self.first_step, self.max_step, self.project = first_step, max_step, project
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history_size)  # s, y, 1 / (y·s)
        self.previous: tuple[Tensor, Tensor] | None = None  # x and gradient one step ago

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Move `x` once, given the gradient at `x`."""
        g = gradient.detach().flatten()
        self._remember(g)
        direction = self._direction(g)
        slope = torch.dot(direction, g)
        if not slope < 0:  # not downhill: the history misleads, start again from here
            self.pairs.clear()
            direction = -g
        if not self.pairs:
            direction = direction * (self.first_step / _rms(direction).clamp_min(1e-30))
        too_long = (self.max_step / _rms(direction).clamp_min(1e-30)).clamp_max(1.0)
        self.previous = (self.x.detach().flatten().clone(), g.clone())
        self.x.add_((direction * too_long).view_as(self.x))
        if self.project is not None:
            self.project(self.x)

    def _remember(self, g: Tensor) -> None:
        if self.previous is None:
            return
        s = self.x.detach().flatten() - self.previous[0]
        y = g - self.previous[1]
        curvature = torch.dot(s, y)
        if curvature > 1e-10 * torch.dot(y, y):  # keep the inverse Hessian positive definite
            self.pairs.append((s, y, 1.0 / curvature))

    def _direction(self, g: Tensor) -> Tensor:
        """−H·g by the two-loop recursion (Nocedal 1980)."""
        q = -g
        alphas = []
        for s, y, rho in reversed(self.pairs):
            alpha = rho * torch.dot(s, q)
            q = q.sub(y * alpha)
            alphas.append(alpha)
        if self.pairs:
            _, y, rho = self.pairs[-1]
            q = q / (rho * torch.dot(y, y))  # H0 = (s·y / y·y) I
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q.add(s * (alpha - rho * torch.dot(y, q)))
        return q


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt()
