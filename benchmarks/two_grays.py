"""The loss of a picture with two gray levels, and its gradient, on a grid: a landscape that can be drawn.

    python -m benchmarks.two_grays             # a minute
    python -m benchmarks.two_grays --record    # stores the result for chapter 5

The pixels of a photograph that are brighter than its median get the gray level b, the others a. Everything else is as
in `methods.gatys`: content of the photograph, style of the painting, default weights. The gradient with respect to a
and b is that with respect to the pixels, added up over each part.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib import runtime, sample_image
from course_lib.methods import gatys
from course_lib.teaching import records
from course_lib.teaching.interactive import roads

CONTENT, STYLE, SIZE = "eilean_donan", "great_wave", 64
NODES, POINTS = 21, 100  # along a side of the grid; random points where what lies between the nodes is compared


def landscape() -> tuple[Tensor, Callable[[float, float], list[float]]]:
    """Where the picture has the second gray level, (h, w) bool; and a function from a and b to loss, ∂/∂a, ∂/∂b."""
    photo, painting = sample_image(CONTENT, SIZE), sample_image(STYLE, SIZE)
    goal = gatys.objective(photo, painting, gatys.Config(device="cpu", precision="float32"))
    gray = photo.mean(1)[0]  # (h, w)
    mask = gray > gray.median()

    def evaluate(a: float, b: float) -> list[float]:
        terms, gradient = goal.with_gradient(torch.where(mask, b, a).expand(1, 3, -1, -1).contiguous())
        slope = gradient.sum(1)[0]  # (h, w)
        return [terms.sum().item(), slope[~mask].sum().item(), slope[mask].sum().item()]

    return mask, evaluate


def measure() -> dict[str, Any]:
    mask, evaluate = landscape()
    levels = torch.linspace(roads.LOW, roads.HIGH, NODES).tolist()
    nodes = [[evaluate(a, b) for a in levels] for b in levels]
    surface = roads.Surface(torch.tensor(nodes))
    points = torch.rand(POINTS, 2, generator=runtime.seeded_generator(0), dtype=torch.float64)
    errors = torch.tensor([abs(surface(one).item() / evaluate(*one.tolist())[0] - 1) for one in points])
    between = {"median": errors.median().item(), "worst": errors.max().item()}
    print(f"between the nodes, {POINTS} points: " + ", ".join(f"{name} {value:.2%}" for name, value in between.items()))
    return {"mask": mask.int().tolist(), "nodes": nodes, "error between the nodes": between}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="store the result for chapter 5")
    options = parser.parse_args()
    if not options.record:
        measure()
        return
    settings = {"content": CONTENT, "style": STYLE, "size": SIZE, "nodes": NODES, "points": POINTS}
    command = "python -m benchmarks.two_grays --record"
    with records.run("05_two_grays", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values.update(measure())


if __name__ == "__main__":
    main()
