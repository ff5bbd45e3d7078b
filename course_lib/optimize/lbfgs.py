"""L-BFGS for pictures: one evaluation a step, no line search, on the device, with bounds and a preconditioner.

Liu & Nocedal 1989, in the compact form of Byrd, Nocedal & Schnabel 1994 (Eq. 3.1). With the last m moves s and
changes of the gradient y as rows of S and Y, g the gradient and γB the first guess of the inverse Hessian H,

    R = upper triangle of S Yᵀ,   D = its diagonal,   Z = Y B,   p = S g,   q = Z g,   w = R⁻¹ p
    H g = γ B g + Sᵀ R⁻ᵀ (D w + γ (Z Yᵀ w − q)) − γ Zᵀ w

so a step takes two passes over the matrices S and Z and some algebra on m × m numbers. The textbook's two-loop
recursion computes the same in 4m small operations. Nothing here waits for the device, and after the first step only
tensors change: even the index of the next row lives on the device. So a step can be captured once and replayed.

It differs from ``torch.optim.LBFGS`` because the unknown is a picture:

- The length of the first step is given in pixel units instead of being derived from the gradient's sum, and no step is
  longer than `max_step`. Otherwise the first steps on [0, 1] pixels can leave the range of a picture by far.
- No step is longer than `growth` times the recent ones. There is no line search, and now and then the pairs ask for a
  step ten times too long: without this limit, one run of two hundred evaluations passed through a picture with three
  times the loss, and a run that ends there returns it.
- A picture may be projected (onto [0, 1], say) *between* steps. The curvature pairs are taken from the projected
  pictures, so they stay correct. Values that lie on a bound and are pushed outward are left out of the next step
  (Bertsekas 1982). If they were included and cut off afterwards, the other values would compensate for moves that the
  projection undoes, and the run would stop beside the minimum. Clamping inside the loss would make gradient and step
  disagree.
- B need not be the identity; see `course_lib.optimize.preconditioners`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_TINY = 1e-30


class LBFGS:
    """Minimize a function of one tensor, given its gradient at the current point.

    Args:
        x: the unknown, any shape, float32 or float64; changed in place by `step`.
        history_size: curvature pairs kept, m; they take 2·m times the memory of `x`.
        first_step: root-mean-square length of the first step, in units of `x` (pixels in [0, 1]).
        max_step: no step is longer than this (root mean square, 0.05 is 13 gray levels): early curvature pairs
            can ask for a step a hundred times too long, and there is no line search to shorten it.
        growth: no step is longer than this many times the recent ones: their geometric mean, each weighted 0.8 times
            as much as the one after it.
        project: applied to `x` in place after each step; bounds on its values, ``lambda x: x.clamp_(0, 1)``.
        precondition: B, a symmetric positive definite linear map of a tensor like `x`; None for the identity.
            It changes the path, not the minimum.
        average: take γ from all pairs, as the geometric mean of their s·y / y·By, instead of from the newest alone. A
            preconditioner that fits makes these nearly equal, and the few that it does not fit no longer set the scale.

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
        growth: float = 3.0,
        project: Callable[[Tensor], object] | None = None,
        precondition: Callable[[Tensor], Tensor] | None = None,
        average: bool = False,
    ) -> None:
        self.x = x
        self.first_step, self.max_step, self.growth = first_step, max_step, growth
        self.project, self.precondition, self.average = project, precondition, average
        # the m × m algebra wants more digits than the pictures do; Apple's GPUs have no float64
        exact = torch.float32 if x.device.type == "mps" else torch.float64
        m = self.history_size = history_size
        self.s, self.z = self.pairs = x.new_zeros((2, m, x.numel()))  # S and Z = Y B, row i % m for the i-th pair
        self.sy = x.new_zeros((m, m), dtype=exact)  # S Yᵀ
        self.zy = x.new_zeros((m, m), dtype=exact)  # Z Yᵀ
        self.usable = x.new_zeros(m, dtype=exact)  # 1 where a row holds a pair with positive curvature
        self.row = torch.zeros(1, dtype=torch.long, device=x.device)  # where the next pair goes: the oldest's place
        self.places = torch.arange(m, device=x.device)
        self.recent = x.new_full((), max_step)  # length of the recent steps
        self.previous: tuple[Tensor, Tensor] | None = None  # x and gradient one step ago, flat

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Move `x` once, given the gradient at `x`."""
        full = gradient.detach().flatten()
        free = self._free(full)
        g = full * free
        b = self._precondition(g) * free
        direction = -b * (self.first_step / _rms(b))  # while nothing is known about the curvature
        if self.previous is not None:
            before, gradient_before = self.previous
            p, q = self._remember(self.x.flatten() - before, (full - gradient_before) * free, g)
            informed = -self._inverse_hessian(b, p, q) * free
            downhill = (torch.dot(informed, g) < 0) & (self.usable.sum() > 0)
            direction = torch.where(downhill, informed, direction)
            self.usable *= downhill  # not downhill: the history misleads, start again from here
            before.copy_(self.x.flatten())
            gradient_before.copy_(full)
        else:
            self.previous = (self.x.flatten().clone(), full.clone())
        longest = (self.growth * self.recent).clamp_max(self.max_step)
        direction *= (longest / _rms(direction)).clamp_max(1.0)
        self.x.add_(direction.view_as(self.x))
        if self.project is not None:
            self.project(self.x)
        length = _rms(self.x.flatten() - self.previous[0])
        self.recent *= (length / self.recent).clamp_min(0.1).pow(0.2)  # one short step does not end a run

    def _precondition(self, v: Tensor) -> Tensor:
        return v if self.precondition is None else self.precondition(v.view_as(self.x)).flatten()

    def _free(self, g: Tensor) -> Tensor | float:
        """1 for values that a small step downhill changes, 0 for those held by a bound."""
        if self.project is None:
            return 1.0
        moved = self.x - (g * (self.first_step / _rms(g))).view_as(self.x)
        self.project(moved)
        return (moved != self.x).flatten().to(g.dtype)

    def _remember(self, s: Tensor, y: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Write one pair into the history; returns S g and Z g, (m,) each."""
        row, m = self.row, self.history_size
        self.s.index_copy_(0, row, s[None])
        self.z.index_copy_(0, row, self._precondition(y)[None])
        products = self.pairs.view(2 * m, -1) @ torch.stack((y, g), dim=1)  # (2m, 2): one pass for four products
        sy, zy = products[:, 0].to(self.sy.dtype).view(2, m)
        self.sy.index_copy_(1, row, sy[:, None])  # what is older than s was multiplied before and is not needed
        self.zy.index_copy_(1, row, zy[:, None])
        self.zy.index_copy_(0, row, zy[None])
        curved = sy.gather(0, row) > 1e-10 * torch.dot(y, y)
        self.usable.index_copy_(0, row, curved.to(self.usable.dtype))
        self.row.add_(1).remainder_(m)
        p, q = products[:, 1].to(self.sy.dtype).view(2, m)
        return p, q

    def _inverse_hessian(self, b: Tensor, p: Tensor, q: Tensor) -> Tensor:
        """H g from B g, S g and Z g: the compact form, pairs scaled to s·y = 1 so that D is the identity."""
        order = (self.places + self.row) % self.history_size  # from the oldest pair to the newest
        usable = self.usable.index_select(0, order)
        sy, zy = (products.index_select(0, order).index_select(1, order) for products in (self.sy, self.zy))
        scale = usable * sy.diagonal().masked_fill(usable == 0, 1.0).rsqrt()  # 0 leaves a pair out
        zy = zy * scale.outer(scale)
        identity = torch.eye(len(scale), dtype=sy.dtype, device=sy.device)
        r = (sy * scale.outer(scale)).triu(1) + identity
        gamma = self._scale(zy.diagonal().clamp_min(_TINY), usable)
        p, q = p.index_select(0, order) * scale, q.index_select(0, order) * scale
        w = torch.linalg.solve_triangular(r, p[:, None], upper=True)
        u = torch.linalg.solve_triangular(r.T, w + gamma * (zy @ w - q[:, None]), upper=False)
        back = (self.places - self.row) % self.history_size
        weights = torch.stack((scale * u[:, 0], -gamma * scale * w[:, 0])).index_select(1, back)  # (2, m)
        return gamma * b + (weights.to(b.dtype).view(-1) @ self.pairs.view(-1, len(b)))

    def _scale(self, curvatures: Tensor, usable: Tensor) -> Tensor:
        """γ, from the y·By / s·y of all pairs, oldest first, (m,) each."""
        if self.average:
            return torch.exp(-(usable * curvatures.log()).sum() / usable.sum().clamp_min(1))
        newest = (usable * torch.arange(1, len(usable) + 1, device=usable.device)).argmax(0, keepdim=True)
        return 1 / curvatures.gather(0, newest).squeeze(0)  # curvatures[newest] would wait for the device


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt().clamp_min(_TINY)
