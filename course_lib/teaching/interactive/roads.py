"""A component in which three optimizers walk down one landscape of two numbers, each with its own idea of its shape."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib import arguments
from course_lib.optimize.image import Adam
from course_lib.optimize.lbfgs import LBFGS
from course_lib.teaching.figures import Figure, picture
from course_lib.teaching.interactive.component import cell, component, part

Loss = Callable[[Tensor], Tensor]  # (2,) → a scalar, differentiable

LOW, HIGH = -0.2, 1.2  # the part of the plane that is shown; the bounds are 0 and 1
OPTIMIZERS = ("gradient descent", "Adam", "L-BFGS")
FIRST_STEP, MAX_STEP, GROWTH = 0.02, 0.2, 3.0  # of L-BFGS, root mean square; wider than for the pixels of a picture
LAST = 200  # evaluations
LANDSCAPES: dict[str, dict[str, Any]] = {
    "valley": {"title": "A stretched valley", "start": [0.1, 0.85], "shown": 6},
    "outside": {"title": "A valley that ends outside", "start": [0.9, 0.8], "shown": 6},
    "curved": {"title": "A curved valley", "start": [0.1, 0.75], "shown": 30},
    "grays": {"title": "Two gray levels, real loss", "start": [0.05, 0.1], "shown": 9},
}
CENTERS = {"valley": (0.75, 0.4), "outside": (0.2, -0.15)}
CHOICES: dict[str, list[float]] = {
    "conditioning": [1, 3, 10, 30, 100, 300, 1000],
    "angle": [0, 15, 30, 45, 60, 75, 90],
    "power": [0, 0.25, 0.5, 0.75, 1],
    "step": [0.1, 0.3, 1, 1.5, 1.8, 2, 2.2],
    "rate": [0.003, 0.01, 0.03, 0.1, 0.3],
    "beta1": [0, 0.5, 0.9, 0.99],
    "beta2": [0, 0.5, 0.9, 0.99, 0.999],
    "history": [1, 2, 3, 5, 10, 20],
}
AT: dict[str, float] = {
    "conditioning": 30, "angle": 30, "power": 0, "step": 1.8, "rate": 0.03, "beta1": 0.9, "beta2": 0.999, "history": 20,
}  # fmt: skip


def landscape(name: str, *, conditioning: float = AT["conditioning"], angle: float = AT["angle"]) -> Loss:
    """A function of two numbers, to walk down.

    With u along and v across, turned by `angle`: the valleys are ½ (u²/κ + v²) around their lowest point, and the
    curved one is ½ ((u − 0.3)²/κ + (v − 2u² + 0.3)²) around the middle of the square.

    Args:
        name: "valley", "outside" (its lowest point lies outside the bounds) or "curved".
        conditioning: κ, the largest curvature divided by the smallest one, at least 1.
        angle: in degrees.

    Raises:
        ValueError: another name.

    >>> landscape("valley", conditioning=10.0)(torch.tensor([0.75, 0.4], dtype=torch.float64)).item()
    0.0
    """
    arguments.choice("the landscape", name, ("valley", "outside", "curved"))
    center = torch.tensor(CENTERS.get(name, (0.5, 0.5)), dtype=torch.float64)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def loss(x: Tensor) -> Tensor:
        a, b = (x - center).unbind(-1)
        u, v = cos * a + sin * b, cos * b - sin * a
        if name == "curved":
            u, v = u - 0.3, v - 2 * u * u + 0.3
        return (u * u / conditioning + v * v) / 2

    return loss


class Surface:
    """A function of two numbers between the nodes of a grid where its value and its gradient are known.

    Cubic in each cell and smooth across their borders (Hermite); outside the grid it goes on in straight lines. The
    mixed derivative at a node is the mean of two differences of neighboring gradients.

    Args:
        nodes: (n, n, 3), n at least 3: value, derivative along a column's and along a row's coordinate. Column k is
            at LOW + k (HIGH − LOW)/(n − 1), rows likewise.

    Raises:
        ValueError: another shape, or values that are not finite.

    >>> plane = torch.stack(torch.broadcast_tensors(torch.linspace(LOW, HIGH, 5), torch.ones(5, 5), torch.zeros(1)), -1)
    >>> round(Surface(plane)(torch.tensor([0.3, 0.9])).item(), 6)
    0.3
    """

    def __init__(self, nodes: Tensor) -> None:
        shape = tuple(nodes.shape)
        if nodes.ndim != 3 or shape[0] != shape[1] or shape[0] < 3 or shape[2] != 3:
            raise ValueError(f"a surface needs values and gradients on a square grid, (n, n, 3), got {shape}")
        if not nodes.isfinite().all():
            raise ValueError("the surface contains values that are not finite; look at the loss that made it")
        value, along, down = nodes.double().unbind(-1)
        self.count, self.side = shape[0], (HIGH - LOW) / (shape[0] - 1)
        mixed = torch.gradient(along, dim=0)[0] + torch.gradient(down, dim=1)[0]  # per cell, twice
        steps = (value, along * self.side, down * self.side, mixed * self.side / 2)
        self.nodes = torch.stack(steps, -1).view(*value.shape, 2, 2)  # [row, column, derivative by y?, by x?]

    def __call__(self, x: Tensor) -> Tensor:
        """(2,) → the value, float64, differentiable."""
        at = (x.double() - LOW) / self.side
        column, row = (at.detach().floor().clamp(0, self.count - 2)).long().tolist()
        across, down = _hermite(at[0] - column), _hermite(at[1] - row)  # (2, 2): of which end, of value or slope
        corners = self.nodes[row : row + 2, column : column + 2]  # [row, column, by y?, by x?]
        return torch.einsum("rcyx,ry,cx->", corners, down, across)


def _hermite(t: Tensor) -> Tensor:
    """The four cubic basis functions, [end 0 or 1, of the value or of the slope]; straight lines beyond 0 and 1."""
    s = t.clamp(0, 1)
    at = torch.stack((1 - s * s * (3 - 2 * s), s * (1 - s) ** 2, s * s * (3 - 2 * s), s * s * (s - 1)))
    slopes = torch.stack((-6 * s * (1 - s), (1 - s) * (1 - 3 * s), 6 * s * (1 - s), s * (3 * s - 2)))
    return (at + slopes * (t - s)).view(2, 2)


def walk(
    loss: Loss,
    optimizer: str,
    start: tuple[float, float],
    *,
    steps: int,
    bounds: bool = True,
    precondition: Tensor | None = None,
    step_length: float = AT["step"],
    learning_rate: float = AT["rate"],
    betas: tuple[float, float] = (AT["beta1"], AT["beta2"]),
    history_size: int = int(AT["history"]),
) -> Tensor:
    """The road of one optimizer: torch's SGD and Adam, and `optimize.lbfgs.LBFGS`, each with one evaluation a step.

    Args:
        loss: as `landscape` returns it.
        optimizer: one of `OPTIMIZERS`.
        start: the first point.
        steps: how many.
        bounds: clamp both numbers to [0, 1] after each step; L-BFGS also leaves out what a bound holds.
        precondition: None, or B, (2, 2) float64, symmetric and positive definite: the first two run on z in
            x = B^½ z, and L-BFGS takes B as its first guess.
        step_length: of gradient descent.
        learning_rate, betas: of Adam.
        history_size: of L-BFGS.

    Returns:
        (steps + 1, 2) float64: the start, and the point after each step.

    Raises:
        ValueError: another optimizer.

    >>> walk(landscape("valley", conditioning=1.0), "gradient descent", (0.0, 1.0), steps=1, step_length=1.0)[-1]
    tensor([0.7500, 0.4000], dtype=torch.float64)
    """
    arguments.choice("the optimizer", optimizer, OPTIMIZERS)
    x = torch.tensor(start, dtype=torch.float64)
    project = (lambda one: one.clamp_(0, 1)) if bounds else None
    road = [x.clone()]
    if optimizer == "L-BFGS":
        guess = None if precondition is None else lambda v: precondition @ v
        ours = LBFGS(
            x, history_size=history_size, first_step=FIRST_STEP, max_step=MAX_STEP, growth=GROWTH,
            project=project, precondition=guess, average=False,
        )  # fmt: skip
        for _ in range(steps):
            ours.step(_gradient(loss, x))
            road.append(x.clone())
        return torch.stack(road)
    root = torch.eye(2, dtype=torch.float64) if precondition is None else _root(precondition)
    z = torch.linalg.solve(root, x)
    plain: torch.optim.Optimizer = torch.optim.SGD([z], lr=step_length)
    if optimizer == "Adam":
        plain = Adam(z, learning_rate=learning_rate)
        plain.param_groups[0]["betas"] = betas
    for _ in range(steps):
        z.grad = root @ _gradient(loss, root @ z)
        torch.optim.Adam.step(plain) if isinstance(plain, Adam) else plain.step()
        if project is not None:
            z.copy_(torch.linalg.solve(root, project(root @ z)))
        road.append(root @ z)
    return torch.stack(road)


def _gradient(loss: Loss, x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_(True)
    return torch.autograd.grad(loss(x), x)[0]


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ (values.sqrt()[:, None] * vectors.T)


def optimizers_road(nodes: Tensor, mask: Tensor, *, caption: str, alt: str) -> Figure:
    """Three optimizers from one start: gradient descent, Adam and L-BFGS, on two valleys, a curved one and a real loss.

    The page computes what `walk` computes, and draws for each optimizer its road, the shape that it takes the contours
    to have, steps that the bounds cut off, and for L-BFGS the changes y of the gradient beside its moves. The start
    can be dragged or moved by keys. A preconditioner B = (A/λ)^−p, with A the curvature at the lowest point and λ its
    largest value, changes the metric of all three; the plane can be shown in this metric.

    The real loss is baked: its values and gradients on a grid, and a `Surface` between them.

    Args:
        nodes: (n, n, 3), as in `Surface`: a loss of two gray levels.
        mask: (h, w) bool, where the picture has the second gray level.
        caption, alt: as in `figures.sheet`.

    Raises:
        ValueError: a grid or a mask of another shape.
    """
    Surface(nodes)  # checks them
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise ValueError(f"the mask must be (h, w) bool, got {tuple(mask.shape)} of {mask.dtype}")
    cells = [cell(_still(name), name) for name in OPTIMIZERS]
    body = f'<div class="sheet"><div class="strip">{"".join(cells)}</div></div>{part("optimizers_road.html")}'
    levels = rounded(nodes).contiguous().numpy().astype("<f2")
    settings = {
        "nodes": base64.b64encode(levels.tobytes()).decode(), "count": len(nodes), "low": LOW, "high": HIGH,
        "mask": base64.b64encode(np.packbits(mask.cpu().numpy()).tobytes()).decode(), "shape": list(mask.shape),
        "limits": {"first": FIRST_STEP, "most": MAX_STEP, "growth": GROWTH}, "last": LAST,
        "landscapes": LANDSCAPES, "centers": CENTERS, "choices": CHOICES, "at": AT,
    }  # fmt: skip
    return component("optimizers-road", body, caption, alt, settings)


def rounded(nodes: Tensor) -> Tensor:
    """The nodes as the page gets them: with 11 significant bits, float64.

    Raises:
        ValueError: a number too large for 16 bits.

    >>> rounded(torch.tensor([1.0, 1.0004]))
    tensor([1., 1.], dtype=torch.float64)
    """
    halves = nodes.detach().cpu().half()
    if not halves.isfinite().all():
        raise ValueError(f"the surface must stay below 65504, got {nodes.abs().max().item():g}; divide it by a number")
    return halves.double()


def _still(optimizer: str) -> str:
    """The road of one optimizer on the first landscape as an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure as Canvas

    loss, start = landscape("valley"), LANDSCAPES["valley"]["start"]
    road = walk(loss, optimizer, tuple(start), steps=16)
    line = torch.linspace(LOW, HIGH, 141, dtype=torch.float64)
    plane = loss(torch.stack(torch.meshgrid(line, line, indexing="xy"), -1))  # [y, x]
    canvas = Canvas(figsize=(2.4, 2.4), dpi=110, facecolor="white")
    axes = canvas.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    levels = [plane.max().item() / 2 ** (k / 1.5) for k in range(16, -1, -1)]
    axes.contour(line, line, plane, levels=levels, colors="#9aa9b5", linewidths=0.6)
    axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="#6b7680", linewidth=0.8, linestyle="--")
    axes.plot(*road.T, color="#08598c", linewidth=1.4, marker="o", markersize=2.6)
    axes.plot(*road[0], marker="o", markersize=7, color="#b24a14")
    axes.plot(*CENTERS["valley"], marker="+", markersize=10, color="black")
    drawn = FigureCanvasAgg(canvas)
    drawn.draw()
    pixels = torch.from_numpy(np.asarray(drawn.buffer_rgba()).copy())  # (H, W, 4) bytes
    alt = f"{optimizer}: {len(road) - 1} steps in a stretched valley"
    return picture(pixels[..., :3].permute(2, 0, 1) / 255, alt, quality=60)
