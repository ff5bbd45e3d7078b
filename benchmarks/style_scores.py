"""Karras et al. 2019 and 2020 at a small scale: what mixing, R1, path length, and demodulation are worth.

    python -m benchmarks.style_scores                    # all runs that are missing
    python -m benchmarks.style_scores --share 1/2        # every second run; another process does the rest
    python -m benchmarks.style_scores --record           # all runs that are missing, then the record

Every run learns to draw streets of 32 px from noise; it leaves one thing out. 500 of its pictures are compared with 500
streets that no training saw, by the features of VGG-16. Results of single runs are kept in ``_build/scores``, so that
the benchmark can be stopped at any time.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import score_runs
from course_lib.evaluation.diversity import diversity
from course_lib.evaluation.frechet import frechet_distance, kernel_distance, pooled_features
from course_lib.evaluation.path_length import perceptual_path_length
from course_lib.methods import stylegan
from course_lib.networks.modulated import StyledConv
from course_lib.teaching import records
from scripts.stylegan_model import sheet, streets

CLAIMS = ("stylegan.mixed", "stylegan.r1", "stylegan.path", "stylegan.peaks")
FULL = "StyleGAN2"
RUNS: dict[str, dict[str, Any]] = {  # → what differs
    FULL: {},
    "no mixing": {"mixing": 0.0},
    "no R1": {"penalty": 0.0},
    "no path length": {"path_weight": 0.0},
    "AdaIN": {"style": "instance", "path_weight": 0.0},
}


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    size: int = 32
    steps: int = 800
    trained: int = 2000
    tested: int = 500
    pairs: int = 200  # of styles, for path lengths
    folder: Path = score_runs.FOLDER
    device: str = "auto"


LAPTOP = Scale()


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> stylegan.Config:
    """Small networks, batches of 16; γ is small because the pictures are."""
    config = replace(
        stylegan.Config.fast(), image_size=scale.size, num_steps=scale.steps, width=512, most=32, average_over=1000.0,
        seed=seed, device=scale.device,
    )  # fmt: skip
    return replace(config, **RUNS[name])


@lru_cache(maxsize=1)
def data(scale: Scale = LAPTOP) -> tuple[Tensor, Tensor]:
    """Streets to learn from, and others to score with, (N, 3, S, S) each."""
    return streets(scale.trained, scale.size), streets(scale.tested, scale.size, seed=1)


@lru_cache(maxsize=1)
def truth(scale: Scale = LAPTOP) -> Tensor:
    """Features of the streets to score with."""
    return pooled_features(data(scale)[1])


def peak(model: stylegan.Model, count: int = 64) -> float:
    """The largest value of a feature map in units of its standard deviation, averaged over pictures and channels.

    The median over layers; for normal numbers it is about 3 at 32 px. A spike that holds a signal shows as a large one.
    """
    found: list[float] = []

    def watch(module: torch.nn.Module, inputs: Any, maps: Tensor) -> None:
        spread = maps.std((2, 3)).clamp_min(1e-8)
        found.append(((maps - maps.mean((2, 3), keepdim=True)).abs().amax((2, 3)) / spread).mean().item())

    large = [module for module in model.network.modules() if isinstance(module, StyledConv)][-4:]
    hooks = [module.register_forward_hook(watch) for module in large]
    try:
        with torch.no_grad():
            model.network(stylegan.styles(count, model, seed=3))
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(found)[len(found) // 2]


def score(model: stylegan.Model, scale: Scale = LAPTOP) -> dict[str, Any]:
    """Distances to unseen streets, speed on the way between two styles, variety and peaks."""
    count = scale.tested
    w = stylegan.styles(count, model, seed=1)
    other = stylegan.styles(count, model, seed=2)
    made = stylegan.paint(w, model).image
    half = scale.size // 4
    crossed = stylegan.paint(stylegan.mixed(w, other, model, (half, scale.size)), model).image
    features = pooled_features(made)
    lengths = perceptual_path_length(lambda x: stylegan.paint(x, model).image, w[: scale.pairs], other[: scale.pairs])
    return {
        "distance": frechet_distance(truth(scale), features),
        "distance, mixed": frechet_distance(truth(scale), pooled_features(crossed)),
        "kernel distance": list(kernel_distance(truth(scale), features)),
        "path length": lengths.mean().item(),
        "diversity": diversity(made),
        "peak": peak(model),
    }


def file_of(name: str, seed: int, scale: Scale = LAPTOP) -> Path:
    return score_runs.file_of(scale.folder, "style", name, seed)


def make(name: str, seed: int, scale: Scale = LAPTOP) -> None:
    """One run: train, score, and save the result."""
    file = file_of(name, seed, scale)
    checkpoint = score_runs.checkpoint_of(file)
    model = stylegan.train(data(scale)[0], config_of(name, seed, scale), checkpoint=checkpoint)
    if model.stopped:
        raise SystemExit(f"{name}, seed {seed}: {model.stopped}")
    result = score(model, scale) | {"seconds": model.facts["seconds"], "steps": model.facts["steps"]}
    score_runs.keep(file, result, {"sheet": sheet(stylegan.generate(16, model, seed=4).image, 8)})
    print(f"{name}, seed {seed}: {result['distance']:.1f} in {result['seconds']:.0f} s", flush=True)


def store(run: records.Record, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 17 shows with the results of all runs."""
    results = {name: [score_runs.read(file_of(name, seed, scale)) for seed in seeds] for name in RUNS}
    measures = [key for key in results[FULL][0] if key not in ("seconds", "steps")]
    run.values |= score_runs.columns(results, measures)
    unseen = data(scale)[1]
    halves = truth(scale).split(scale.tested // 2)
    run.values |= {
        "pictures": scale.tested, "diversity of the streets": diversity(unseen),
        "distance of two halves of the streets": frechet_distance(*halves),
    }  # fmt: skip
    run.minutes = score_runs.minutes(results)
    run.images |= {name: score_runs.picture(file_of(name, 0, scale), "sheet") for name in RUNS}
    run.images["streets"] = sheet(unseen[:16], 8)
    claim(run)


def claim(run: records.Record) -> None:
    """Store our numbers for the claims, one per seed."""
    numbers = {
        f"{key}, {name}": values
        for key in ("distance", "distance, mixed", "path length", "peak", "diversity")
        for name, values in run.values[key].items()
    }
    score_runs.claim(run, CLAIMS, numbers)


def settings() -> dict[str, Any]:
    """What the record says of the configuration."""
    return asdict(config_of(FULL, 0)) | {"trained": LAPTOP.trained, "tested": LAPTOP.tested}


BENCHMARK = score_runs.Benchmark("style_scores", "17_scores", [*RUNS], file_of, make, store, settings)

if __name__ == "__main__":
    sys.exit(score_runs.main(BENCHMARK, __doc__))
