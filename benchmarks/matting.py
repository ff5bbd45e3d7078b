"""Photographs that stay photographs: the matting Laplacian and screened Poisson, ours and as tutorials write them.

    OMP_NUM_THREADS=1 python -m benchmarks.matting            # 128, 256 and 512 px; two minutes
    OMP_NUM_THREADS=1 python -m benchmarks.matting --save     # also adds the rows to the table
    OMP_NUM_THREADS=1 python -m benchmarks.matting --record   # stores them, with memory
    python -m benchmarks.matting --peak 256 --which plain     # peak memory of making one Laplacian, in GB

*Matrix* and *planes*: making the Laplacian of a photo. The plain version is the usual loop-free one in NumPy: all
windows at once, their covariances inverted as a batch, an entry for each pair of pixels of each window, and a sparse
matrix that adds up entries of one place. *A step*: the energy of a picture and its gradient in float32, once with that
sparse matrix, once with our term. *Screened Poisson*: one channel in float64, by conjugate gradients until the residual
has shrunk by `TOLERANCE`, and by cosine transforms. Both versions must give the same numbers; otherwise the benchmark
stops.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from benchmarks import measure, results, steps
from course_lib import sample_image
from course_lib.colors import luminance
from course_lib.losses.matting import EPS, matting_bands, matting_laplacian, photorealism_term
from course_lib.methods.screened_poisson import Config, solve
from course_lib.teaching import records

CPU = torch.device("cpu")
CONTENT, OTHER = "eilean_donan", "neuschwanstein"
RECORD = "photorealism_seconds"
TOLERANCE = 1e-10  # of the residual of conjugate gradients
CLOSE = 1e-7  # largest difference of an entry of M: the inverse of a nearly singular covariance loses that much
CLOSE_PICTURES = 1e-6  # largest difference of a solution, for values in [0, 1]
MAKERS = ("plain", "matrix", "planes")


def plain_laplacian(photo: Tensor) -> Tensor:
    """Levin et al. 2008, Eq. 12, with an entry for each pair of pixels of each window."""
    height, width = photo.shape[2:]
    image = photo[0].double().numpy()
    colors = sliding_window_view(image, (3, 3), axis=(1, 2)).reshape(3, -1, 9).transpose(1, 2, 0)  # (windows, 9, 3)
    pixels = sliding_window_view(np.arange(height * width).reshape(height, width), (3, 3)).reshape(-1, 9)
    centered = colors - colors.mean(1, keepdims=True)
    covariance = centered.transpose(0, 2, 1) @ centered / 9
    inverse = np.linalg.inv(covariance + EPS / 9 * np.eye(3))
    entries = np.eye(9) - (1 + centered @ inverse @ centered.transpose(0, 2, 1)) / 9
    places = np.stack((np.repeat(pixels, 9, axis=1).ravel(), np.tile(pixels, (1, 9)).ravel()))
    whole = torch.sparse_coo_tensor(
        torch.from_numpy(places), torch.from_numpy(entries.ravel()), (height * width,) * 2, check_invariants=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return whole.coalesce().to_sparse_csr()


def plain_step(matrix: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """The mean energy of a picture and its gradient, with the sparse matrix."""
    columns = image[0].flatten(1).T  # (H*W, 3)
    product = matrix @ columns
    pixels = len(columns)
    return (columns * product).sum() / pixels, (2 / pixels * product).T.reshape(image.shape)


def conjugate_gradients(painted: Tensor, photo: Tensor, weight: float) -> Tensor:
    """(1 + λ ∇ᵀ∇) O = S + λ ∇ᵀ∇C for one channel (H, W), from O = S (Hestenes & Stiefel 1952)."""

    def curvature(x: Tensor) -> Tensor:  # ∇ᵀ∇
        total = torch.zeros_like(x)
        for axis in (0, 1):
            difference = x.diff(dim=axis)
            total.narrow(axis, 1, x.shape[axis] - 1).add_(difference)
            total.narrow(axis, 0, x.shape[axis] - 1).sub_(difference)
        return total

    solution = painted.clone()
    residual = weight * curvature(photo - painted)
    direction, square = residual.clone(), residual.square().sum()
    goal = TOLERANCE**2 * square
    while square > goal:
        product = direction + weight * curvature(direction)
        length = square / (direction * product).sum()
        solution += length * direction
        residual -= length * product
        before, square = square, residual.square().sum()
        direction = residual + square / before * direction
    return solution


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """A photo, and another picture of the same size: squares of `size` px."""
    return sample_image(CONTENT, (size, size)), sample_image(OTHER, (size, size))


def making(size: int) -> dict[str, Callable[[], Tensor]]:
    """The ways to make a Laplacian."""
    photo, _ = pictures(size)
    return dict(
        zip(MAKERS, (partial(make, photo) for make in (plain_laplacian, matting_laplacian, matting_bands)), strict=True)
    )


def differences(size: int) -> dict[str, float]:
    """Largest differences between plain and ours: entries of M, and pixels of the screened Poisson solution.

    Raises:
        RuntimeError: one is too large.
    """
    ways, (photo, other) = making(size), pictures(size)
    plain, ours = ways["plain"](), ways["matrix"]()
    if not torch.equal(plain.col_indices(), ours.col_indices()):
        raise RuntimeError(f"the plain matrix has entries in other places at {size} px")
    channel, goal = (luminance(x.double())[0, 0] for x in (other, photo))
    weight = Config().lightness_weight
    found = {
        "M": (plain.values() - ours.values()).abs().max().item(),
        "O": (solve(channel, goal, weight) - conjugate_gradients(channel, goal, weight)).abs().max().item(),
    }
    for name, close in (("M", CLOSE), ("O", CLOSE_PICTURES)):
        if found[name] > close:
            raise RuntimeError(f"plain {name} differs by {found[name]:.2g} at {size} px; expected at most {close:g}")
    return found


def seconds_of(size: int, rounds: int) -> dict[str, dict[str, float]]:
    """Of making the Laplacian, of a step and of screened Poisson; ``"plain"`` and ours, in turns."""
    photo, other = pictures(size)
    matrix, term = plain_laplacian(photo).float(), photorealism_term(photo, 1.0)
    step = {"plain": partial(plain_step, matrix, other), "term": partial(term.with_gradient, other)}
    channel, goal = (luminance(x.double())[0, 0] for x in (other, photo))
    weight = Config().lightness_weight
    poisson = {
        "plain": partial(conjugate_gradients, channel, goal, weight),
        "cosine transforms": partial(solve, channel, goal, weight),
    }
    groups: dict[str, dict[str, Callable[[], Any]]] = {"make": {**making(size)}, "step": step, "poisson": poisson}
    return {name: measure.in_turns(ways, CPU, rounds=rounds, warm_up=1) for name, ways in groups.items()}


def peak(size: int, which: str) -> float:
    """GB that making one Laplacian adds to this process; NaN if the system does not say."""
    making(16)[which]()  # loads what PyTorch and NumPy need
    way, before = making(size)[which], _resident("VmRSS")
    way()
    return (_resident("VmHWM") - before) / 1e9 if before else float("nan")


def _resident(what: str) -> int:
    status = Path("/proc/self/status")
    found = re.search(rf"{what}:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def peak_elsewhere(size: int, which: str) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.matting", "--peak", str(size), "--which", which]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


def race(options: argparse.Namespace, *, memory: bool = True) -> dict[str, dict[str, Any]]:
    """All measurements, by size."""
    return {
        str(size): {
            "largest differences": differences(size),
            "seconds": seconds_of(size, options.rounds),
            "GB": {which: peak_elsewhere(size, which) for which in MAKERS if memory},
        }
        for size in options.sizes
    }


def rows_of(found: dict[str, dict[str, Any]]) -> list[results.Row]:
    """The rows of the table."""
    where = steps.threads(CPU)
    names = {"make": "Laplacian", "step": "Laplacian, a step", "poisson": "screened Poisson"}
    return [
        results.Row("matting", f"{names[kind]}, {way}, {size} px{where}", seconds["plain"], seconds[way])
        for size, about in found.items()
        for kind, seconds in about["seconds"].items()
        for way in seconds
        if way != "plain"
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512], help="sides of the square pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", type=int, metavar="SIZE", help="only print the peak memory of one Laplacian")
    parser.add_argument("--which", choices=MAKERS, default="planes", help="with --peak")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for the chapter on photographs")
    options = parser.parse_args()
    if options.peak:
        print(f"{peak(options.peak, options.which):.4f} GB")
        return 0
    if options.record:
        settings = {"sizes": options.sizes, "rounds": options.rounds}
        command = " ".join(("python -m benchmarks.matting", *sys.argv[1:]))
        with records.run(RECORD, profile="laptop", seed=0, config=settings, command=command) as run:
            run.values |= race(options)
        found = run.values
    else:
        found = race(options)
    rows = rows_of(found)
    results.report(rows)
    for size, about in found.items():
        largest = ", ".join(f"{name} {value:.1g}" for name, value in about["largest differences"].items())
        print(f"{size} px: largest differences {largest}; GB: {about['GB']}")
    if options.save:
        results.save(rows, CPU)
    return 0


if __name__ == "__main__":
    sys.exit(main())
