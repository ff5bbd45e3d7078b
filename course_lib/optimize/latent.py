"""Find what a generator must be given so that its picture fits an objective: gradient descent behind the generator.

The objective is one of pictures, as for pictures that are optimized directly; its gradient is passed on through the
generator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.optimize.objective import Part

_RISE, _FALL = 0.05, 0.25  # parts of a run in which the step length grows and falls (Karras et al. 2020, Appendix D)
_NOISY, _NOISE = 0.75, 0.05  # part of a run with noise, and its size in deviations


@dataclass(frozen=True)
class Found:
    """What `find_latent` returns."""

    latent: Tensor  # shaped like the start, on its device
    history: dict[str, list[float]]  # "total", each term and "seconds": one number a step


@runtime.with_gradients()
def find_latent(
    paint: Callable[[Tensor], Tensor], start: Tensor, objective: Part, *, num_steps: int, learning_rate: float = 0.1,
    spread: float | Tensor = 0.0, seed: int = 0, callback: runtime.Callback | None = None,
) -> Found:  # fmt: skip
    """Adam on the input of a generator (Karras et al. 2020, Appendix D, without its optimized noise maps).

    The step length grows at first and falls to zero at the end. Normal noise is added to the latent, less and less
    until three quarters of the run are over, so that it does not stay in the first valley.

    Args:
        paint: from a latent to a picture (1, 3, H, W), differentiable; values outside [0, 1] are clamped.
        start: the first latent, of any shape.
        objective: of the picture.
        num_steps: steps of Adam, one evaluation each.
        learning_rate: the largest.
        spread: deviation of the latents that the generator knows, a number or shaped like `start`; the noise is a
            twentieth of it at first.
        seed: of the noise.
        callback: called after each step with a `runtime.Progress`.

    >>> from course_lib.optimize.objective import Term
    >>> gray = Term("gray", 1.0, lambda image: (image - 0.8).square().mean())
    >>> found = find_latent(lambda x: x.expand(1, 3, 2, 2), torch.zeros(1), gray, num_steps=100)
    >>> round(found.latent.item(), 1)
    0.8
    """
    latent = start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([latent], lr=learning_rate, betas=(0.9, 0.999))
    generator, began = runtime.seeded_generator(seed), time.perf_counter()
    history: dict[str, list[float]] = {"total": [], **{name: [] for name in objective.names}, "seconds": []}
    for step in range(num_steps):
        t = step / num_steps
        optimizer.param_groups[0]["lr"] = learning_rate * step_factor(t)
        noise = torch.randn(latent.shape, generator=generator).to(latent) * spread
        image = paint(latent + _NOISE * max(0.0, 1 - t / _NOISY) ** 2 * noise)
        terms, gradient = objective.with_gradient(image.detach().clamp(0, 1))
        optimizer.zero_grad()
        image.backward(gradient)
        optimizer.step()
        for name, value in zip(objective.names, terms.tolist(), strict=True):
            history[name].append(value)
        history["total"].append(float(terms.sum()))
        history["seconds"].append(time.perf_counter() - began)
        if callback is not None:
            losses = runtime.Losses(objective.names, terms)
            shown = image.detach().clamp(0, 1).cpu
            callback(runtime.Progress(step + 1, num_steps, losses, history["seconds"][-1], shown))
    return Found(latent.detach(), history)


def step_factor(t: float) -> float:
    """The factor on the learning rate at the part t of a run: a short rise, 1, and half a cosine down to 0.

    >>> [round(step_factor(t), 3) for t in (0.0, 0.025, 0.5, 0.875, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / _FALL))
    return fall * min(1.0, t / _RISE)
