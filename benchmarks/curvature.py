"""How curved the loss of a picture is, by color and spatial frequency: what `color_preconditioner` was fitted to.

    python -m benchmarks.curvature             # two minutes
    python -m benchmarks.curvature --record    # stores the result for chapter 5

Along a direction v, the change of the gradient from x − v to x + v, divided by 2, is the Hessian times v. With white
noise as v, the product of its Fourier coefficients with those of the change is the curvature at each frequency, on
average over noises. The picture x is one that a run has reached after some steps.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from course_lib import runtime, sample_image
from course_lib.methods import gatys
from course_lib.optimize import preconditioners
from course_lib.teaching import records

RUNS = (
    ("eilean_donan", "great_wave", "content", 60),
    ("bison", "cafe_terrace", "noise", 30),
    ("panda", "road_to_tarascon", "noise", 60),
    ("scarlet_macaw", "composition_viii", "noise", 100),
)
SIZE, NOISES, STEP = 128, 4, 3e-3  # STEP: the amplitude of v, in pixel units
EDGES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.71)
AXES = torch.tensor(preconditioners.AXES) / torch.tensor(preconditioners.AXES).norm(dim=1, keepdim=True)


def spectrum(picture: Tensor) -> Tensor:
    """(1, 3, H, W) → its Fourier coefficients in the three color axes, (3, H, W)."""
    return torch.fft.fft2(torch.einsum("ac,chw->ahw", AXES, picture[0]))


def curvature(content: str, style: str, start: str, steps: int) -> Tensor:
    """The curvature in each color axis and band of `EDGES`, (3, bands), in units of its maximum for luminance."""
    photo, painting = sample_image(content, SIZE), sample_image(style, SIZE)
    config = gatys.Config(start=start, num_steps=steps, device="cpu", precision="float32")
    x = gatys.stylize(photo, painting, config).image
    gradient = gatys.objective(photo, painting, config).with_gradient
    down, across = (torch.fft.fftfreq(side) for side in x.shape[-2:])
    frequency = (down[:, None].square() + across.square()).sqrt()
    found = torch.zeros(3, *frequency.shape)
    for seed in range(NOISES):
        v = STEP * torch.randn(x.shape, generator=runtime.seeded_generator(seed))
        change = (gradient(x + v)[1] - gradient(x - v)[1]) / 2
        found += (spectrum(v).conj() * spectrum(change)).real
    band = torch.bucketize(frequency, torch.tensor(EDGES[1:-1]), right=True)
    bands = torch.stack([found[:, band == k].mean(1) for k in range(len(EDGES) - 1)], dim=1)
    return bands / bands[0].max()


def measure() -> dict[str, Any]:
    values: dict[str, Any] = {"frequencies": [(a + b) / 2 for a, b in pairwise(EDGES)], "runs": {}}
    for content, style, start, steps in RUNS:
        found = curvature(content, style, start, steps)
        values["runs"][f"{content}, {style}, from {start}, {steps} steps"] = found.tolist()
        print(f"{content} as {style} from {start} after {steps} steps")
        for name, row in zip(("luminance", "red - blue", "green - magenta"), found.tolist(), strict=True):
            print(f"{name:>16}", *(f"{value:6.3f}" for value in row), flush=True)
    formula = preconditioners.curvature(torch.tensor(values["frequencies"]))
    values["formula"] = formula.tolist()
    print("the formula")
    for row in formula.tolist():
        print(" " * 16, *(f"{value:6.3f}" for value in row))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="store the result for chapter 5")
    options = parser.parse_args()
    if not options.record:
        measure()
        return
    settings = {"size": SIZE, "noises": NOISES, "step": STEP}
    command = "python -m benchmarks.curvature --record"
    with records.run("05_curvature", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values.update(measure())


if __name__ == "__main__":
    main()
