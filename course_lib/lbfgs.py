"""L-BFGS for pictures: one evaluation a step, no line search, optional projection between steps.

Liu & Nocedal 1989. This is the form that Gatys et al. and the implementations after them use: the step length
is 1 except for the first step, where nothing is known about the curvature yet.

Two things differ from ``torch.optim.LBFGS``, both because the unknown is a picture:

- The first step is a declared distance in pixel units, not a number divided by the gradient's sum. Plain
  L-BFGS on [0, 1] pixels can otherwise throw its first steps far out of the picture.
- A picture may be projected (onto [0, 1], say) *between* steps. The curvature pairs are then taken from the
  projected pictures, s = x_new − x_old: they stay true. Values that lie on a bound and are pushed outward are
  left out of the next step (Bertsekas 1982): a step computed with them and cut off afterwards lets the others
  answer moves that never happen, and comes to rest beside the minimum. Clamping inside the loss instead makes
  gradient and step disagree.
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
        max_step: no step is longer than this (root mean square, 0.05 is 13 gray levels): early curvature pairs
            can ask for a step a hundred times too long, and without a line search nobody refuses it.
        project: applied to `x` in place after each step; bounds on its values, ``lambda x: x.clamp_(0, 1)``.

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
        history_size: int = 20,
        first_step: float = 0.01,
        max_step: float = 0.05,
        project: Callable[[Tensor], object] | None = None,
    ) -> None:
        self.x = x
        self.first_step, self.max_step, self.project = first_step, max_step, project
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history_size)  # s, y, s·y
        self.previous: tuple[Tensor, Tensor] | None = None  # x and gradient one step ago

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Move `x` once, given the gradient at `x`."""
        g = gradient.detach().flatten()
        self._remember(g)
        self.previous = (self.x.detach().flatten().clone(), g.clone())
        free = self._free(g)
        g = g if free is None else g * free
        direction = self._direction(g, free)
        if direction is None or not torch.dot(direction, g) < 0:
            self.pairs.clear()  # nothing known yet, or not downhill: the history misleads, start again from here
            direction = -g * (self.first_step / _rms(g).clamp_min(1e-30))
        too_long = (self.max_step / _rms(direction).clamp_min(1e-30)).clamp_max(1.0)
        self.x.add_((direction * too_long).view_as(self.x))
        if self.project is not None:
            self.project(self.x)

    def _remember(self, g: Tensor) -> None:
        if self.previous is None:
            return
        s = self.x.detach().flatten() - self.previous[0]
        y = g - self.previous[1]
        curvature = torch.dot(s, y)
        if _is_usable(curvature, y):
            self.pairs.append((s, y, curvature))

    def _free(self, g: Tensor) -> Tensor | None:
        """1 for values that a small step downhill changes, 0 for those held by a bound; None without bounds."""
        if self.project is None:
            return None
        moved = self.x - (g * (self.first_step / _rms(g).clamp_min(1e-30))).view_as(self.x)
        self.project(moved)
        return (moved != self.x).flatten().to(g.dtype)

    def _direction(self, g: Tensor, free: Tensor | None) -> Tensor | None:
        """−H·g by the two-loop recursion (Nocedal 1980) among the free values; None where no pair is usable."""
        q, scale, used = -g, None, []
        for s, y, curvature in reversed(self.pairs):  # from the newest
            free_y = y
            if free is not None:
                free_y = y * free
                curvature = torch.dot(s, free_y)
                if not _is_usable(curvature, free_y):
                    continue
            if scale is None:
                scale = curvature / torch.dot(free_y, free_y)  # H0 = (s·y / y·y) I
            alpha = torch.dot(s, q) / curvature
            q.addcmul_(free_y, alpha, value=-1.0)
            used.append((s, y, curvature, alpha))
        if scale is None:
            return None
        q = q * scale
        for s, y, curvature, alpha in reversed(used):  # q stays 0 where a value is held: no mask in y·q
            free_s = s if free is None else s * free
            q.addcmul_(free_s, alpha - torch.dot(y, q) / curvature)
        return q


def _is_usable(curvature: Tensor, y: Tensor) -> bool:
    """Whether a pair keeps the inverse Hessian positive definite."""
    return bool(curvature > 1e-10 * torch.dot(y, y))


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt()
