"""Zhu et al. 2017, Tables 1 and 4, at a small scale: with pairs and without, and parts of CycleGAN's loss alone.

    python -m benchmarks.unpaired_scores                    # all runs that are missing
    python -m benchmarks.unpaired_scores --share 1/2        # every second run; another process does the rest
    python -m benchmarks.unpaired_scores --record           # all runs that are missing, then the record

Every run learns to turn a clear day into dusk from 400 streets in each weather. The streets of the two sets differ, but
pix2pix gets the first set in both weathers. All are scored on 100 other streets, whose true dusk is known: code draws
the same street in every weather. Results of single runs are kept in ``_build/scores``, so that the benchmark can be
stopped at any time.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks import score_runs
from course_lib.colors import to_lab
from course_lib.data.facades import CLASSES, class_map, draw_facade, weather_photos
from course_lib.methods import cyclegan, pix2pix
from course_lib.teaching import records
from scripts.unpaired_model import color_transfer, error

A, B = "clear", "dusk"
WATCHED = (3, 7, 12)  # of the test streets
PIX2PIX = "pix2pix"
CLAIMS = ("cyclegan.gap", "cyclegan.ablation", "cyclegan.one_way", "cyclegan.identity")


@dataclass(frozen=True)
class Scale:
    """Size and length of the runs, and the folder for the results of single runs."""

    size: int = 32
    epochs: int = 12
    trained: int = 400
    tested: int = 100
    width: float = 0.25
    learning_rate: float = 5e-4
    folder: Path = score_runs.FOLDER
    device: str = "auto"


LAPTOP = Scale()
RUNS: dict[str, dict[str, Any]] = {  # → what differs from CycleGAN's loss
    "CycleGAN": {},
    "CycleGAN with identity": {"identity_weight": 0.5},
    "GAN alone": {"cycle_weight": 0.0},
    "cycle alone": {"gan_weight": 0.0},
    "GAN, forward cycle": {"cycles": "forward"},
    "GAN, backward cycle": {"cycles": "backward"},
    PIX2PIX: {},
}


def config_of(name: str, seed: int, scale: Scale = LAPTOP) -> Any:
    """The paper's weights; networks a quarter as wide, an eighth of the paper's side, and 1,200 steps of four."""
    shared: dict[str, Any] = {
        "num_epochs": scale.epochs, "image_size": scale.size, "width": scale.width, "seed": seed,
        "learning_rate": scale.learning_rate, "device": scale.device,
    }  # fmt: skip
    if name == PIX2PIX:
        return replace(pix2pix.Config.quick(), **shared)
    return replace(cyclegan.Config.quick(), **shared, **({"identity_weight": 0.0} | RUNS[name]))


@lru_cache(maxsize=1)
def data(scale: Scale = LAPTOP) -> dict[str, Tensor]:
    """Pictures (N, 3, S, S): "A", "B" and "pairs" (A in B's weather) to learn from, "given" and "truth" to score."""
    count = scale.trained
    return {
        "A": weather_photos(A, range(count), size=scale.size),
        "B": weather_photos(B, range(count, 2 * count), size=scale.size),
        "pairs": weather_photos(B, range(count), size=scale.size),
        "given": weather_photos(A, range(scale.tested), size=scale.size, seed=1),
        "truth": weather_photos(B, range(scale.tested), size=scale.size, seed=1),
    }


@lru_cache(maxsize=1)
def walls(scale: Scale = LAPTOP) -> Tensor:
    """Where the test streets show walls, (N, 1, S, S), bool."""
    labels = torch.stack([draw_facade(k, size=scale.size, seed=1).labels for k in range(scale.tested)])
    return (class_map(labels) == list(CLASSES).index("building"))[:, None]


def wall_colors(pictures: Tensor, where: Tensor) -> Tensor:
    """a* and b* of each street's walls on average, (N, 2)."""
    lab = to_lab(pictures)[:, 1:]
    return (lab * where).sum((2, 3)) / where.sum((2, 3))


def agreement(made: Tensor, truth: Tensor, where: Tensor) -> float:
    """Correlation, over the streets, of the walls' colors with the true ones; mean of a* and b*."""
    ours, true = (wall_colors(pictures, where) for pictures in (made, truth))
    return mean(float(torch.corrcoef(torch.stack((ours[:, k], true[:, k])))[0, 1]) for k in range(2))


def variety(pictures: Tensor) -> float:
    """Standard deviation over the streets, averaged over pixels and colors: 0 if all outputs are one picture."""
    return float(pictures.std(0).mean())


def score(there: Tensor, back: Tensor | None, scale: Scale = LAPTOP) -> dict[str, float]:
    """Errors against the truth, and what a collapse and lost colors would show."""
    given, truth = data(scale)["given"], data(scale)["truth"]
    found = {
        "error": error(there, truth),
        "color agreement": agreement(there, truth, walls(scale)),
        "variety": variety(there) / variety(truth),
    }
    if back is not None:
        found |= {"error back": error(back, given), "variety back": variety(back) / variety(given)}
    return found


def file_of(name: str, seed: int, scale: Scale = LAPTOP) -> Path:
    return score_runs.file_of(scale.folder, "unpaired", name, seed)


def make(name: str, seed: int, scale: Scale = LAPTOP) -> None:
    """One run: train, translate the test streets, score them, and save the result."""
    sets, config, file = data(scale), config_of(name, seed, scale), file_of(name, seed, scale)
    checkpoint, back = score_runs.checkpoint_of(file), None
    if name == PIX2PIX:
        pairs = torch.stack((sets["A"], sets["pairs"]), 1)
        paired = pix2pix.train(list(pairs), config, checkpoint=checkpoint)
        there, facts, stopped = pix2pix.translate(sets["given"], paired).image, paired.facts, paired.stopped
    else:
        model = cyclegan.train(sets["A"], sets["B"], config, checkpoint=checkpoint)
        there, facts, stopped = cyclegan.translate(sets["given"], model).image, model.facts, model.stopped
        back = cyclegan.translate(sets["truth"], model, direction="BA").image
    if stopped:
        raise SystemExit(f"{name}, seed {seed}: {stopped}")
    result = score(there, back, scale) | {"seconds": facts["seconds"], "steps": facts["steps"]}
    score_runs.keep(file, result, {k: there[k : k + 1] for k in WATCHED})
    print(f"{name}, seed {seed}: {result['error']:.3f} in {result['seconds']:.0f} s", flush=True)


def store(run: records.Record, seeds: range, scale: Scale = LAPTOP) -> None:
    """Fill the record that chapter 15 shows with the results of all runs."""
    results = {name: [score_runs.read(file_of(name, seed, scale)) for seed in seeds] for name in RUNS}
    sets = data(scale)
    moved = color_transfer(sets["given"], sets["B"])
    run.values |= {
        "as it is": score(sets["given"], sets["truth"], scale),
        "color transfer": score(moved, None, scale),
        **score_runs.columns(results, ("error", "error back", "color agreement", "variety", "variety back")),
    }
    run.minutes = score_runs.minutes(results)
    for k in WATCHED:
        shown = {"given": sets["given"], "truth": sets["truth"], "color transfer": moved}
        run.images |= {f"{name} · {k}": pictures[k : k + 1] for name, pictures in shown.items()}
        run.images |= {f"{name} · {k}": score_runs.picture(file_of(name, 0, scale), k) for name in RUNS}
    claim(run, len(seeds))


def claim(run: records.Record, seeds: int) -> None:
    """Store our numbers for the claims of the paper, one per seed."""
    errors, there, back = run.values["error"], run.values["variety"], run.values["variety back"]
    numbers: dict[str, list[float]] = dict(errors)
    numbers["as it is"] = [run.values["as it is"]["error"]] * seeds
    for name in ("CycleGAN", "CycleGAN with identity"):
        numbers[f"colors, {name}"] = run.values["color agreement"][name]
    removed = zip(back["GAN, forward cycle"], there["GAN, backward cycle"], strict=True)
    numbers["variety, cycle removed"] = [mean(two) for two in removed]
    numbers["variety, both cycles"] = [mean(two) for two in zip(back["CycleGAN"], there["CycleGAN"], strict=True)]
    score_runs.claim(run, CLAIMS, numbers)


def settings() -> dict[str, Any]:
    """What the record says of the configuration."""
    return asdict(config_of("CycleGAN", 0)) | {"trained": LAPTOP.trained, "tested": LAPTOP.tested}


BENCHMARK = score_runs.Benchmark("unpaired_scores", "15_scores", [*RUNS], file_of, make, store, settings)

if __name__ == "__main__":
    sys.exit(score_runs.main(BENCHMARK, __doc__))
